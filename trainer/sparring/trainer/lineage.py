"""Where a phase stands: read from the manifests and checkpoints that exist."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sparring.ledgers.manifest import Manifest
from sparring.ledgers.records import GroupId, RevisionName
from sparring.ledgers.weights import WeightsLedger
from sparring.trainer.config import TrainerConfig

KEPT_CHECKPOINTS = 2


@dataclass(frozen=True)
class Standing:
    """What a trainer goes on from.

    Attributes:
        chain: ancestors of the next revision, the start of the campaign first; the last one is its parent.
        step: of the last one within the phase; 0 at the start of the phase.
        checkpoint: tag to load; empty at the start of the phase and at its end.
        rewound: whether the phase had come farther than this, so that later revisions are abandoned.
    """

    chain: tuple[Manifest, ...]
    step: int
    checkpoint: str
    rewound: bool = False

    @property
    def parent(self) -> Manifest:
        return self.chain[-1]

    @property
    def consumed(self) -> frozenset[GroupId]:
        """Groups that an ancestor was trained on."""
        return frozenset(group for manifest in self.chain for group in manifest.consumed)

    @property
    def names(self) -> list[RevisionName]:
        return [manifest.name for manifest in self.chain]

    def next(self, manifest: Manifest) -> Standing:
        """After one more step."""
        return Standing((*self.chain, manifest), manifest.step, manifest.checkpoint)


def find_standing(weights: WeightsLedger, config: TrainerConfig) -> Standing:
    """The newest revision of the phase that can be gone on from; the start of the phase if there is none.

    The last revision of a phase needs no checkpoint, any other does. A checkpoint without manifest and a manifest
    without checkpoint count for nothing: whichever is ahead of the other was cut off in the making.
    """
    ours = [m for m in weights.revisions(config.campaign, config.role) if m.phase == config.phase]
    for age, manifest in enumerate(reversed(ours)):
        there = manifest.checkpoint and (Path(config.checkpoints) / manifest.checkpoint).is_dir()
        if there or manifest.step >= config.steps:
            return Standing(ancestors(weights, manifest.name), manifest.step, manifest.checkpoint, rewound=age > 0)
    return Standing(ancestors(weights, config.start), 0, "", rewound=bool(ours))


def ancestors(weights: WeightsLedger, name: RevisionName) -> tuple[Manifest, ...]:
    """The revision and all that it descends from, the oldest first."""
    return tuple(weights.lineage(name))[::-1]


def prune_checkpoints(folder: Path, keep: Collection[str]) -> None:
    """Remove all checkpoints but those with the tags `keep`, also those that were cut off in the making."""
    for old in folder.iterdir():
        if old.name.isdecimal() and old.name not in keep:
            shutil.rmtree(old)
