"""The attacker learns from the final latents of its edits, by DiffusionNFT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from sparring.ledgers.episodes import EpisodeLedger
from sparring.policies.editor import Editor
from sparring.trainer.config import Nft
from sparring.trainer.feed import TrainGroup
from sparring.trainer.objectives.nft import nft_loss, optimality
from sparring.trainer.sides.edits import REFERENCE, load_edits
from sparring.trainer.sides.noised import Noised, NoisedRow, noised, padded
from sparring.trainer.sides.side import Part, PolicySide

AT_ONCE = 64
"""Edits whose old velocity is computed together."""


@dataclass(frozen=True)
class NftRow:
    """One edit, noised.

    Attributes:
        noised: states of the edit on its way back to noise.
        old: float32 [draws, tokens, channels]; their velocity before the step. None if that is the learner's as it is.
    """

    noised: NoisedRow
    old: torch.Tensor | None


class EditsByNft(PolicySide[Editor]):
    """DiffusionNFT; the old policy is the learner as it was before the step.

    Args:
        policy, ledger, config: what it works with.
        seed: of noise and levels, together with the step and the edit's own.
        single: whether a step is one update, so that the learner itself is still the old policy.
    """

    def __init__(self, policy: Editor, ledger: EpisodeLedger, config: Nft, seed: int, *, single: bool) -> None:
        super().__init__(policy)
        self._ledger, self._config, self._seed = ledger, config, seed
        self._single = single

    def adopt(self, folder: Path) -> None:
        super().adopt(folder)
        if self._config.kl > 0:
            self._policy.install(REFERENCE, folder)

    def rows(self, items: Sequence[TrainGroup], mine: Sequence[int], step: int) -> list[NftRow]:
        good = optimality([group.rewards for group in items], self._config.spread)
        loaded = load_edits(self._ledger, [items[index] for index in mine], [good[index] for index in mine])
        rows = [
            noised(
                row.order,
                torch.tensor(row.edited.trajectory.final),
                self._config.draws,
                row.weight,
                *(self._seed, step, row.order.seed),
            )
            for row in loaded
        ]
        if self._single:
            return [NftRow(row, None) for row in rows]
        return [row for start in range(0, len(rows), AT_ONCE) for row in self._before(rows[start : start + AT_ONCE])]

    @torch.no_grad()
    def _before(self, rows: Sequence[NoisedRow]) -> list[NftRow]:
        batch = Noised.stack(rows, self._device)
        old = batch.velocity(self._policy).cpu().unflatten(0, (len(rows), self._config.draws))
        return [NftRow(row, values[:, : len(row.final)]) for row, values in zip(rows, old, strict=True)]

    @property
    def _device(self) -> torch.device:
        return next(self.module().parameters()).device

    def size(self, rows: Sequence[NftRow]) -> int:
        return len(rows)

    def part(self, rows: Sequence[NftRow]) -> Part:
        batch = Noised.stack([row.noised for row in rows], self._device)
        velocity = batch.velocity(self._policy)
        kept = [state for row in rows if row.old is not None for state in row.old]
        old = padded(kept).to(self._device) if kept else velocity.detach()
        weight = batch.share / self._config.draws
        loss = (nft_loss(velocity, old, batch.true, batch.good, self._config.beta) * weight).sum()
        moved = ((velocity.detach() - old).square().mean(dim=(1, 2)) * weight).sum()
        sums = {"kl": float(moved)}
        if self._config.kl > 0:
            start = batch.velocity(self._policy, REFERENCE)
            distance = ((velocity - start).square().mean(dim=(1, 2)) * weight).sum()
            loss = loss + self._config.kl * distance
            sums["kl_start"] = float(distance.detach())
        sums["loss"] = float(loss.detach())
        return Part(loss, sums)
