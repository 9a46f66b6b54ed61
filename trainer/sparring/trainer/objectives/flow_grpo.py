"""Flow-GRPO's loss on the recorded steps of edits."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sparring.trainer.config import FlowGrpo


@dataclass(frozen=True)
class StepHealth:
    """Sums over edits and steps; scalars without gradients."""

    clipped: torch.Tensor
    kl: torch.Tensor
    """Of 0.5 (new - old)^2, the second-order estimate."""


def flow_grpo_loss(
    logprob: torch.Tensor, old: torch.Tensor, advantage: torch.Tensor, config: FlowGrpo
) -> tuple[torch.Tensor, StepHealth]:
    """The **sum** over edits of the summed loss of their steps; the caller divides by the number of edits.

    max(-A ratio, -A clip(ratio, 1 - c, 1 + c)) (arXiv 2505.05470).

    Args:
        logprob: float32 [edits, window], averaged over latent elements, with gradients.
        old: the same under the policy that sampled.
        advantage: float32 [edits].
        config: clip range.
    """
    distance = logprob - old
    ratio, weight = distance.exp(), -advantage[:, None]
    loss = torch.maximum(weight * ratio, weight * ratio.clamp(1 - config.clip, 1 + config.clip))
    with torch.no_grad():
        outside = ((ratio > 1 + config.clip) & (weight < 0)) | ((ratio < 1 - config.clip) & (weight > 0))
        health = StepHealth(clipped=outside.sum().float(), kl=(0.5 * distance.square()).sum())
    return loss.sum(), health


def gaussian_kl(mean: torch.Tensor, reference: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """KL of two Gaussians of one deviation, averaged over latent elements: float32 [edits, window].

    (mean - reference)^2 / (2 s^2).

    Args:
        mean, reference: float32 [edits, window, tokens, channels].
        deviation: float32 [edits, window].
    """
    return (mean - reference).square().mean(dim=(2, 3)) / (2 * deviation.square())
