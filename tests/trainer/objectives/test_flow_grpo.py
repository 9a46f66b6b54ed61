"""Flow-GRPO's loss in closed form and by finite differences; the divergence against torch's."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from sparring.trainer.config import FlowGrpo
from sparring.trainer.objectives.flow_grpo import flow_grpo_loss, gaussian_kl

CONFIG = FlowGrpo(clip=0.1)


def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    old = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    new = (old + 0.2 * torch.randn(6, 3, generator=generator, dtype=torch.float64)).requires_grad_()
    return new, old, torch.randn(6, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(3))
def test_gradient_by_finite_differences(seed: int) -> None:
    new, old, advantage = drawn(seed)
    assert torch.autograd.gradcheck(lambda x: flow_grpo_loss(x, old, advantage, CONFIG)[0], new)


@pytest.mark.parametrize(("sign", "ratio"), [(s, r) for s in (1.0, -1.0) for r in (0.5, 0.95, 1.0, 1.05, 2.0)])
def test_one_step_in_closed_form(sign: float, ratio: float) -> None:
    new = torch.tensor([[ratio]]).log().requires_grad_()
    loss, health = flow_grpo_loss(new, torch.zeros(1, 1), torch.tensor([sign]), CONFIG)
    expected = -min(ratio, 1.1) if sign > 0 else max(ratio, 0.9)
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert new.grad is not None
    held = (sign > 0 and ratio > 1.1) or (sign < 0 and ratio < 0.9)
    assert new.grad.item() == pytest.approx(0 if held else -sign * ratio)
    assert health.clipped.item() == float(held)
    assert health.kl.item() == pytest.approx(0.5 * new.item() ** 2)


def test_on_policy_it_is_the_policy_gradient() -> None:
    _, old, advantage = drawn(0)
    new = old.clone().requires_grad_()
    flow_grpo_loss(new, old, advantage, CONFIG)[0].backward()
    torch.testing.assert_close(new.grad, -advantage[:, None].expand(6, 3))


def test_divergence_is_that_of_gaussians() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, reference = torch.randn(2, 4, 3, 5, 2, generator=generator)
    deviation = torch.rand(4, 3, generator=generator) + 0.1
    scale = deviation[..., None, None]
    expected = kl_divergence(Normal(mean, scale), Normal(reference, scale)).mean(dim=(2, 3))
    torch.testing.assert_close(gaussian_kl(mean, reference, deviation), expected)
