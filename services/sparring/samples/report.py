"""What a pass over a dataset met: no row of it is dropped without a word."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Fault = Literal["syntax", "fields", "options", "answer", "path", "image", "imageless", "box", "id", "repeat"]

_SKIPPED = 100


class BadRow(ValueError):
    """A row of a dataset that is no sample.

    Attributes:
        source: file or folder of the dataset.
        place: where in it: a line, a record, a path.
        fault: `syntax` (not JSON, not a row of the table), `fields` (missing or of the wrong type), `options` (fewer
            than two, more than 26 or not distinct), `answer` (names no option), `path` (no such file, or not one that
            may be read), `image` (see `BadImage`), `imageless` (it asks about no image), `box` (see `BadBox`), `id`
            (that of an earlier row), `repeat` (it asks what an earlier row asks).
        reason: the whole story.
    """

    def __init__(self, source: str, place: str, fault: Fault, reason: str) -> None:
        super().__init__(f"{source}, {place}: {fault}: {reason}")
        self.source = source
        self.place = place
        self.fault: Fault = fault
        self.reason = reason


@dataclass
class Report:
    """What one pass over a dataset met.

    Attributes:
        samples: rows that were given out.
        counts: rows that were skipped, by fault.
        skipped: of each fault the first hundred of them.
        merged: rows that are part of an earlier one's sample, because a benchmark asks the same in several variants.
        clipped: boxes that reached out of their image and were cut.
        boxless: samples without boxes; of their edits the whole image is compared with the control.
        complete: whether the pass has come to the end; before that nothing is verified.
        verified: what agrees with the published files, by name and check.
        remarks: what does not, and what is known of these files. A part of a benchmark is no fault.
    """

    samples: int = 0
    counts: Counter[Fault] = field(default_factory=Counter)
    skipped: list[BadRow] = field(default_factory=list)
    merged: int = 0
    clipped: int = 0
    boxless: int = 0
    complete: bool = False
    verified: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """All rows that were met."""
        return self.samples + self.merged + self.counts.total()

    def skip(self, row: BadRow) -> None:
        self.counts[row.fault] += 1
        if self.counts[row.fault] <= _SKIPPED:
            self.skipped.append(row)
