"""The defender learns from its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import AnswerRecord, EpisodeRecord
from sparring.policies.config import AnswerSampling
from sparring.policies.mllm import Mllm
from sparring.policies.policy import Ask, Reply
from sparring.samples.images import decode
from sparring.trainer.advantages import answer_advantages
from sparring.trainer.config import Dapo
from sparring.trainer.feed import TrainGroup
from sparring.trainer.objectives.dapo import dapo_loss
from sparring.trainer.sides.side import MAX_BYTES, MAX_PIXELS, Part


@dataclass(frozen=True)
class AnswerRow:
    """One answer. `fresh` says that the weights which sampled it are those the step starts from."""

    ask: Ask
    reply: Reply
    advantage: float
    fresh: bool


class Answers:
    """DAPO on the tokens of answers."""

    def __init__(self, policy: Mllm, ledger: EpisodeLedger, sampling: AnswerSampling, config: Dapo) -> None:
        self._policy, self._ledger, self._sampling, self._config = policy, ledger, sampling, config

    def module(self) -> nn.Module:
        return self._policy.learner()

    def adopt(self, folder: Path) -> None:
        self._policy.adopt(folder)

    def export(self, folder: Path) -> None:
        self._policy.export(folder)

    def rows(self, items: Sequence[TrainGroup], mine: Sequence[int], step: int) -> list[AnswerRow]:
        chosen = [items[index] for index in mine]
        shown = self._images([episode for group in chosen for episode in group.episodes])
        rows = []
        for group in chosen:
            advantages = iter(answer_advantages(group.rewards).tolist())
            for episode in group.episodes:
                ask = Ask(shown[episode.edit_id or episode.sample_id], episode.prompt, seed=0)
                rows += [
                    AnswerRow(ask, to_reply(answer), next(advantages), group.lag == 0) for answer in episode.answers
                ]
        return rows

    def _images(self, episodes: Sequence[EpisodeRecord]) -> dict[str, NDArray[np.uint8]]:
        """What was shown, by edit or else by sample."""
        edits = self._ledger.get_edits({e.edit_id for e in episodes if e.edit_id is not None})
        samples = self._ledger.get_samples({e.sample_id for e in episodes if e.edit_id is None})
        files: dict[str, bytes] = {name: edit.image for name, edit in edits.items()}
        files.update({name: sample.image for name, sample in samples.items()})
        return {name: decode(data, max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES) for name, data in files.items()}

    def size(self, rows: Sequence[AnswerRow]) -> int:
        return sum(len(row.reply.tokens) for row in rows)

    def part(self, rows: Sequence[AnswerRow]) -> Part:
        scored = self._policy.logprob([row.ask for row in rows], [row.reply for row in rows], self._sampling)
        device, mask = scored.logprob.device, scored.mask
        old = nn.utils.rnn.pad_sequence([torch.from_numpy(row.reply.logprobs) for row in rows], batch_first=True)
        old = old.to(device)
        advantage = torch.tensor([row.advantage for row in rows], device=device)
        loss, health = dapo_loss(scored.logprob, old, advantage, mask, self._config)
        fresh = torch.tensor([row.fresh for row in rows], device=device)[:, None] & mask
        sums = {
            "loss": float(loss.detach()),
            "entropy": float(scored.entropy[mask].sum()),
            "clipped_low": float(health.clipped_low),
            "clipped_high": float(health.clipped_high),
            "kl": float(health.kl),
            "kl_k1": float(health.kl_k1),
        }
        return Part(loss, sums, (scored.logprob.detach() - old).abs()[fresh].cpu())


def to_reply(answer: AnswerRecord) -> Reply:
    return Reply(answer.text, answer.tokens, answer.logprobs, finished=True)
