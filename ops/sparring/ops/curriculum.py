"""Which sample a match of a phase is about: for one seed always the same, whoever asks and however often."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from sparring.ops.config import Slice
from sparring.ops.errors import UserError
from sparring.ops.seeds import seed_of
from sparring.samples.catalog import BadDataset, open_dataset
from sparring.samples.reader import Reader
from sparring.samples.roots import OutsideRoots
from sparring.samples.sample import Sample, SampleSource
from sparring.samples.shapes import Shapes

_FAR = 2**40
"""Phases start at places of an endless dataset that are drawn from so many that they don't meet."""


def open_slice(part: Slice, roots: Sequence[str]) -> SampleSource:
    """The dataset of `part`.

    Raises:
        UserError: there is no such dataset.
    """
    try:
        return open_dataset(part.uri, [Path(root) for root in roots])
    except (BadDataset, OutsideRoots) as error:
        raise UserError(f"{error}; data.roots has the folders that may be read from") from error


def count_samples(source: SampleSource, most: int) -> int:
    """Samples in a dataset, counted up to `most`; reads them."""
    return sum(1 for _ in islice(source, most))


class Curriculum:
    """The training samples of a campaign.

    Args:
        source: an endless dataset, or one on disk, which is gone through again and again.
        part: which of its samples.
        seed: of the campaign.
    """

    def __init__(self, source: SampleSource, part: Slice, seed: int) -> None:
        self._source, self._part, self._seed = source, part, seed

    def stream(self, phase: str, slots: Iterable[int]) -> Iterator[tuple[int, Sample]]:
        """Each slot, which must rise, with its sample. Two phases see different samples of an endless dataset.

        Raises:
            UserError: the dataset has no sample to give.
        """
        if isinstance(self._source, Shapes):
            yield from self._endless(self._source, phase, slots)
        else:
            yield from self._passes(slots)

    def _endless(self, source: Shapes, phase: str, slots: Iterable[int]) -> Iterator[tuple[int, Sample]]:
        start = seed_of(self._seed, phase) % _FAR
        for slot in slots:
            place = start + slot if self._part.limit is None else (start + slot) % self._part.limit
            yield slot, source.sample(self._part.offset + place)

    def _passes(self, slots: Iterable[int]) -> Iterator[tuple[int, Sample]]:
        position, samples = -1, self._cycle()
        for slot in slots:
            sample = next(islice(samples, slot - position - 1, None))
            position = slot
            yield slot, sample

    def _cycle(self) -> Iterator[Sample]:
        end = None if self._part.limit is None else self._part.offset + self._part.limit
        while True:
            empty = True
            for sample in islice(self._source, self._part.offset, end):
                empty = False
                yield sample
            if empty:
                raise UserError(f"{self._part.uri} has no sample from {self._part.offset} on{self._why()}")

    def _why(self) -> str:
        report = self._source.report if isinstance(self._source, Reader) else None
        return "".join(f"\n  skipped: {row}" for row in report.skipped[:5]) if report else ""
