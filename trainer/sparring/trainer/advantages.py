"""From rewards to advantages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray


def answer_advantages(rewards: Sequence[float]) -> NDArray[np.float32]:
    """(r - mean) / (std + 1e-6) within one group, with the unbiased deviation: float32 [answers]."""
    values = np.asarray(rewards, dtype=np.float64)
    return ((values - values.mean()) / (values.std(ddof=1) + 1e-6)).astype(np.float32)


def edit_advantages(
    groups: Sequence[Sequence[float]], spread: Literal["group", "batch"], clip: float
) -> list[NDArray[np.float32]]:
    """(r - mean of the group) / (std + 1e-4), clipped to +-`clip`: for each group float32 [edits].

    With `spread` "batch" the deviation is that of all rewards together (Flow-GRPO's "global std").
    """
    values = [np.asarray(group, dtype=np.float64) for group in groups]
    whole = np.concatenate(values).std()
    return [
        ((group - group.mean()) / ((group.std() if spread == "group" else whole) + 1e-4))
        .clip(-clip, clip)
        .astype(np.float32)
        for group in values
    ]
