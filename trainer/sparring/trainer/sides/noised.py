"""Edits on the way back to noise: what objectives of the forward process have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from sparring.policies.editor import Editor
from sparring.policies.policy import Order

LEAST_LEVEL, MOST_LEVEL = 0.02, 0.98
"""Noise levels are drawn between these."""


@dataclass(frozen=True)
class NoisedRow:
    """One edit with some draws of noise.

    Attributes:
        order: what it is an edit of.
        final: float32 [tokens, channels]; its clean latent.
        noise: float32 [draws, tokens, channels].
        levels: float32 [draws].
        good: how good it was among its group, 0 to 1.
    """

    order: Order
    final: torch.Tensor
    noise: torch.Tensor
    levels: torch.Tensor
    good: float = 1.0


def noised(order: Order, final: torch.Tensor, draws: int, good: float, *seeds: int) -> NoisedRow:
    """Noise and levels follow from `seeds`."""
    seed = int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0] >> np.uint64(1))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(draws, *final.shape, generator=generator)
    levels = torch.rand(draws, generator=generator) * (MOST_LEVEL - LEAST_LEVEL) + LEAST_LEVEL
    return NoisedRow(order, final, noise, levels, good)


@dataclass(frozen=True)
class Noised:
    """Rows in one batch, `draws` states of each; padded with zeros where an image has fewer tokens.

    Attributes:
        orders: of each state.
        x: float32 [states, tokens, channels]; (1 - level) clean + level noise.
        levels: float32 [states].
        true: like x; the velocity noise - clean.
        good: float32 [states].
        share: float32 [states]; turns a mean over padded elements into one over the row's own.
    """

    orders: list[Order]
    x: torch.Tensor
    levels: torch.Tensor
    true: torch.Tensor
    good: torch.Tensor
    share: torch.Tensor

    @classmethod
    def stack(cls, rows: Sequence[NoisedRow], device: torch.device | str) -> Noised:
        draws = [len(row.levels) for row in rows]
        clean = padded([row.final for row in rows for _ in row.levels])
        noise = padded([state for row in rows for state in row.noise])
        levels = torch.cat([row.levels for row in rows])
        level = levels[:, None, None]
        good = torch.tensor([row.good for row in rows]).repeat_interleave(torch.tensor(draws))
        tokens = torch.tensor([len(row.final) for row in rows for _ in row.levels])
        return cls(
            orders=[row.order for row in rows for _ in row.levels],
            x=((1 - level) * clean + level * noise).to(device),
            levels=levels.to(device),
            true=(noise - clean).to(device),
            good=good.to(device),
            share=(clean.shape[1] / tokens).to(device),
        )

    def velocity(self, policy: Editor, name: str | None = None) -> torch.Tensor:
        """Of the learner, or of a revision: float32, shaped like x."""
        return policy.velocity(self.orders, self.x, self.levels, name)


def padded(latents: Sequence[torch.Tensor]) -> torch.Tensor:
    return nn.utils.rnn.pad_sequence(list(latents), batch_first=True)
