"""One step's optimizer updates over its rows, in micro-batches, on every rank alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sparring.trainer.config import TrainerConfig
from sparring.trainer.engine import Engine, Ranks
from sparring.trainer.health import Clock
from sparring.trainer.sides.side import Part, Side


class Mismatch(RuntimeError):
    """Service and trainer disagree about the log-probability of the same act under the same weights."""


@dataclass(frozen=True)
class Update:
    """Health numbers of a step's updates, the mean over them, and what was trained on: tokens or edits."""

    health: dict[str, float]
    size: int


def zero(side: Side[Any]) -> Part:
    """The share of a rank that has no rows left: no gradient, but the same collective calls."""
    return Part(sum((p.sum() * 0 for p in side.module().parameters() if p.requires_grad), torch.zeros(())))


def update(
    side: Side[Any], engine: Engine, ranks: Ranks, rows: Sequence[Any], config: TrainerConfig, step: int, clock: Clock
) -> Update:
    """Shuffle the rows by step, split them over `config.updates`, and make each an optimizer step.

    Raises:
        Mismatch: of the first update, on rows that the very weights sampled which the step starts from.
    """
    order = np.random.default_rng([config.seed, step]).permutation(len(rows))
    health: defaultdict[str, list[float]] = defaultdict(list)
    total = 0
    for number, chosen in enumerate(np.array_split(order, config.updates)):
        batch = [rows[index] for index in chosen]
        size = int(ranks.sum({"size": float(side.size(batch))})["size"])
        parts, norm = one_update(side, engine, ranks, batch, size, config.engine.micro_batch, clock)
        sums = summed(parts)
        names = ranks.tell(sorted(sums))
        for name, value in ranks.sum({name: sums.get(name, 0.0) for name in names}).items():
            health[name].append(value / max(1, size))
        health["grad_norm"].append(norm)
        total += size
        if number == 0:
            compare(torch.cat([part.mismatch for part in parts]), ranks, health, config)
    return Update({name: float(np.mean(values)) for name, values in health.items()}, total)


def one_update(
    side: Side[Any], engine: Engine, ranks: Ranks, batch: Sequence[Any], size: int, micro: int, clock: Clock
) -> tuple[list[Part], float]:
    """Backward over micro-batches, as many on every rank as on the fullest, then the optimizer's step."""
    mine = [batch[start : start + micro] for start in range(0, len(batch), micro)]
    count = ranks.most(max(1, len(mine)))
    parts = []
    for index in range(count):
        with clock.part("logprob"):
            part = side.part(mine[index]) if index < len(mine) else zero(side)
        with clock.part("backward"):
            # Ranks' gradients are averaged, the loss is a sum over all of them.
            engine.backward(part.loss * (ranks.count / max(1, size)), last=index + 1 == count)
        parts.append(part)
    with clock.part("step"):
        norm = engine.step()
    return parts, norm


def summed(parts: Sequence[Part]) -> dict[str, float]:
    names = {name for part in parts for name in part.sums}
    return {name: sum(part.sums.get(name, 0.0) for part in parts) for name in names}


def compare(
    differences: torch.Tensor, ranks: Ranks, health: defaultdict[str, list[float]], config: TrainerConfig
) -> None:
    sums = ranks.sum({"count": float(differences.numel()), "sum": float(differences.sum())})
    if sums["count"] == 0:
        return
    mean = sums["sum"] / sums["count"]
    health["mismatch_mean"].append(mean)
    health["mismatch_max"].append(ranks.most(float(differences.max()) if differences.numel() else 0.0))
    if not mean <= config.limits.mismatch:
        raise Mismatch(
            f"phase {config.phase}: log-probabilities of the {config.role} service and of the trainer differ by "
            f"{mean:.2e} on average for one and the same revision; at most {config.limits.mismatch:.2e} is sound. Do both run the "
            "same dtype, pixels, prompt and sampling?"
        )
