"""One step's optimizer updates over its rows, in micro-batches, on every rank alike."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sparring.trainer.config import TrainerConfig
from sparring.trainer.engine import Engine, Ranks
from sparring.trainer.errors import Diverged, Mismatch
from sparring.trainer.health import Clock
from sparring.trainer.sides.side import Part, Side


@dataclass(frozen=True)
class Update:
    """What a step's updates came to.

    Attributes:
        health: numbers, each the mean over the updates.
        size: what was trained on, over all ranks: tokens or edits.
    """

    health: dict[str, float]
    size: int


class Updater:
    """Trains on the rows of one step after the other."""

    def __init__(self, side: Side[Any, Any], engine: Engine, ranks: Ranks, config: TrainerConfig, clock: Clock) -> None:
        self._side, self._engine, self._ranks, self._config, self._clock = side, engine, ranks, config, clock

    def run(self, rows: Sequence[Any], step: int) -> Update:
        """Deal the rows, in an order drawn for this step, to `config.updates` updates, and make them.

        Raises:
            Mismatch: in the first update, on rows that the very weights sampled which the step starts from.
            Diverged: see there.
        """
        spare = self._ranks.tell(list(rows[:1]))
        order = np.random.default_rng([self._config.seed, step]).permutation(len(rows))
        health: defaultdict[str, list[float]] = defaultdict(list)
        total = 0
        for number, chosen in enumerate(np.array_split(order, self._config.updates)):
            # Neighbours share what they were asked about, and are cheaper together.
            batch = [rows[index] for index in np.sort(chosen)]
            size = int(self._ranks.sum({"size": float(self._side.size(batch))})["size"])
            parts, norm = self._update(batch, spare, max(1, size))
            numbers = self._summed(parts, max(1, size)) | {"grad_norm": norm}
            if number == 0:
                numbers |= self._compare(torch.cat([part.mismatch for part in parts]))
            for name, value in numbers.items():
                health[name].append(value)
            total += size
        return Update({name: float(np.mean(values)) for name, values in health.items()}, total)

    def _update(self, batch: Sequence[Any], spare: Sequence[Any], size: int) -> tuple[list[Part], float]:
        """Backward over micro-batches, as many on every rank as on the fullest, then the optimizer's step.

        A rank that has no rows left repeats `spare` without weight: ZeRO-2 reduces gradients in the order in which they
        come, so that every rank has to go through the same module.
        """
        micro = self._config.engine.micro_batch
        mine = [batch[start : start + micro] for start in range(0, len(batch), micro)]
        count = self._ranks.most(max(1, len(mine)))
        parts = []
        for index in range(count):
            with self._clock.part("logprob"):
                part = self._side.part(mine[index]) if index < len(mine) else Part(self._side.part(spare).loss * 0)
            with self._clock.part("backward"):
                # Ranks' gradients are averaged, the loss is a sum over all of them.
                self._engine.backward(part.loss * (self._ranks.count / size), last=index + 1 == count)
            parts.append(part)
        with self._clock.part("step"):
            norm = self._engine.step()
        if not math.isfinite(norm):
            raise Diverged(
                f"phase {self._config.phase}: the gradient's norm is {norm}; lower optimizer.rate, or look for acts "
                "whose log-probability is not finite"
            )
        return parts, norm

    def _summed(self, parts: Sequence[Part], size: int) -> dict[str, float]:
        """Sums over parts and ranks, divided by the update's size."""
        names = self._ranks.tell(sorted({name for part in parts for name in part.sums}))
        sums = self._ranks.sum({name: sum(part.sums.get(name, 0.0) for part in parts) for name in names})
        return {name: value / size for name, value in sums.items()}

    def _compare(self, differences: torch.Tensor) -> dict[str, float]:
        sums = self._ranks.sum({"count": float(differences.numel()), "sum": float(differences.sum())})
        most = self._ranks.most(float(differences.max()) if differences.numel() else 0.0)
        if sums["count"] == 0:
            return {}
        mean, limit = sums["sum"] / sums["count"], self._config.mismatch
        if not mean <= limit:
            raise Mismatch(
                f"phase {self._config.phase}: log-probabilities of the {self._config.role} service and of the trainer "
                f"differ by {mean:.2e} on average (at most {most:.2e}) for one and the same revision; up to "
                f"{limit:.2e} is sound (limits.mismatch). Do both run the same dtype, pixels, prompt and sampling?"
            )
        return {"mismatch_mean": mean, "mismatch_max": most}
