"""The recorded path of an edit: what is random in it, and how a batch takes one step of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sparring.policies import flow
from sparring.policies.config import EditSampling
from sparring.policies.policy import Trajectory


@dataclass(frozen=True)
class Noise:
    """What is random in one edit.

    Attributes:
        first: float32 [tokens, channels]; the initial state.
        start: first stochastic step.
        steps: float32 [window, tokens, channels]; noise of the stochastic steps.
    """

    first: torch.Tensor
    start: int
    steps: torch.Tensor


@dataclass(frozen=True)
class Moment:
    """Where on the schedule each row of a batch is: three of its noise levels, each float32 [batch].

    Attributes:
        sigma: of the state.
        after: of the next state.
        second: the schedule's second.
    """

    sigma: torch.Tensor
    after: torch.Tensor
    second: torch.Tensor

    @classmethod
    def of(cls, sigmas: NDArray[np.float32], index: int, count: int, device: torch.device | str) -> Moment:
        """`count` rows at step `index`."""
        values = (float(sigmas[index]), float(sigmas[index + 1]), float(sigmas[1]))
        return cls(*(torch.full((count,), value, device=device) for value in values))

    @classmethod
    def joined(cls, moments: Sequence[Moment]) -> Moment:
        return cls(
            *(torch.cat(values) for values in zip(*((m.sigma, m.after, m.second) for m in moments), strict=True))
        )

    def transition(self, sampling: EditSampling, x: torch.Tensor, v: torch.Tensor) -> flow.Transition:
        return flow.transition(sampling.variant, sampling.noise_level, x, v, self.sigma, self.after, self.second)


def draw_noise(seed: int, tokens: int, channels: int, sampling: EditSampling) -> Noise:
    """Everything random in one edit, in a fixed order from its own generator."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(tokens, channels, generator=generator)
    if sampling.recorded == 0:
        return Noise(first, 0, torch.zeros(0, tokens, channels))
    start = torch.randint(sampling.window_first, sampling.window_last + 1, (1,), generator=generator)
    return Noise(first, int(start), torch.randn(sampling.recorded, tokens, channels, generator=generator))


def proceed(
    now: Moment, x: torch.Tensor, v: torch.Tensor, place: torch.Tensor, fresh: torch.Tensor, sampling: EditSampling
) -> tuple[torch.Tensor, torch.Tensor]:
    """The next state of each row and its log-probability, which means nothing for rows outside their window.

    Args:
        now: where the batch is on the schedule.
        x: float32 [batch, tokens, channels]; the states.
        v: the velocities, same shape.
        place: int64 [batch]; the step's number in each row's window, outside 0 ... window - 1 for an Euler step.
        fresh: float32 [batch, window, tokens, channels]; the windows' noise.
        sampling: form and strength of the noise.
    """
    straight = flow.euler(x, v, now.sigma, now.after)
    noisy = (place >= 0) & (place < sampling.recorded)
    if not bool(noisy.any()):
        return straight, torch.zeros_like(now.sigma)
    step = now.transition(sampling, x, v)
    noise = fresh[torch.arange(len(x), device=x.device), place.clamp(0, sampling.recorded - 1)]
    reached = step.mean + flow.spread(step.deviation) * noise
    return torch.where(flow.spread(noisy), reached, straight), flow.logprob(sampling.variant, reached, step)


def trajectories(
    states: Sequence[torch.Tensor],
    logprobs: Sequence[torch.Tensor],
    noises: Sequence[Noise],
    sigmas: NDArray[np.float32],
    sampling: EditSampling,
) -> list[Trajectory]:
    """The recorded part of each path."""
    every = torch.stack(list(states), 1).cpu().numpy()
    scores = torch.stack(list(logprobs), 1).cpu().numpy()
    return [
        Trajectory(
            sigmas=sigmas,
            start=noise.start,
            latents=path[noise.start : noise.start + sampling.recorded + 1].copy(),
            final=path[-1].copy(),
            logprobs=score[noise.start : noise.start + sampling.recorded].copy(),
            noise_level=sampling.noise_level,
            variant=sampling.variant,
            guidance=sampling.guidance,
        )
        for path, score, noise in zip(every, scores, noises, strict=True)
    ]


def recorded(path: Trajectory, sampling: EditSampling) -> Trajectory:
    """`path`, if `logprob` can score it under `sampling`."""
    was = (len(path.logprobs), len(path.sigmas) - 1, path.variant, path.noise_level, path.guidance)
    wanted = (sampling.recorded, sampling.steps, sampling.variant, sampling.noise_level, sampling.guidance)
    if was != wanted or sampling.recorded == 0:
        raise ValueError(
            "an edit can be scored only under the settings it was sampled with, some steps of them stochastic; "
            f"(window, steps, variant, noise level, guidance) were {was} and are now {wanted}"
        )
    return path
