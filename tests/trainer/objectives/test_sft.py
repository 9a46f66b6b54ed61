"""Supervised losses against torch's own."""

from __future__ import annotations

import torch
from torch import nn

from sparring.trainer.objectives.sft import cross_entropy, flow_matching


def test_cross_entropy_is_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 7, generator=generator)
    labels = torch.randint(7, (3, 4), generator=generator)
    mask = torch.tensor([[True, True, True, True], [True, True, False, False], [True, False, False, False]])
    logprob = logits.log_softmax(-1).gather(-1, labels[..., None])[..., 0]
    expected = nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.where(mask, torch.tensor(-100)).flatten(), reduction="sum"
    )
    torch.testing.assert_close(cross_entropy(logprob, mask), expected)


def test_flow_matching_is_the_squared_error_of_each_row() -> None:
    velocity, true = torch.randn(2, 3, 5, 2, generator=torch.Generator().manual_seed(0))
    expected = [nn.functional.mse_loss(*pair) for pair in zip(velocity, true, strict=True)]
    torch.testing.assert_close(flow_matching(velocity, true), torch.stack(expected))
