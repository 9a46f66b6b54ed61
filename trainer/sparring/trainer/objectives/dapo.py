"""DAPO's loss on the tokens of answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sparring.trainer.config import Dapo

FARTHEST = 20.0
"""Log-ratios are clamped to +- this, so that one absurd token cannot overflow."""


@dataclass(frozen=True)
class TokenHealth:
    """Sums over valid tokens, to be divided by their number; scalars without gradients."""

    clipped_low: torch.Tensor
    clipped_high: torch.Tensor
    kl: torch.Tensor
    """Of exp(d) - 1 - d with d = new - old (k3): under samples of the old policy its divergence from the new, with
    less variance than k1 and never negative."""
    kl_k1: torch.Tensor
    """Of -d: the same in expectation."""


def dapo_loss(
    logprob: torch.Tensor,
    old: torch.Tensor,
    advantage: torch.Tensor,
    mask: torch.Tensor,
    config: Dapo,
    importance: torch.Tensor | None = None,
) -> tuple[torch.Tensor, TokenHealth]:
    """The **sum** of token losses; the caller divides by the number of valid tokens of the whole update.

    -min(ratio A, clip(ratio, 1 - low, 1 + high) A), at most `dual_clip` |A| where A < 0 (arXiv 2503.14476; dual clip:
    arXiv 1912.09729).

    Args:
        logprob: float32 [answers, tokens], with gradients.
        old: the same under the policy that it is compared with: the one that sampled, or else the one that the step
            starts from, which then takes `importance`.
        advantage: float32 [answers].
        mask: bool [answers, tokens].
        config: clip ranges.
        importance: float32 [answers, tokens]; weight of each token's loss, from `truncated`. None is 1.
    """
    distance = (logprob - old).clamp(-FARTHEST, FARTHEST)
    ratio, weight = distance.exp(), advantage[:, None]
    loss = -torch.minimum(ratio * weight, ratio.clamp(1 - config.clip_low, 1 + config.clip_high) * weight)
    loss = torch.where(weight < 0, torch.minimum(loss, -config.dual_clip * weight), loss)
    if importance is not None:
        loss = importance * loss
    with torch.no_grad():
        health = TokenHealth(
            clipped_low=((ratio < 1 - config.clip_low) & (weight < 0))[mask].sum().float(),
            clipped_high=((ratio > 1 + config.clip_high) & (weight > 0))[mask].sum().float(),
            kl=(ratio - 1 - distance)[mask].sum(),
            kl_k1=-distance[mask].sum(),
        )
    return loss[mask].sum(), health


def truncated(old: torch.Tensor, sampler: torch.Tensor, most: float) -> torch.Tensor:
    """min(exp(old - sampler), `most`): truncated importance sampling (Ionides, 2008), without gradients.

    Args:
        old: float32 [answers, tokens], log-probabilities as the trainer computes them before the step.
        sampler: the same as the service computed them when it sampled.
    """
    return (old - sampler).detach().clamp(-FARTHEST, FARTHEST).exp().clamp(max=most)
