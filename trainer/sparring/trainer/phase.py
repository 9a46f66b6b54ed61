"""One phase: step after step, each made final by its manifest.

The order of a step is optimizer, checkpoint, export, manifest. Killed anywhere in it, a trainer that is started again
finds its place by `find_standing`.
"""

from __future__ import annotations

import math
import signal
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
import torch

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.manifest import Draft, Manifest
from sparring.ledgers.weights import WeightsLedger
from sparring.trainer.config import TrainerConfig
from sparring.trainer.engine import Engine, Ranks
from sparring.trainer.feed import Feed, Harvest, TrainGroup, mean
from sparring.trainer.health import Clock, Gauges
from sparring.trainer.lineage import Standing, find_standing, prune_checkpoints
from sparring.trainer.sides.registry import open_side
from sparring.trainer.sides.side import Side
from sparring.trainer.update import Update, update

logger = structlog.get_logger()


class Phase:
    """A trainer of one phase on one rank."""

    def __init__(self, config: TrainerConfig) -> None:
        torch.set_num_threads(config.engine.threads)
        self._config = config
        self._ranks = Ranks()
        self._ledger = EpisodeLedger(config.storage.root)
        self._weights = WeightsLedger(config.storage.root)
        self._folder = Path(config.checkpoints)
        self._clock = Clock()
        self._stopping = False
        self._standing: Standing = self._ranks.tell(self._find())
        self._side: Side[Any] = open_side(config, self._ledger)
        self._adopt()
        self._engine = Engine(self._side.module(), config.engine, config.optimizer)
        if self._standing.checkpoint:
            self._engine.load(self._folder, self._standing.checkpoint)

    def _find(self) -> Standing | None:
        return find_standing(self._weights, self._config) if self._ranks.first else None

    def _adopt(self) -> None:
        """Weights of the phase's start; a checkpoint, which is loaded later, replaces the learner's."""
        start = self._weights.manifest(self._config.start)
        with tempfile.TemporaryDirectory() as folder:
            fetched = self._weights.fetch(start.name, None, Path(folder))
            if start.layout == "full" or self._config.policy.adapter is not None:
                self._side.adopt(fetched)

    def run(self) -> None:
        """Publish revisions until the phase has all its steps, or a SIGTERM has been heard.

        Raises:
            Starved, Mismatch, RevisionExists: see there; nothing is half done.
        """
        signal.signal(signal.SIGTERM, self._stop)
        config, first = self._config, self._ranks.first
        gauges = Gauges(config.metrics_port if first else None, config.campaign, config.phase, config.role)
        feed = Feed(
            self._ledger,
            config.campaign,
            config.phase,
            self._side.learner,
            config.max_staleness,
            self._standing.consumed,
            config.limits.starve_seconds,
        )
        logger.info("phase", phase=config.phase, start=self._standing.parent.name, step=self._standing.step)
        while self._standing.step < config.steps and not self._ranks.most(int(self._stopping)):
            with self._clock.part("wait"):
                harvest = self._ranks.tell(feed.take(config.groups, self._standing.names) if first else None)
            manifest = self._step(harvest)
            self._standing = self._standing.next(manifest)
            if first:
                gauges.show({name: value for name, value in manifest.metrics.items() if value is not None})
                logger.info("step", revision=manifest.name, step=manifest.step, **manifest.metrics)
        self._ranks.close()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _step(self, harvest: Harvest) -> Manifest:
        config, ranks, step = self._config, self._ranks, self._standing.step + 1
        began = time.monotonic()
        with self._clock.part("load"):
            mine = range(ranks.rank, len(harvest.groups), ranks.count)
            rows = self._side.rows(harvest.groups, mine, step)
        done = update(self._side, self._engine, ranks, rows, config, step, self._clock)
        numbers = health(harvest, done, time.monotonic() - began)
        number = ranks.tell(self._weights.next_number(config.campaign, config.role) if ranks.first else None)
        tag = f"{number:06d}" if step % config.checkpoint_every == 0 or step == config.steps else ""
        if tag:
            with self._clock.part("checkpoint"):
                self._engine.save(self._folder, tag)
        with self._engine.whole():
            manifest = self._publish(harvest.groups, number, step, tag, numbers) if ranks.first else None
        return ranks.tell(manifest)

    def _publish(
        self, groups: tuple[TrainGroup, ...], number: int, step: int, tag: str, numbers: dict[str, float]
    ) -> Manifest:
        config = self._config
        with tempfile.TemporaryDirectory() as folder:
            with self._clock.part("publish"):
                self._side.export(Path(folder))
            draft = Draft(
                campaign=config.campaign,
                role=config.role,
                number=number,
                layout="full" if config.policy.adapter is None else "peft",
                base=config.policy.base,
                parent=self._standing.parent.name,
                step=step,
                phase=config.phase,
                consumed=tuple(group.group_id for group in groups),
                checkpoint=tag,
                metrics=dict(numbers) | self._clock.read(),
            )
            manifest = self._weights.publish(Path(folder), draft)
        tags = [m.checkpoint for m in (*self._standing.chain, manifest) if m.phase == config.phase and m.checkpoint]
        prune_checkpoints(self._folder, tags)
        return manifest


def health(harvest: Harvest, done: Update, seconds: float) -> dict[str, float]:
    """All numbers of a step but its parts' seconds."""
    spreads = [spread(group.rewards) for group in harvest.groups]
    return done.health | {
        "reward_mean": harvest.reward_mean,
        "asr": harvest.failure_rate,
        "advantage_spread": mean(spreads),
        "staleness": mean([group.lag for group in harvest.groups]),
        "tokens_per_second": done.size / seconds,
        "wait_seconds": harvest.wait_seconds,
        **{f"dropped_{reason}": float(count) for reason, count in harvest.dropped.items()},
    }


def spread(values: list[float]) -> float:
    """Population standard deviation."""
    centre = mean(values)
    return math.sqrt(mean([(value - centre) ** 2 for value in values]))
