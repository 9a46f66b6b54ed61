"""One phase: step after step, each made final by its manifest.

The order of a step is optimizer, checkpoint, export, manifest. Killed anywhere in it, a trainer that is started again
finds its place by `find_standing`. So it needs no handler for SIGTERM: any end is like any other.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
import torch

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.lock import exclusive
from sparring.ledgers.manifest import Draft, Manifest
from sparring.ledgers.records import Learner
from sparring.ledgers.weights import WeightsLedger
from sparring.trainer.config import TrainerConfig
from sparring.trainer.engine import Engine, Ranks
from sparring.trainer.errors import Busy, Mismatch
from sparring.trainer.feed import TrainGroup
from sparring.trainer.health import Clock, Gauges
from sparring.trainer.lineage import KEPT_CHECKPOINTS, Standing, find_standing, prune_checkpoints
from sparring.trainer.sides.registry import open_side, open_supply
from sparring.trainer.supply import Batch
from sparring.trainer.update import Updater

logger = structlog.get_logger()


def train(config: TrainerConfig) -> None:
    """Publish revisions until the phase has all its steps.

    Raises:
        TrainerError, LedgerError: what it says; nothing is half done.
    """
    torch.set_num_threads(config.engine.threads)
    ranks = Ranks(config.limits.starve_seconds)
    with alone(config, ranks):
        weights = WeightsLedger(config.storage.root)
        standing = ranks.tell(find_standing(weights, config) if ranks.first else None)
        if standing.step < config.steps:
            Phase(config, ranks, weights, standing).run()
        if ranks.first:
            shutil.rmtree(config.checkpoints)
    ranks.close()


@contextmanager
def alone(config: TrainerConfig, ranks: Ranks) -> Iterator[None]:
    """Keep other trainers of this phase out, such as one whose launcher died without it.

    Raises:
        Busy: there is one.
    """
    if not ranks.first:
        yield
        return
    folder = Path(config.checkpoints)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(folder / "lock", wait=False):
            yield
    except BlockingIOError as error:
        raise Busy(f"another process trains {config.phase} of {config.campaign}: it holds {folder / 'lock'}") from error


class Phase:
    """A trainer on one rank."""

    def __init__(self, config: TrainerConfig, ranks: Ranks, weights: WeightsLedger, standing: Standing) -> None:
        self._config, self._ranks, self._weights, self._standing = config, ranks, weights, standing
        self._folder = Path(config.checkpoints)
        self._clock = Clock()
        self._ledger = EpisodeLedger(config.storage.root)
        self._side = open_side(config, self._ledger)
        self._adopt()
        self._engine = Engine(self._side.module(), config.engine, config.optimizer, config.steps * config.updates)
        if standing.checkpoint:
            self._engine.load(self._folder, standing.checkpoint)
        self._updater = Updater(self._side, self._engine, ranks, config, self._clock)

    def _adopt(self) -> None:
        """Weights of the phase's start; a checkpoint, which is loaded later, replaces the learner's."""
        folder = self._folder / "start"
        first = self._ranks.first
        self._side.adopt(
            self._ranks.tell(self._weights.fetch(self._config.start, None, folder) if first else None),
        )
        self._ranks.wait()
        if first:
            shutil.rmtree(folder)

    def run(self) -> None:
        """All steps that are left."""
        config, first = self._config, self._ranks.first
        gauges = Gauges(config) if first else None
        supply = open_supply(config, self._ledger, self._standing, gauges) if gauges else None
        if gauges:
            parent = self._standing.parent.name
            logger.info("phase", phase=config.phase, parent=parent, step=self._standing.step, metrics_port=gauges.port)
        if self._standing.rewound:
            self._rewind()
        while self._standing.step < config.steps:
            step = self._standing.step + 1
            with self._clock.part("wait"):
                batch = self._ranks.tell(supply.take(step, self._standing.names) if supply else None)
            manifest = self._step(batch, step)
            self._standing = self._standing.next(manifest)
            if gauges:
                gauges.show(manifest.metrics)
                logger.info("step", revision=manifest.name, step=manifest.step, **manifest.metrics)

    def _rewind(self) -> None:
        """Publish once more what the phase goes on from, so that all know that later revisions are abandoned.

        Otherwise matches would go on being played with those, and none of them can be trained on.
        """
        standing = self._standing
        again = None
        if self._ranks.first:
            again = self._publish(Batch(()), self._next_number(), standing.step, standing.checkpoint, {})
            logger.info("rewound", revision=again.name, step=again.step)
        self._standing = standing.next(self._ranks.tell(again))

    def _next_number(self) -> int:
        return self._weights.next_number(self._config.campaign, self._config.role)

    def _step(self, batch: Batch[Any], step: int) -> Manifest:
        config, ranks = self._config, self._ranks
        began = time.monotonic()
        with self._clock.part("load"):
            rows = self._side.rows(batch.items, range(ranks.rank, len(batch.items), ranks.count), step)
        try:
            done = self._updater.run(rows, step)
        except Mismatch as error:
            raise Mismatch(f"{error} {self._parties(batch)}") from error
        health = batch.health | done.health | {"tokens_per_second": done.size / (time.monotonic() - began)}
        number = ranks.tell(self._next_number() if ranks.first else None)
        tag = f"{number:06d}" if step % config.checkpoint_every == 0 and step < config.steps else ""
        if tag:
            self._save(tag)
        return ranks.tell(self._publish(batch, number, step, tag, health) if ranks.first else None)

    def _parties(self, batch: Batch[Any]) -> str:
        """Which weights service and trainer say that they have."""
        parent = self._standing.parent.name
        made = ", ".join(sorted({sampled_by(group, self._ledger) for group in batch.items if group.lag == 0}))
        return f"Service: {made}; trainer: {parent} (sha256 {self._weights.digest(parent)})."

    def _save(self, tag: str) -> None:
        """Write a checkpoint, over what a trainer that was killed may have left under its tag."""
        with self._clock.part("checkpoint"):
            if self._ranks.first:
                shutil.rmtree(self._folder / tag, ignore_errors=True)
            self._ranks.wait()
            self._engine.save(self._folder, tag)

    def _publish(self, batch: Batch[Any], number: int, step: int, tag: str, health: dict[str, float]) -> Manifest:
        config, folder = self._config, self._folder / "export"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with self._clock.part("export"):
            self._side.export(folder)
        draft = Draft(
            campaign=config.campaign,
            role=config.role,
            number=number,
            layout="full" if config.policy.adapter is None else "peft",
            base=config.policy.base,
            parent=self._standing.parent.name,
            step=step,
            phase=config.phase,
            consumed=batch.consumed,
            checkpoint=tag,
            metrics=health | self._clock.read(),
        )
        # This part counts toward the next step: it cannot be in the manifest that it makes.
        with self._clock.part("publish"):
            manifest = self._weights.publish(folder, draft)
        chain = (*self._standing.chain, manifest)
        tags = dict.fromkeys(m.checkpoint for m in chain if m.phase == config.phase and m.checkpoint)
        prune_checkpoints(self._folder, list(tags)[-KEPT_CHECKPOINTS:])
        return manifest


def sampled_by(group: TrainGroup, ledger: EpisodeLedger) -> str:
    """Name and digest of the revision whose acts a group is, as its service gave them."""
    episode = group.episodes[0]
    if episode.learner is Learner.DEFENDER:
        return f"{episode.defender} (sha256 {episode.defender_digest})"
    edits = ledger.get_edits([] if episode.edit_id is None else [episode.edit_id])
    return f"{episode.attacker} (sha256 {', '.join(edit.attacker_digest for edit in edits.values())})"
