"""DAPO's loss and gradient against those of TRL's trainer on the same tensors."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trl import GRPOTrainer

from sparring.trainer.config import Dapo
from sparring.trainer.objectives.dapo import FARTHEST, dapo_loss, truncated

CONFIG = Dapo()


@dataclass(frozen=True)
class Drawn:
    """Answers as a trainer sees them; some log-ratios are far outside of every clip."""

    logprob: torch.Tensor
    old: torch.Tensor
    advantage: torch.Tensor
    mask: torch.Tensor

    @property
    def count(self) -> int:
        return int(self.mask.sum())


def drawn(seed: int, answers: int = 12, tokens: int = 9, spread: float = 0.7) -> Drawn:
    generator = torch.Generator().manual_seed(seed)
    old = -3 * torch.rand(answers, tokens, generator=generator)
    logprob = (old + spread * torch.randn(answers, tokens, generator=generator)).requires_grad_()
    lengths = torch.randint(1, tokens + 1, (answers, 1), generator=generator)
    return Drawn(logprob, old, torch.randn(answers, generator=generator), torch.arange(tokens) < lengths)


def by_trl(given: Drawn, importance: torch.Tensor | None = None) -> tuple[torch.Tensor, dict[str, list[float]]]:
    """What TRL's trainer makes of the whole batch, in one process, without accumulation.

    It is called with what it reads of itself and nothing else; `delta` is its name for the dual clip.
    """
    trainer = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *args, **options: (given.logprob, torch.zeros_like(given.old), None),
        accelerator=SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x),
        args=SimpleNamespace(delta=CONFIG.dual_clip, steps_per_generation=1),
        model=SimpleNamespace(training=True),
        epsilon_low=CONFIG.clip_low,
        epsilon_high=CONFIG.clip_high,
        loss_type="dapo",
        importance_sampling_level="token",
        current_gradient_accumulation_steps=1,
        beta=0.0,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=importance is not None,
        vllm_importance_sampling_correction=importance is not None,
        aux_loss_enabled=False,
        _entropy_bonus_enabled=False,
        _metrics={"train": defaultdict(list)},
    )
    inputs = {
        "prompt_ids": torch.zeros(len(given.old), 1, dtype=torch.long),
        "prompt_mask": torch.ones(len(given.old), 1, dtype=torch.long),
        "completion_ids": torch.zeros_like(given.old, dtype=torch.long),
        "completion_mask": given.mask.long(),
        "advantages": given.advantage,
        "old_per_token_logps": given.old,
        "num_items_in_batch": given.mask.sum(),
        "importance_sampling_ratio": importance,
    }
    return GRPOTrainer._compute_loss(trainer, None, inputs), trainer._metrics["train"]


@pytest.mark.parametrize("seed", range(5))
def test_loss_and_gradient_are_those_of_trl(seed: int) -> None:
    batch = drawn(seed)
    expected, metrics = by_trl(batch)
    total, health = dapo_loss(batch.logprob, batch.old, batch.advantage, batch.mask, CONFIG)
    loss = total / batch.count
    torch.testing.assert_close(loss, expected)
    (ours,) = torch.autograd.grad(loss, batch.logprob)
    (theirs,) = torch.autograd.grad(expected, batch.logprob)
    torch.testing.assert_close(ours, theirs)
    assert ours.abs().sum() > 0
    assert float(health.clipped_low) / batch.count == pytest.approx(metrics["clip_ratio/low_mean"][0])
    assert float(health.clipped_high) / batch.count == pytest.approx(metrics["clip_ratio/high_mean"][0])


@pytest.mark.parametrize("seed", range(3))
def test_truncated_importance_sampling_is_that_of_trl(seed: int) -> None:
    batch = drawn(seed)
    sampler = batch.old + torch.randn(batch.old.shape, generator=torch.Generator().manual_seed(seed + 100))
    # TRL makes this ratio while it samples, beyond the reach of a test.
    importance = (batch.old - sampler).exp().clamp(max=1.5)
    torch.testing.assert_close(truncated(batch.old, sampler, 1.5), importance)
    assert (importance[batch.mask] == 1.5).any()
    expected, _ = by_trl(batch, importance)
    loss, _ = dapo_loss(batch.logprob, batch.old, batch.advantage, batch.mask, CONFIG, importance)
    torch.testing.assert_close(loss / batch.count, expected)
    (ours,) = torch.autograd.grad(loss / batch.count, batch.logprob)
    (theirs,) = torch.autograd.grad(expected, batch.logprob)
    torch.testing.assert_close(ours, theirs)


@given(st.integers(0, 2**31), st.integers(1, 11))
@settings(max_examples=25, deadline=None)
def test_parts_add_up_to_the_whole(seed: int, cut: int) -> None:
    """So micro-batches, and ranks, come to what one batch comes to."""
    batch = drawn(seed)
    whole, _ = dapo_loss(batch.logprob, batch.old, batch.advantage, batch.mask, CONFIG)
    parts = [
        dapo_loss(batch.logprob[rows], batch.old[rows], batch.advantage[rows], batch.mask[rows], CONFIG)[0]
        for rows in (slice(None, cut), slice(cut, None))
    ]
    torch.testing.assert_close(sum(parts), whole)


@given(st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_what_is_masked_does_not_count(seed: int) -> None:
    batch = drawn(seed)
    other = torch.where(batch.mask, batch.logprob.detach(), torch.tensor(-1e4)).requires_grad_()
    loss, health = dapo_loss(batch.logprob, batch.old, batch.advantage, batch.mask, CONFIG)
    again, same = dapo_loss(other, batch.old, batch.advantage, batch.mask, CONFIG)
    torch.testing.assert_close(loss, again)
    torch.testing.assert_close(health.kl, same.kl)
    assert not torch.autograd.grad(again, other)[0][~batch.mask].any()


@given(st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_on_policy_it_is_the_policy_gradient(seed: int) -> None:
    batch = drawn(seed, spread=0.0)
    loss, health = dapo_loss(batch.logprob, batch.old, batch.advantage, batch.mask, CONFIG)
    (gradient,) = torch.autograd.grad(loss, batch.logprob)
    torch.testing.assert_close(gradient, -batch.advantage[:, None] * batch.mask)
    assert float(health.kl) == float(health.clipped_low) == float(health.clipped_high) == 0


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("ratio", [0.5, 0.9, 1.1, 1.5, 5.0])
def test_one_token_in_closed_form(sign: float, ratio: float) -> None:
    logprob = torch.tensor([[ratio]]).log().requires_grad_()
    loss, _ = dapo_loss(logprob, torch.zeros(1, 1), torch.tensor([sign]), torch.ones(1, 1, dtype=torch.bool), CONFIG)
    expected = -min(ratio, 1.28) if sign > 0 else min(max(ratio, 0.8), 3.0)
    assert loss.item() == pytest.approx(expected)


def test_an_absurd_token_does_not_overflow() -> None:
    logprob = torch.tensor([[500.0]], requires_grad=True)
    mask = torch.ones(1, 1, dtype=torch.bool)
    loss, health = dapo_loss(logprob, torch.zeros(1, 1), torch.tensor([-1.0]), mask, CONFIG)
    loss.backward()
    assert loss.item() == CONFIG.dual_clip
    assert logprob.grad is not None
    assert torch.isfinite(logprob.grad).all()
    assert health.kl.item() == pytest.approx(math.exp(FARTHEST) - 1 - FARTHEST)


def test_divergence_is_that_of_the_old_policy_from_the_new() -> None:
    """Each token of a vocabulary once, weighed by how often the old policy would draw it."""
    generator = torch.Generator().manual_seed(0)
    old, new = (torch.randn(50, 1, generator=generator).double().log_softmax(0) for _ in range(2))
    one, mask = torch.ones(1), torch.ones(1, 1, dtype=torch.bool)
    each = [dapo_loss(new[row, None], old[row, None], one, mask, CONFIG)[1] for row in range(50)]
    share, expected = old.exp()[:, 0], (old.exp() * (old - new)).sum().item()
    assert (share * torch.stack([health.kl for health in each])).sum().item() == pytest.approx(expected)
    assert (share * torch.stack([health.kl_k1 for health in each])).sum().item() == pytest.approx(expected)
    assert all(health.kl >= 0 for health in each)
