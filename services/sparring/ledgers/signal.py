"""Which groups can teach: referee, conductor and trainer must agree, or one waits for what another never counts."""

from __future__ import annotations

from collections.abc import Sequence

LEAST, MOST = 0.01, 0.99
"""Bounds of a group's mean reward, beyond which there is nothing left to learn from it (arXiv 2602.22227)."""


def has_signal(rewards: Sequence[float]) -> bool:
    """Whether a group can teach: its rewards differ and their mean lies in (0.01, 0.99) (DAPO's dynamic sampling)."""
    return len(set(rewards)) > 1 and LEAST < sum(rewards) / len(rewards) < MOST
