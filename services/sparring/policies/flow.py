"""The mathematics of sampling a flow-matching model as a policy: pure functions on float32 tensors.

x(sigma) = (1 - sigma) x0 + sigma eps; a model predicts the velocity v = eps - x0; sigma falls from 1 to 0. A step is
either Euler's or a Gaussian around a mean that leaves the marginal distribution as it was: Flow-SDE (Flow-GRPO, arXiv
2505.05470), CPS (coefficients-preserving sampling, arXiv 2509.05952) or DanceGRPO's SDE (arXiv 2505.07818).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from numpy.typing import NDArray

from sparring.policies.config import Variant


@dataclass(frozen=True)
class Transition:
    """The distribution of the next state.

    Attributes:
        mean: float32 [batch, tokens, channels].
        deviation: float32 [batch]; 0 where the step is deterministic.
    """

    mean: torch.Tensor
    deviation: torch.Tensor


def schedule(scheduler: FlowMatchEulerDiscreteScheduler, steps: int, tokens: int) -> NDArray[np.float32]:
    """Noise levels as the Qwen-Image pipelines have them: float32 [steps + 1], from 1 to 0, shifted for `tokens`."""
    own = FlowMatchEulerDiscreteScheduler.from_config(scheduler.config)
    shorter, longer = own.config.base_image_seq_len, own.config.max_image_seq_len
    slope = (own.config.max_shift - own.config.base_shift) / (longer - shorter)
    shift = own.config.base_shift + slope * (tokens - shorter)
    own.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps).tolist(), mu=shift)
    return own.sigmas.numpy().astype(np.float32)


def euler(x: torch.Tensor, v: torch.Tensor, sigma: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """The next state without noise; `sigma` and `after` are float32 [batch]."""
    return x + v * spread(after - sigma)


def transition(
    variant: Variant,
    noise_level: float,
    x: torch.Tensor,
    v: torch.Tensor,
    sigma: torch.Tensor,
    after: torch.Tensor,
    second: torch.Tensor,
) -> Transition:
    """The next state's distribution.

    Args:
        variant: form of the SDE.
        noise_level: a; the noise vanishes with it.
        x: float32 [batch, tokens, channels]; the state.
        v: float32, same shape; the velocity there.
        sigma: float32 [batch]; noise level of `x`.
        after: float32 [batch]; noise level of the next state.
        second: float32 [batch]; the schedule's second noise level. Flow-SDE has a pole at sigma = 1 and uses it there.
    """
    x, v = x.float(), v.float()
    match variant:
        case "ode":
            return Transition(euler(x, v, sigma, after), torch.zeros_like(sigma))
        case "flow_sde":
            below = torch.where(sigma >= 1, second, sigma)
            return diffused(x, v, sigma, after, noise_level * (sigma / (1 - below)).sqrt())
        case "dance":
            return diffused(x, v, sigma, after, torch.full_like(sigma, noise_level))
        case "cps":
            return preserved(x, v, sigma, after, after * math.sin(noise_level * math.pi / 2))


def diffused(
    x: torch.Tensor, v: torch.Tensor, sigma: torch.Tensor, after: torch.Tensor, strength: torch.Tensor
) -> Transition:
    """Euler-Maruyama step of dx = (v - strength^2 / 2 score) dt + strength dw; the score is -noise / sigma."""
    noise = x + v * spread(1 - sigma)
    drift = v + noise * spread(strength.square() / (2 * sigma))
    return Transition(x + drift * spread(after - sigma), strength * (sigma - after).sqrt())


def preserved(
    x: torch.Tensor, v: torch.Tensor, sigma: torch.Tensor, after: torch.Tensor, deviation: torch.Tensor
) -> Transition:
    """Part of the predicted noise is exchanged for fresh noise, so that the total is as the schedule wants it."""
    clean, noise = x - v * spread(sigma), x + v * spread(1 - sigma)
    kept = (after.square() - deviation.square()).clamp_min(0).sqrt()
    return Transition(clean * spread(1 - after) + noise * spread(kept), deviation)


def logprob(variant: Variant, reached: torch.Tensor, step: Transition) -> torch.Tensor:
    """Log-probability of the state that was reached, **averaged** over latent elements: float32 [batch].

    CPS drops the normaliser and the scale, as its authors do: minus the mean squared distance.

    Raises:
        ValueError: the step has no distribution (`ode`).
    """
    if variant == "ode":
        raise ValueError("a step without noise has no log-probability")
    square = (reached.float() - step.mean).square().flatten(1).mean(1)
    if variant == "cps":
        return -square
    return -square / (2 * step.deviation.square()) - step.deviation.log() - math.log(2 * math.pi) / 2


def guided(cond: torch.Tensor, uncond: torch.Tensor, scale: float) -> torch.Tensor:
    """True classifier-free guidance, rescaled to the norm of `cond` over channels (the last axis)."""
    combined = uncond + scale * (cond - uncond)
    return combined * (cond.norm(dim=-1, keepdim=True) / combined.norm(dim=-1, keepdim=True))


def spread(value: torch.Tensor) -> torch.Tensor:
    """[batch] to [batch, 1, 1]."""
    return value[:, None, None]
