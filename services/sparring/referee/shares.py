"""Shares as a report tells them."""

from __future__ import annotations

from sparring.ledgers.entries import Share
from sparring.referee import statistics

FEW = 30
"""Independent observations, or images, below which no interval is told: it would say more than is known."""


def to_share(found: statistics.Share) -> Share:
    """The share as it is told: without an interval where there are too few observations for one."""
    told = Share.model_validate(found, from_attributes=True)
    return told if found.independent >= FEW else told.model_copy(update={"low": None, "high": None})
