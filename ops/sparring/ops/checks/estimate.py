"""What a check will ask of the model under test, before it asks anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from sparring.ops.checks.config import UNBOUNDED, CheckConfig
from sparring.ops.config import Slice
from sparring.ops.curriculum import count_samples, open_slice
from sparring.ops.errors import UserError
from sparring.samples.reader import Reader
from sparring.samples.sample import SampleSource
from sparring.samples.shapes import Shapes


@dataclass(frozen=True)
class Estimate:
    """Answers that a check asks for at most: edits that the referee rejects are not shown.

    Attributes:
        samples: questions.
        originals, controls, edits: answers to these.
        skipped: rows of the dataset that are no samples, in words.
    """

    samples: int
    originals: int
    controls: int
    edits: int
    skipped: tuple[str, ...]

    @property
    def calls(self) -> int:
        return self.originals + self.controls + self.edits

    @property
    def lines(self) -> Iterator[str]:
        """For the terminal."""
        yield f"{self.samples} samples"
        yield from (f"skipped: {row}" for row in self.skipped)
        yield (
            f"at most {self.calls} calls: {self.originals} for originals, {self.controls} for controls, {self.edits} "
            "for edits; rejected edits are not shown, cached answers not asked for again"
        )


def open_data(config: CheckConfig) -> SampleSource:
    """The dataset of a check.

    Raises:
        UserError: there is none of that name, or it is endless and no limit is set.
    """
    source = open_slice(Slice(uri=config.data.uri), config.data.roots)
    if isinstance(source, Shapes) and config.data.limit == UNBOUNDED:
        raise UserError(f"{config.data.uri} is endless; say by --limit how many samples to take")
    return source


def estimate(config: CheckConfig) -> Estimate:
    """Read the dataset, and count.

    Raises:
        UserError: see `open_data`.
    """
    source, data = open_data(config), config.data
    samples = count_samples(islice(source, data.offset, None), data.limit)
    skipped = source.report.skipped if isinstance(source, Reader) else []
    return Estimate(
        samples=samples,
        originals=samples * (1 + config.repeats),
        controls=samples if config.attacks else 0,
        edits=samples * len(config.attacks) * config.budget,
        skipped=tuple(map(str, skipped)),
    )
