"""What steps are made of, wherever it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from sparring.ledgers.records import GroupId, RevisionName

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class Batch(Generic[ItemT]):
    """What one step is made of.

    Attributes:
        items: groups, or samples.
        consumed: ids of groups that no descendant may be trained on again.
        health: numbers about where it comes from.
    """

    items: tuple[ItemT, ...]
    consumed: tuple[GroupId, ...] = ()
    health: dict[str, float] = field(default_factory=dict)


class Supply(Protocol[ItemT]):
    """Where batches come from. Only the first rank has one."""

    def take(self, step: int, lineage: Sequence[RevisionName]) -> Batch[ItemT]:
        """What step `step` (from 1) is made of; `lineage` is what the weights descend from, the oldest first."""
