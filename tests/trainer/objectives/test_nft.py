"""DiffusionNFT's loss: its stationary point, its gradient, its limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparring.trainer.objectives.nft import nft_loss, optimality

BETA = 0.1


def drawn(rows: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    velocity, old, true = torch.randn(3, rows, 5, 2, generator=generator, dtype=torch.float64)
    return velocity.requires_grad_(), old, true, torch.rand(rows, generator=generator, dtype=torch.float64)


def test_gradient_by_finite_differences() -> None:
    velocity, old, true, good = drawn()
    assert torch.autograd.gradcheck(lambda x: nft_loss(x, old, true, good, BETA), velocity)


def test_gradient_in_closed_form() -> None:
    """d/dv of r |v+ - v*|^2 + (1 - r) |v- - v*|^2 is 2 b (r (v+ - v*) - (1 - r) (v- - v*)) / elements."""
    velocity, old, true, good = drawn()
    nft_loss(velocity, old, true, good, BETA).sum().backward()
    weight = good[:, None, None]
    ahead = (1 - BETA) * old + BETA * velocity.detach() - true
    behind = (1 + BETA) * old - BETA * velocity.detach() - true
    torch.testing.assert_close(velocity.grad, 2 * BETA * (weight * ahead - (1 - weight) * behind) / 10)


def test_it_is_least_where_the_paper_says() -> None:
    """At v = v_old + (2 r - 1) (v* - v_old) / b: toward the sample if it was good, away from it if not."""
    _, old, true, good = drawn()
    best = (old + (2 * good - 1)[:, None, None] * (true - old) / BETA).requires_grad_()
    nft_loss(best, old, true, good, BETA).sum().backward()
    torch.testing.assert_close(best.grad, torch.zeros_like(best))


def test_a_perfect_edit_at_full_reach_is_flow_matching() -> None:
    velocity, old, true, _ = drawn()
    found = nft_loss(velocity, old, true, torch.ones(4, dtype=torch.float64), beta=1.0)
    torch.testing.assert_close(found, (velocity - true).square().mean(dim=(1, 2)))


@given(st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=6), min_size=1, max_size=4))
def test_optimality_follows_the_rewards(groups: list[list[float]]) -> None:
    for spread in ("group", "batch"):
        for rewards, good in zip(groups, optimality(groups, spread), strict=True):
            assert good.dtype == np.float32
            assert ((good >= 0) & (good <= 1)).all()
            order = np.argsort(rewards)
            assert (np.diff(good[order]) >= 0).all()


def test_optimality_in_closed_form() -> None:
    (good,) = optimality([[0.0, 0.5, 1.0]], "group")
    np.testing.assert_allclose(good, [0, 0.5, 1])
    (good, other) = optimality([[0.4, 0.6], [0.0, 1.0]], "batch")
    spread = np.std([0.4, 0.6, 0.0, 1.0])
    np.testing.assert_allclose(good, [0.5 - 0.05 / spread, 0.5 + 0.05 / spread], rtol=1e-3)
    np.testing.assert_allclose(other, [0, 1])


@pytest.mark.parametrize("spread", ["group", "batch"])
def test_equal_rewards_say_nothing(spread: str) -> None:
    np.testing.assert_allclose(optimality([[0.3, 0.3]], spread), [[0.5, 0.5]])  # type: ignore[arg-type]
