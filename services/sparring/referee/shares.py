"""Shares as a report tells them."""

from __future__ import annotations

from dataclasses import asdict

from sparring.ledgers.entries import Share
from sparring.referee import statistics

FEW = 30
"""Observations below which no interval is told: it would say more than is known."""


def to_share(found: statistics.Share) -> Share:
    """The share as it is told: without an interval where there are too few observations for one."""
    told = Share.model_validate(asdict(found))
    return told if found.n >= FEW else told.model_copy(update={"low": None, "high": None})
