"""The attacker learns from the recorded steps of its edits, by Flow-GRPO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EditId, EpisodeRecord, TrajectoryRecord
from sparring.policies.config import EditSampling
from sparring.policies.editor import Editor
from sparring.policies.policy import Edited, Order, Trajectory
from sparring.samples.images import decode
from sparring.trainer.advantages import edit_advantages
from sparring.trainer.config import FlowGrpo
from sparring.trainer.errors import Unusable
from sparring.trainer.feed import TrainGroup
from sparring.trainer.objectives.flow_grpo import flow_grpo_loss, gaussian_kl
from sparring.trainer.sides.side import MAX_BYTES, MAX_PIXELS, Part, PolicySide

REFERENCE = "reference"
"""The revision that the phase started from."""


@dataclass(frozen=True)
class EditRow:
    """One edit. `fresh` says that the weights which sampled it are those the step starts from."""

    order: Order
    edited: Edited
    weight: float
    fresh: bool


def load_edits(
    ledger: EpisodeLedger, groups: Sequence[TrainGroup], weights: Sequence[NDArray[np.float32]]
) -> list[EditRow]:
    """Edits of `groups` with their trajectories; `weights` has a number for each, group by group.

    Raises:
        Unusable: an edit has no trajectory.
    """
    ids = [edit_of(episode) for group in groups for episode in group.episodes]
    edits, paths = ledger.get_edits(ids), ledger.get_trajectories(ids)
    samples = ledger.get_samples({edit.sample_id for edit in edits.values()})
    originals = {
        name: decode(sample.image, max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES) for name, sample in samples.items()
    }
    missing = [name for name in ids if name not in paths]
    if missing:
        raise Unusable(f"edit {missing[0]} ({len(missing)} in all) has no trajectory: never recorded, or expired")
    rows = []
    for group, values in zip(groups, weights, strict=True):
        for episode, value in zip(group.episodes, values, strict=True):
            name = edit_of(episode)
            order = Order(originals[edits[name].sample_id], edits[name].instruction, edits[name].seed)
            # The edited image itself is not needed to score how it came about.
            rows.append(EditRow(order, Edited(order.image, to_trajectory(paths[name])), float(value), group.lag == 0))
    return rows


class EditsByGrpo(PolicySide[Editor]):
    """Flow-GRPO."""

    def __init__(self, policy: Editor, ledger: EpisodeLedger, sampling: EditSampling, config: FlowGrpo) -> None:
        super().__init__(policy)
        self._ledger, self._sampling, self._config = ledger, sampling, config

    def adopt(self, folder: Path) -> None:
        super().adopt(folder)
        if self._config.kl > 0:
            self._policy.install(REFERENCE, folder)

    def rows(self, items: Sequence[TrainGroup], mine: Sequence[int], step: int) -> list[EditRow]:
        weights = edit_advantages([group.rewards for group in items], self._config.spread, self._config.advantage_clip)
        return load_edits(self._ledger, [items[index] for index in mine], [weights[index] for index in mine])

    def size(self, rows: Sequence[EditRow]) -> int:
        return len(rows)

    def part(self, rows: Sequence[EditRow]) -> Part:
        orders, edits = [row.order for row in rows], [row.edited for row in rows]
        scored = self._policy.logprob(orders, edits, self._sampling)
        device, window = scored.logprob.device, scored.logprob.shape[1]
        old = torch.from_numpy(np.stack([edit.trajectory.logprobs for edit in edits])).to(device)
        advantage = torch.tensor([row.weight for row in rows], device=device)
        loss, health = flow_grpo_loss(scored.logprob, old, advantage, self._config)
        sums = {"clipped": float(health.clipped) / window, "kl": float(health.kl) / window}
        if self._config.kl > 0:
            reference = self._policy.logprob(orders, edits, self._sampling, REFERENCE)
            divergence = gaussian_kl(scored.mean, reference.mean, scored.deviation)
            # Rows of small images are padded with zeros, which are no part of their mean.
            width = scored.mean.shape[2]
            share = [width / edit.trajectory.latents.shape[1] for edit in edits]
            divergence = (divergence.sum(1) * torch.tensor(share, device=device)).sum()
            loss = loss + self._config.kl * divergence
            sums["kl_start"] = float(divergence.detach()) / window
        sums["loss"] = float(loss.detach())
        fresh = torch.tensor([row.fresh for row in rows], device=device)
        return Part(loss, sums, (scored.logprob.detach() - old).abs()[fresh].flatten().cpu())


def edit_of(episode: EpisodeRecord) -> EditId:
    if episode.edit_id is None:
        raise Unusable(f"episode {episode.episode_id} has the attacker as its learner and shows no edit")
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
