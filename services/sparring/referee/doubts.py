"""Why the numbers of a check are not to be trusted."""

from __future__ import annotations

from collections.abc import Iterator

from sparring.ledgers.entries import Ending
from sparring.referee.counts import Counts
from sparring.referee.facts import DatasetFacts
from sparring.referee.measures import Report
from sparring.referee.shares import FEW

MISSING = 0.02
"""Share of matches without result, or of rows that are no samples, above which a report is unreliable."""
UNREADABLE = 0.05
"""Share of answers without a choice, or of answers that were cut off, above which a report is unreliable."""
REJECTED = 0.5
"""Share of rejected edits above which a report is unreliable: those that pass are a choice of their own."""
ENDINGS: dict[Ending, str] = {
    "cancelled": "it was cancelled",
    "capped": "it reached the most calls that it may make",
    "failed": "it was broken off by an error",
}


def of_measures(found: Report, images: int) -> Iterator[str]:
    """What speaks against the numbers themselves."""
    if images < FEW:
        yield f"{images} images are too few for an interval; {FEW} or more are needed"
    if found.unscored.value > UNREADABLE:
        yield f"no choice could be read out of {found.unscored.value:.1%} of answers, which count as wrong"
    if found.validity.value < 1 - REJECTED:
        lost = 1 - found.validity.value
        yield f"{lost:.1%} of edits were rejected or found no room; those that are left are no fair sample"
    if found.robust.n and found.asr.n == 0:
        yield "no sample is right on original and control, so that no edit can be credited with an error"


def of_counts(counts: Counts, samples: int) -> Iterator[str]:
    """What speaks against the answers."""
    missing = sum(counts.failed.values())
    if missing > MISSING * samples:
        yield f"{missing} matches have no result: see the bounds of robust accuracy"
    if counts.makers > 1:
        yield f"the target changed in mid-run: its answers name {counts.makers} models, or versions of one"
    if counts.truncated > UNREADABLE * counts.answers:
        cut = counts.truncated / counts.answers
        yield f"{cut:.1%} of answers were cut off; a higher limit of tokens may change the result"


def of_run(ended: Ending, samples: int, wanted: int, facts: DatasetFacts) -> Iterator[str]:
    """What speaks against the choice of samples."""
    if ended != "finished":
        yield f"the check did not come to its end, for {ENDINGS[ended]}: {samples} of up to {wanted} samples were begun"
    skipped = sum(facts.skipped.values())
    if skipped > MISSING * facts.rows:
        yield f"{skipped} of {facts.rows} rows of the dataset are no samples"
