"""Both roles learn from what is known to be right, before they learn from each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparring.policies.config import AnswerSampling
from sparring.policies.editor import Editor
from sparring.policies.mllm import Mllm
from sparring.policies.policy import Ask, Order, Reply
from sparring.samples.images import decode
from sparring.samples.pairs import Pair
from sparring.samples.prompt import put, shuffled
from sparring.samples.sample import Sample
from sparring.samples.shapes import render
from sparring.trainer.objectives.sft import cross_entropy, flow_matching
from sparring.trainer.sides.noised import Noised, NoisedRow, noised
from sparring.trainer.sides.side import MAX_BYTES, MAX_PIXELS, Part, PolicySide

PLAIN = AnswerSampling(temperature=1)
"""Cross-entropy is of the model's own distribution."""


@dataclass(frozen=True)
class LessonRow:
    """One question with its right answer."""

    ask: Ask
    reply: Reply


class AnswersBySft(PolicySide[Mllm]):
    """Cross-entropy of `\\boxed{X}` and the end token."""

    def __init__(self, policy: Mllm, seed: int) -> None:
        super().__init__(policy)
        self._seed = seed

    def rows(self, items: Sequence[Sample], mine: Sequence[int], step: int) -> list[LessonRow]:
        return [self._row(items[index], step) for index in mine]

    def _row(self, sample: Sample, step: int) -> LessonRow:
        """Options are shuffled anew at every pass, or their order would be learnt."""
        prompt = put(sample, shuffled(sample, self._seed + step))
        image = decode(sample.image, max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES)
        text = f"\\boxed{{{prompt.letter}}}"
        tokenizer = self._policy.processor.tokenizer
        tokens = [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        unknown = np.zeros(len(tokens), dtype=np.float32)
        return LessonRow(Ask(image, prompt.text, seed=0), Reply(text, np.array(tokens, dtype=np.int32), unknown, True))

    def size(self, rows: Sequence[LessonRow]) -> int:
        return sum(len(row.reply.tokens) for row in rows)

    def part(self, rows: Sequence[LessonRow]) -> Part:
        scored = self._policy.logprob([row.ask for row in rows], [row.reply for row in rows], PLAIN)
        loss = cross_entropy(scored.logprob, scored.mask)
        return Part(loss, {"loss": float(loss.detach()), "entropy": float(scored.entropy[scored.mask].sum())})


class EditsBySft(PolicySide[Editor]):
    """Flow matching toward the right edit."""

    def __init__(self, policy: Editor, seed: int) -> None:
        super().__init__(policy)
        self._seed = seed

    def rows(self, items: Sequence[Pair], mine: Sequence[int], step: int) -> list[NoisedRow]:
        finals = self._policy.encode([render(items[index].after) for index in mine])
        orders = [Order(render(items[index].before), items[index].instruction, seed=0) for index in mine]
        return [
            noised(order, final.cpu(), 1, 1.0, self._seed, step, index)
            for order, final, index in zip(orders, finals, mine, strict=True)
        ]

    def size(self, rows: Sequence[NoisedRow]) -> int:
        return len(rows)

    def part(self, rows: Sequence[NoisedRow]) -> Part:
        batch = Noised.stack(rows, next(self.module().parameters()).device)
        loss = (flow_matching(batch.velocity(self._policy), batch.true) * batch.share).sum()
        return Part(loss, {"loss": float(loss.detach())})
