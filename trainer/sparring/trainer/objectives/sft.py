"""Supervised losses: what the right answer, or the right edit, is known."""

from __future__ import annotations

import torch


def cross_entropy(logprob: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The **sum** over valid tokens of -log p; the caller divides by the number of valid tokens of the whole update.

    Args:
        logprob: float32 [answers, tokens], with gradients.
        mask: bool [answers, tokens].
    """
    return -logprob[mask].sum()


def flow_matching(velocity: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Per row, averaged over latent elements: |v - (noise - clean)|^2 (arXiv 2210.02747): float32 [rows].

    Args:
        velocity: float32 [rows, tokens, channels], of the learner, with gradients.
        true: noise less the clean latent.
    """
    return (velocity - true).square().mean(dim=(1, 2))
