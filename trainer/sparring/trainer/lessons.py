"""What a warm-up is made of: samples of a dataset, or exact edits of the scenes of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from sparring.ledgers.records import RevisionName
from sparring.samples.catalog import BadDataset, open_dataset
from sparring.samples.pairs import Pair, pair
from sparring.samples.roots import OutsideRoots
from sparring.samples.sample import Sample, SampleSource
from sparring.samples.shapes import Shapes
from sparring.trainer.config import Sft
from sparring.trainer.errors import Unusable
from sparring.trainer.supply import Batch

TRIES = 1000
"""Edits begun before a world is held to have no room for them."""


def open_source(config: Sft) -> SampleSource:
    try:
        return open_dataset(config.dataset, [Path(root) for root in config.roots])
    except (BadDataset, OutsideRoots) as error:
        raise Unusable(f"{error}; objective.roots has the folders that may be read from") from error


class Samples:
    """`count` samples a step, in the dataset's order, again and again. A step has the same ones after a crash."""

    def __init__(self, config: Sft, count: int) -> None:
        self._uri, self._source, self._count = config.dataset, open_source(config), count
        self._stream: Iterator[Sample] | None = None

    def take(self, step: int, lineage: Sequence[RevisionName]) -> Batch[Sample]:
        """Raises: Unusable if there are none."""
        if self._stream is None:
            self._stream = islice(self._passes(), (step - 1) * self._count, None)
        return Batch(tuple(islice(self._stream, self._count)))

    def _passes(self) -> Iterator[Sample]:
        while True:
            empty = True
            for sample in self._source:
                empty = False
                yield sample
            if empty:
                raise Unusable(f"{self._uri} has no sample that can be read")


class Pairs:
    """`count` edits of new scenes a step. A step has the same ones after a crash."""

    def __init__(self, config: Sft, count: int, seed: int) -> None:
        source = open_source(config)
        if not isinstance(source, Shapes):
            raise Unusable(f"{config.dataset}: exact edits are known of scenes only; name a dataset shapes:...")
        self._source, self._config, self._count, self._seed = source, config, count, seed

    def take(self, step: int, lineage: Sequence[RevisionName]) -> Batch[Pair]:
        """Raises: Unusable if the scenes have no room for such edits."""
        first = (step - 1) * self._count
        return Batch(tuple(self._pair(index) for index in range(first, first + self._count)))

    def _pair(self, index: int) -> Pair:
        """Scene `index` with an edit that it has room for, or else another scene."""
        rng = np.random.default_rng([self._seed, index])
        for attempt in range(TRIES):
            scene = self._source.scene(index if attempt == 0 else int(rng.integers(2**40)))
            kind = self._config.edits[rng.integers(len(self._config.edits))]
            if made := pair(rng, self._source.world, kind, scene):
                return made
        raise Unusable(f"{self._config.dataset}: no scene of {TRIES} has room to {' or '.join(self._config.edits)}")
