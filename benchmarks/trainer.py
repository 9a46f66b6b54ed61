"""What DeepSpeed costs beside plain torch: milliseconds of a training step of the small defender, on one core.

    python benchmarks/trainer.py [--steps 30] [--answers 64]

Every row takes the same answers (8 to an image) through equal policies; only what adds up gradients and steps the
weights differs. A step is two micro-batches. Rows take turns; the median of the processor's time is shown.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import torch
from torch import nn

from sparring.policies.config import AnswerSampling, MllmConfig
from sparring.policies.mllm import Mllm
from sparring.policies.policy import Ask, Reply
from sparring.policies.residents import BASE
from sparring.samples.images import decode
from sparring.samples.prompt import put
from sparring.samples.shapes import Shapes, World
from sparring.trainer.config import Engine as EngineConfig
from sparring.trainer.config import Optimizer
from sparring.trainer.engine import Engine, Ranks

POLICY = MllmConfig(base=str(files("sparring.ops") / "small" / "defender"))
SAMPLING = AnswerSampling(max_tokens=24)
GROUP, PARTS, WARM_UP = 8, 2, 3
OPTIMIZER = Optimizer(rate=1e-6)

Backward = Callable[[torch.Tensor, bool], object]
Step = Callable[[], object]


@dataclass(frozen=True)
class Acts:
    """Questions with one answer to each."""

    asks: list[Ask]
    replies: list[Reply]

    def part(self, index: int) -> Acts:
        size = len(self.asks) // PARTS
        chosen = slice(index * size, (index + 1) * size)
        return Acts(self.asks[chosen], self.replies[chosen])


def draw(policy: Mllm, answers: int) -> Acts:
    shapes = Shapes(World(bystanders=(0, 2)), 0, "benchmark")
    asks = []
    for index in range(answers // GROUP):
        sample = shapes.sample(index)
        image = decode(sample.image, max_pixels=2**20, max_bytes=2**20)
        asks.append(Ask(image, put(sample, (0, 1, 2, 3)).text, seed=index, count=GROUP))
    replies = policy.rollout(asks, SAMPLING, BASE)
    return Acts([ask for ask in asks for _ in range(GROUP)], [reply for group in replies for reply in group])


@dataclass(frozen=True)
class Candidate:
    """One way to step a policy of its own."""

    policy: Mllm
    backward: Backward
    step: Step

    def run(self, acts: Acts) -> list[float]:
        """Processor milliseconds of log-probabilities, backward and update."""
        spent = np.zeros(3)
        for index in range(PARTS):
            part, began = acts.part(index), time.process_time()
            scored = self.policy.logprob(part.asks, part.replies, SAMPLING)
            loss = -(scored.logprob * scored.mask).sum() / scored.mask.sum()
            middle = time.process_time()
            self.backward(loss, index + 1 == PARTS)
            spent[:2] += np.diff([began, middle, time.process_time()])
        began = time.process_time()
        self.step()
        spent[2] = time.process_time() - began
        return (1000 * spent).tolist()


def by_torch(policy: Mllm) -> Candidate:
    parameters = [parameter for _, parameter in policy.trainable()]
    adamw = torch.optim.AdamW(parameters, lr=OPTIMIZER.rate, betas=OPTIMIZER.betas)

    def step() -> None:
        nn.utils.clip_grad_norm_(parameters, OPTIMIZER.clip)
        adamw.step()
        adamw.zero_grad()

    return Candidate(policy, lambda loss, last: loss.backward(), step)


def by_deepspeed(policy: Mllm, config: EngineConfig) -> Candidate:
    engine = Engine(policy.learner(), config, OPTIMIZER)
    return Candidate(policy, lambda loss, last: engine.backward(loss, last=last), engine.step)


def candidates() -> dict[str, Candidate]:
    found = {"torch AdamW": by_torch(Mllm(POLICY))}
    for stage in (0, 1, 2):
        found[f"DeepSpeed, ZeRO-{stage}"] = by_deepspeed(Mllm(POLICY), EngineConfig(zero_stage=stage))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--answers", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    place = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    os.environ.update(place)
    ranks = Ranks()
    measured, rows = candidates(), defaultdict(list)
    policy = measured["torch AdamW"].policy
    acts = draw(policy, options.answers)
    for _ in range(WARM_UP + options.steps):
        for name, candidate in measured.items():
            rows[name].append(candidate.run(acts))
    print(f"{'CPU ms a step':20}{'logprob':>10}{'backward':>10}{'update':>10}{'all':>10}")
    for name, spent in rows.items():
        parts = np.median(spent[WARM_UP:], axis=0)
        print(f"{name:20}" + "".join(f"{value:10.1f}" for value in (*parts, parts.sum())))
    count = sum(parameter.numel() for _, parameter in policy.trainable())
    print(f"{count / 1e6:.2f} million parameters, {options.answers} answers to {options.answers // GROUP} images")
    ranks.close()


if __name__ == "__main__":
    main()
