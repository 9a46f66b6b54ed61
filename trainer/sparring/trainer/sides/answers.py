"""The defender learns from its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from sparring.trainer.objectives.dapo import dapo_loss, truncated
from sparring.trainer.sides.side import MAX_BYTES, MAX_PIXELS, Part, PolicySide


@dataclass(frozen=True)
class AnswerRow:
    """One answer.

    Attributes:
        ask, reply: question and answer, with the service's log-probabilities.
        advantage: the same for all tokens.
        fresh: whether the weights which sampled it are those the step starts from.
        old: float32 [length]; log-probabilities under the latter, where they are needed and no longer at hand.
    """

    ask: Ask
    reply: Reply
    advantage: float
    fresh: bool
    old: torch.Tensor | None = None


class Answers(PolicySide[Mllm]):
    """DAPO on the tokens of answers.

    Args:
        policy, ledger, sampling, config: what it works with.
        again: answers per forward pass in which their log-probabilities before the step are computed; None if a step
            is one update, whose own forward pass has them.
    """

    def __init__(
        self, policy: Mllm, ledger: EpisodeLedger, sampling: AnswerSampling, config: Dapo, again: int | None = None
    ) -> None:
        super().__init__(policy)
        self._ledger, self._sampling, self._config = ledger, sampling, config
        self._again = again

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
        if self._config.truncation is None or self._again is None:
            return rows
        parts = [rows[start : start + self._again] for start in range(0, len(rows), self._again)]
        return [row for part in parts for row in self._before(part)]

    @torch.no_grad()
    def _before(self, rows: Sequence[AnswerRow]) -> list[AnswerRow]:
        """With log-probabilities under the learner as it is before the step."""
        scored = self._policy.logprob([row.ask for row in rows], [row.reply for row in rows], self._sampling)
        return [replace(row, old=old[mask]) for row, old, mask in zip(rows, scored.logprob, scored.mask, strict=True)]

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
        sampler = padded([torch.from_numpy(row.reply.logprobs) for row in rows], device)
        old, importance = self._compared(rows, sampler, scored.logprob.detach())
        advantage = torch.tensor([row.advantage for row in rows], device=device)
        loss, health = dapo_loss(scored.logprob, old, advantage, mask, self._config, importance)
        fresh = torch.tensor([row.fresh for row in rows], device=device)[:, None] & mask
        sums = {
            "loss": float(loss.detach()),
            "entropy": float(scored.entropy[mask].sum()),
            "clipped_low": float(health.clipped_low),
            "clipped_high": float(health.clipped_high),
            "kl": float(health.kl),
            "kl_k1": float(health.kl_k1),
        }
        if importance is not None:
            sums["importance"] = float(importance[mask].sum())
        return Part(loss, sums, (scored.logprob.detach() - sampler).abs()[fresh].cpu())

    def _compared(
        self, rows: Sequence[AnswerRow], sampler: torch.Tensor, now: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Log-probabilities that the learner's are compared with, and weights of the tokens."""
        if self._config.truncation is None:
            return sampler, None
        kept = [row.old for row in rows if row.old is not None]
        old = padded(kept, now.device) if kept else now
        return old, truncated(old, sampler, self._config.truncation)


def padded(values: Sequence[torch.Tensor], device: torch.device) -> torch.Tensor:
    """[rows, length of the longest], zeros at the end."""
    return nn.utils.rnn.pad_sequence(list(values), batch_first=True).to(device)


def to_reply(answer: AnswerRecord) -> Reply:
    return Reply(answer.text, answer.tokens, answer.logprobs, finished=True)
