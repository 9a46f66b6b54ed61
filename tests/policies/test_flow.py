"""The SDE against closed forms, and its noise-free limit against diffusers' scheduler."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from sparring.policies import flow
from sparring.policies.config import Variant

STOCHASTIC: tuple[Variant, ...] = ("flow_sde", "cps", "dance")


def state(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 4, 8, generator=generator), torch.randn(3, 4, 8, generator=generator)


def levels(sigma: float, after: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return tuple(torch.full((3,), value) for value in (sigma, after, 0.8))  # type: ignore[return-value]


def test_flow_sde_is_the_published_form() -> None:
    x, v = state()
    a, sigma, after = 0.7, 0.6, 0.45
    dt = after - sigma
    s = a * math.sqrt(sigma / (1 - sigma))
    mean = x * (1 + s**2 / (2 * sigma) * dt) + v * (1 + s**2 * (1 - sigma) / (2 * sigma)) * dt
    step = flow.transition("flow_sde", a, x, v, *levels(sigma, after))
    torch.testing.assert_close(step.mean, mean)
    torch.testing.assert_close(step.deviation, torch.full((3,), s * math.sqrt(-dt)))


def test_flow_sde_at_pure_noise_uses_the_second_level_within_the_pole() -> None:
    x, v = state()
    step = flow.transition("flow_sde", 0.7, x, v, *levels(1.0, 0.8))
    torch.testing.assert_close(step.deviation, torch.full((3,), 0.7 * math.sqrt(1 / (1 - 0.8)) * math.sqrt(0.2)))


def test_cps_keeps_the_share_of_noise() -> None:
    x, v = state()
    sigma, after, a = 0.6, 0.45, 0.5
    s = after * math.sin(a * math.pi / 2)
    clean, noise = x - sigma * v, x + (1 - sigma) * v
    step = flow.transition("cps", a, x, v, *levels(sigma, after))
    torch.testing.assert_close(step.mean, clean * (1 - after) + noise * math.sqrt(after**2 - s**2))
    torch.testing.assert_close(step.deviation, torch.full((3,), s))


def test_dance_adds_the_score() -> None:
    x, v = state()
    sigma, after, a = 0.6, 0.45, 0.3
    score = -(x - (1 - sigma) * (x - sigma * v)) / sigma**2
    step = flow.transition("dance", a, x, v, *levels(sigma, after))
    torch.testing.assert_close(step.mean, x + (v - a**2 / 2 * score) * (after - sigma))
    torch.testing.assert_close(step.deviation, torch.full((3,), a * math.sqrt(sigma - after)))


@pytest.mark.parametrize("variant", STOCHASTIC)
def test_without_noise_every_variant_is_diffusers_euler_step(variant: Variant) -> None:
    x, v = state()
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0)
    sigmas = flow.schedule(scheduler, 6, 16)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / 6, 6).tolist())
    np.testing.assert_allclose(sigmas, scheduler.sigmas.numpy(), atol=1e-6)
    for index in range(6):
        stepped = scheduler.step(v, scheduler.timesteps[index], x, return_dict=False)[0]
        now = [torch.full((3,), float(value)) for value in (sigmas[index], sigmas[index + 1], sigmas[1])]
        torch.testing.assert_close(flow.transition(variant, 0.0, x, v, *now).mean, stepped, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variant", ["flow_sde", "dance"])
def test_logprob_is_torchs_normal_averaged_over_elements(variant: Variant) -> None:
    x, v = state()
    step = flow.transition(variant, 0.7, x, v, *levels(0.6, 0.45))
    reached, _ = state(1)
    normal = torch.distributions.Normal(step.mean, step.deviation[:, None, None])
    torch.testing.assert_close(flow.logprob(variant, reached, step), normal.log_prob(reached).mean(dim=(1, 2)))


def test_logprob_of_cps_is_the_negative_squared_distance() -> None:
    x, v = state()
    step = flow.transition("cps", 0.7, x, v, *levels(0.6, 0.45))
    reached, _ = state(1)
    expected = -((reached - step.mean) ** 2).mean(dim=(1, 2))
    torch.testing.assert_close(flow.logprob("cps", reached, step), expected)


def test_a_step_without_noise_has_no_logprob() -> None:
    x, v = state()
    with pytest.raises(ValueError, match="no log-probability"):
        flow.logprob("ode", x, flow.transition("ode", 0.0, x, v, *levels(0.6, 0.45)))


@pytest.mark.parametrize("variant", ["flow_sde", "dance"])
def test_steps_keep_the_marginal_of_a_known_flow(variant: Variant) -> None:
    """For x0 ~ N(0, 1) the ideal velocity is linear, and every variant must end at variance 1."""
    generator = torch.Generator().manual_seed(0)
    steps = 100
    sigmas = np.linspace(1, 0, steps + 1)
    x = torch.randn(1, 100, 200, generator=generator)
    for index in range(steps - 1):
        sigma, after = float(sigmas[index]), float(sigmas[index + 1])
        v = x * (sigma - (1 - sigma)) / ((1 - sigma) ** 2 + sigma**2)
        now = [torch.tensor([value]) for value in (sigma, after, float(sigmas[1]))]
        step = flow.transition(variant, 0.3, x, v, *now)
        x = step.mean + step.deviation[:, None, None] * torch.randn(x.shape, generator=generator)
    assert float(x.var()) == pytest.approx(1.0, abs=0.05)


def test_guidance_keeps_the_norm_of_the_conditional_branch() -> None:
    cond, uncond = state()
    combined = flow.guided(cond, uncond, 4.0)
    torch.testing.assert_close(combined.norm(dim=-1), cond.norm(dim=-1))
    torch.testing.assert_close(flow.guided(cond, uncond, 1.0), cond)
