"""What a check met in its dataset, in a form that a journal can hold."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from sparring.samples.report import Report

NAMED = 20
"""Skipped rows that are told one by one."""


class DatasetFacts(BaseModel):
    """What a pass over a dataset met; an excerpt of `sparring.samples.report.Report`.

    A dataset that is made and not read, such as the shapes world, has no rows: all of this is empty then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(0, ge=0)
    """All that were met."""
    samples: int = Field(0, ge=0)
    """Those that were given out. A check that starts further on has passed over some of them."""
    skipped: Mapping[str, int] = Field(default_factory=dict)
    """Those that are no samples, by fault."""
    named: tuple[str, ...] = ()
    """The first of these, with their places and the whole story."""
    merged: int = Field(0, ge=0)
    """Those that are part of an earlier one's sample."""
    clipped: int = Field(0, ge=0)
    """Boxes that reached out of their image and were cut."""
    boxless: int = Field(0, ge=0)
    """Samples without boxes."""
    complete: bool = False
    """Whether the pass has come to the end; before that nothing is verified."""
    verified: tuple[str, ...] = ()
    """What agrees with the published files."""
    remarks: tuple[str, ...] = ()
    """What does not, and what is known of these files."""


def to_facts(met: Report) -> DatasetFacts:
    """The facts as they are told."""
    return DatasetFacts(
        rows=met.rows,
        samples=met.samples,
        skipped={fault: met.counts[fault] for fault in sorted(met.counts)},
        named=tuple(map(str, met.skipped[:NAMED])),
        merged=met.merged,
        clipped=met.clipped,
        boxless=met.boxless,
        complete=met.complete,
        verified=tuple(met.verified),
        remarks=tuple(met.remarks),
    )
