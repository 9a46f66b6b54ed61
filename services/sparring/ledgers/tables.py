"""The four tables of the episode ledger and the locks between their users."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sparring.ledgers.lock import exclusive
from sparring.ledgers.schema import EDITS, EPISODES, SAMPLES, TRAJECTORIES
from sparring.ledgers.table import Table, caches


@dataclass(frozen=True)
class Tables:
    """The ledger's folder.

    Attributes:
        append_lock: held by whoever appends, from the first table to the last.
        upkeep_lock: held by whoever compacts or deletes; appending goes on meanwhile.
        pending: names the commit that is under way.
        forgotten: says how often something was forgotten; see `sparring.ledgers.forgetting`.
    """

    samples: Table
    edits: Table
    trajectories: Table
    episodes: Table
    append_lock: Path
    upkeep_lock: Path
    pending: Path
    forgotten: Path

    @classmethod
    def open(cls, folder: Path) -> Tables:
        """The ledger in `folder`, made if it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        session = caches()
        tables = cls(
            samples=Table(folder / "samples.lance", SAMPLES, 4096, session),
            edits=Table(folder / "edits.lance", EDITS, 4096, session),
            trajectories=Table(folder / "trajectories.lance", TRAJECTORIES, 4096, session),
            episodes=Table(folder / "episodes.lance", EPISODES, 65536, session),
            append_lock=folder / "append.lock",
            upkeep_lock=folder / "upkeep.lock",
            pending=folder / "pending.json",
            forgotten=folder / "forgotten",
        )
        with exclusive(tables.append_lock, wait=True):
            for table in tables.all:
                table.create()
        return tables

    @property
    def all(self) -> tuple[Table, ...]:
        """In the order in which they are appended to."""
        return self.samples, self.edits, self.trajectories, self.episodes
