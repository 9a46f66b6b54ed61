"""How far a check is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sparring.ledgers.entries import Ending
from sparring.referee.checks.record import CheckRecord

State = Literal["waiting", "running"] | Ending


@dataclass(frozen=True)
class Standing:
    """How far a check is.

    Attributes:
        record: what is known of it.
        state: what it is doing, or how it ended.
        done: samples of which everything has been tried.
        missing: matches without result.
    """

    record: CheckRecord
    state: State
    done: int = 0
    missing: int = 0

    @property
    def ended(self) -> bool:
        return self.state not in ("waiting", "running")


def standing_of(record: CheckRecord) -> Standing:
    """How far a check is that nobody here is playing."""
    if record.ended is None:
        return Standing(record, "running")
    return Standing(record, record.ended.ending, record.ended.done, record.ended.missing)
