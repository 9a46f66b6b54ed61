"""DiffusionNFT's loss: the forward process on final latents, weighted by how good they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray


def optimality(groups: Sequence[Sequence[float]], spread: Literal["group", "batch"]) -> list[NDArray[np.float32]]:
    """How good each edit was among its group: 0.5 + 0.5 clip((r - mean) / Z, -1, 1) (arXiv 2509.16117)."""
    values = [np.asarray(group, dtype=np.float64) for group in groups]
    whole = np.concatenate(values).std()
    return [
        (
            0.5 + 0.5 * ((group - group.mean()) / ((group.std() if spread == "group" else whole) + 1e-4)).clip(-1, 1)
        ).astype(np.float32)
        for group in values
    ]


def nft_loss(
    velocity: torch.Tensor, old: torch.Tensor, true: torch.Tensor, good: torch.Tensor, beta: float
) -> torch.Tensor:
    """Per row, averaged over latent elements: r |v+ - v|^2 + (1 - r) |v- - v|^2 (arXiv 2509.16117).

    v+ = (1 - b) v_old + b v_new and v- = (1 + b) v_old - b v_new.

    Args:
        velocity: float32 [rows, tokens, channels], of the learner, with gradients.
        old: the same of the policy that sampled.
        true: noise less the final latent.
        good: float32 [rows], 0 to 1.
        beta: b.
    """
    positive = (1 - beta) * old + beta * velocity
    negative = (1 + beta) * old - beta * velocity
    toward = (positive - true).square().mean(dim=(1, 2))
    away = (negative - true).square().mean(dim=(1, 2))
    return good * toward + (1 - good) * away
