"""What differs between the roles: how items become rows of a batch, and rows a loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
from torch import nn

MAX_PIXELS, MAX_BYTES = 2**28, 2**30
"""Images in the ledger have passed a service's limits already; these only stop nonsense."""


@dataclass(frozen=True)
class Part:
    """Outcome of one micro-batch.

    Attributes:
        loss: scalar with gradients: a **sum** over the rows, in the units of `Side.size`.
        sums: numbers to be added up and divided by the update's size.
        mismatch: |service - trainer| of each log-probability of zero-lag rows, float32 [any].
    """

    loss: torch.Tensor
    sums: dict[str, float] = field(default_factory=dict)
    mismatch: torch.Tensor = field(default_factory=lambda: torch.zeros(0))


ItemT = TypeVar("ItemT", contravariant=True)
RowT = TypeVar("RowT")


class Side(Protocol[ItemT, RowT]):
    """A role's policy with its objective."""

    def module(self) -> nn.Module:
        """What DeepSpeed steps."""

    def adopt(self, folder: Path) -> None:
        """Start from a revision; it is also the reference of a divergence term."""

    def export(self, folder: Path) -> None:
        """Write the learner as a revision."""

    def rows(self, items: Sequence[ItemT], mine: Sequence[int], step: int) -> list[RowT]:
        """Rows of the items at the indices `mine`; advantages may take all `items` into account.

        Raises:
            Unusable: an item lacks what it is learnt from.
        """

    def size(self, rows: Sequence[RowT]) -> int:
        """What losses are divided by: tokens or edits."""

    def part(self, rows: Sequence[RowT]) -> Part:
        """Loss of some rows under the learner as it is now."""


class Learns(Protocol):
    """The part of a policy that is trained."""

    def learner(self) -> nn.Module: ...

    def adopt(self, folder: Path) -> None: ...

    def export(self, folder: Path) -> None: ...


PolicyT = TypeVar("PolicyT", bound=Learns)


class PolicySide(Generic[PolicyT]):
    """What every side leaves to its policy."""

    def __init__(self, policy: PolicyT) -> None:
        self._policy = policy

    def module(self) -> nn.Module:
        return self._policy.learner()

    def adopt(self, folder: Path) -> None:
        self._policy.adopt(folder)

    def export(self, folder: Path) -> None:
        self._policy.export(folder)
