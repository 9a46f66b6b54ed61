"""The attacker learns from its edits, by Flow-GRPO or by DiffusionNFT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EditId, EpisodeRecord, Learner, TrajectoryRecord
from sparring.policies.config import EditSampling
from sparring.policies.editor import Editor
from sparring.policies.policy import Edited, Order, Trajectory
from sparring.samples.images import decode
from sparring.trainer.advantages import edit_advantages
from sparring.trainer.config import FlowGrpo, Nft
from sparring.trainer.feed import TrainGroup
from sparring.trainer.objectives.flow_grpo import flow_grpo_loss, gaussian_kl
from sparring.trainer.objectives.nft import nft_loss, optimality
from sparring.trainer.sides.side import MAX_BYTES, MAX_PIXELS, Part

REFERENCE = "reference"
"""The revision that the phase started from."""
LEAST_LEVEL, MOST_LEVEL = 0.02, 0.98
"""Noise levels that NFT draws between."""
AT_ONCE = 64
"""Edits whose old velocity is computed together."""


@dataclass(frozen=True)
class EditRow:
    """One edit. `fresh` says that the weights which sampled it are those the step starts from.

    Attributes:
        weight: the advantage for Flow-GRPO, the optimality for NFT.
        noise: float32 [draws, tokens, channels], for NFT.
        levels: float32 [draws], for NFT.
        old: float32 [draws, tokens, channels]; velocity of the policy before the step, for NFT.
    """

    order: Order
    edited: Edited
    weight: float
    fresh: bool
    noise: torch.Tensor | None = None
    levels: torch.Tensor | None = None
    old: torch.Tensor | None = None


class Edits:
    """What both objectives share."""

    learner = Learner.ATTACKER

    def __init__(self, policy: Editor, ledger: EpisodeLedger, sampling: EditSampling, kl: float) -> None:
        self._policy, self._ledger, self._sampling, self._kl = policy, ledger, sampling, kl

    def module(self) -> nn.Module:
        return self._policy.learner()

    def adopt(self, folder: Path) -> None:
        self._policy.adopt(folder)
        if self._kl > 0:
            self._policy.install(REFERENCE, folder)

    def export(self, folder: Path) -> None:
        self._policy.export(folder)

    def size(self, rows: Sequence[EditRow]) -> int:
        return len(rows)

    def _load(self, groups: Sequence[TrainGroup], weights: Sequence[NDArray[np.float32]]) -> list[EditRow]:
        episodes = [episode for group in groups for episode in group.episodes]
        ids = [edit_of(episode) for episode in episodes]
        edits, paths = self._ledger.get_edits(ids), self._ledger.get_trajectories(ids)
        samples = self._ledger.get_samples({episode.sample_id for episode in episodes})
        originals = {
            name: decode(sample.image, max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES) for name, sample in samples.items()
        }
        missing = [name for name in ids if name not in paths]
        if missing:
            raise LookupError(f"no trajectory of edit {missing[0]} ({len(missing)} in all); was it asked for?")
        rows = []
        for group, values in zip(groups, weights, strict=True):
            for episode, value in zip(group.episodes, values, strict=True):
                name = edit_of(episode)
                order = Order(originals[episode.sample_id], edits[name].instruction, edits[name].seed)
                # The edited image itself is not needed to score how it came about.
                edited = Edited(order.image, to_trajectory(paths[name]))
                rows.append(EditRow(order, edited, float(value), group.lag == 0))
        return rows


class EditsByGrpo(Edits):
    """Flow-GRPO on the recorded steps."""

    def __init__(self, policy: Editor, ledger: EpisodeLedger, sampling: EditSampling, config: FlowGrpo) -> None:
        super().__init__(policy, ledger, sampling, config.kl)
        self._config = config

    def rows(self, groups: Sequence[TrainGroup], mine: Sequence[int], step: int) -> list[EditRow]:
        weights = edit_advantages([group.rewards for group in groups], self._config.spread, self._config.advantage_clip)
        return self._load([groups[index] for index in mine], [weights[index] for index in mine])

    def part(self, rows: Sequence[EditRow]) -> Part:
        orders, edits = [row.order for row in rows], [row.edited for row in rows]
        scored = self._policy.logprob(orders, edits, self._sampling)
        device = scored.logprob.device
        old = torch.from_numpy(np.stack([edit.trajectory.logprobs for edit in edits])).to(device)
        advantage = torch.tensor([row.weight for row in rows], device=device)
        loss, health = flow_grpo_loss(scored.logprob, old, advantage, self._config)
        window = scored.logprob.shape[1]
        sums = {"clipped": float(health.clipped) / window, "kl": float(health.kl) / window}
        if self._kl > 0:
            reference = self._policy.logprob(orders, edits, self._sampling, REFERENCE)
            divergence = gaussian_kl(scored.mean, reference.mean, scored.deviation)
            loss = loss + self._kl * divergence.sum()
            sums["kl_start"] = float(divergence.detach().sum()) / window
        sums["loss"] = float(loss.detach())
        fresh = torch.tensor([row.fresh for row in rows], device=device)
        return Part(loss, sums, (scored.logprob.detach() - old).abs()[fresh].flatten().cpu())


class EditsByNft(Edits):
    """DiffusionNFT on the final latents."""

    def __init__(self, policy: Editor, ledger: EpisodeLedger, sampling: EditSampling, config: Nft, seed: int) -> None:
        super().__init__(policy, ledger, sampling, config.kl)
        self._config, self._seed = config, seed

    def rows(self, groups: Sequence[TrainGroup], mine: Sequence[int], step: int) -> list[EditRow]:
        weights = optimality([group.rewards for group in groups], self._config.spread)
        loaded = self._load([groups[index] for index in mine], [weights[index] for index in mine])
        noised = [self._noised(row, step) for row in loaded]
        return [
            row for start in range(0, len(noised), AT_ONCE) for row in self._before(noised[start : start + AT_ONCE])
        ]

    def _noised(self, row: EditRow, step: int) -> EditRow:
        """Noise and levels follow from the seeds of phase and edit, and from the step."""
        generator = torch.Generator().manual_seed(mixed(self._seed, step, row.order.seed))
        final = torch.from_numpy(row.edited.trajectory.final)
        noise = torch.randn(self._config.draws, *final.shape, generator=generator)
        levels = torch.rand(self._config.draws, generator=generator) * (MOST_LEVEL - LEAST_LEVEL) + LEAST_LEVEL
        return replace(row, noise=noise, levels=levels)

    @torch.no_grad()
    def _before(self, rows: Sequence[EditRow]) -> list[EditRow]:
        """With the velocity of the learner as it is before the step."""
        old = self._velocity(rows, None).unflatten(0, (len(rows), self._config.draws))
        return [replace(row, old=velocity) for row, velocity in zip(rows, old, strict=True)]

    def _velocity(self, rows: Sequence[EditRow], name: str | None) -> torch.Tensor:
        """float32 [rows x draws, tokens, channels]."""
        noise, levels = torch.cat([part(row.noise) for row in rows]), torch.cat([part(row.levels) for row in rows])
        final = self._finals(rows)
        level = levels[:, None, None]
        orders = [row.order for row in rows for _ in range(self._config.draws)]
        return self._policy.velocity(orders, (1 - level) * final + level * noise, levels, name)

    def _finals(self, rows: Sequence[EditRow]) -> torch.Tensor:
        finals = torch.stack([torch.from_numpy(row.edited.trajectory.final) for row in rows])
        return finals.repeat_interleave(self._config.draws, dim=0)

    def part(self, rows: Sequence[EditRow]) -> Part:
        velocity = self._velocity(rows, None)
        true = torch.cat([part(row.noise) for row in rows]) - self._finals(rows)
        old = torch.cat([part(row.old) for row in rows])
        good = torch.tensor([row.weight for row in rows]).repeat_interleave(self._config.draws)
        loss = nft_loss(velocity, old, true, good, self._config.beta).sum() / self._config.draws
        sums: dict[str, float] = {}
        if self._kl > 0:
            distance = (velocity - self._velocity(rows, REFERENCE)).square().mean(dim=(1, 2)).sum() / self._config.draws
            loss = loss + self._kl * distance
            sums["kl_start"] = float(distance.detach())
        sums["loss"] = float(loss.detach())
        sums["kl"] = float((velocity.detach() - old).square().mean(dim=(1, 2)).sum()) / self._config.draws
        return Part(loss, sums)


def mixed(*seeds: int) -> int:
    """One seed that depends on all."""
    return int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0] >> np.uint64(1))


def part(value: torch.Tensor | None) -> torch.Tensor:
    assert value is not None, "rows of NFT are noised when they are made"
    return value


def edit_of(episode: EpisodeRecord) -> EditId:
    if episode.edit_id is None:
        raise LookupError(f"episode {episode.episode_id} has the attacker as its learner and shows no edit")
    return episode.edit_id


def to_trajectory(record: TrajectoryRecord) -> Trajectory:
    return Trajectory(
        sigmas=record.sigmas,
        start=record.start,
        latents=record.latents,
        final=record.final,
        logprobs=record.logprobs,
        noise_level=record.noise_level,
        variant=record.variant,  # type: ignore[arg-type]  # the ledger keeps it as text
        guidance=record.guidance,
    )
