"""Reading on from where one stopped, at the cost of what is new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sparring.ledgers.records import EpisodeRecord
from sparring.ledgers.rows import to_episode
from sparring.ledgers.schema import EPISODES
from sparring.ledgers.table import Snapshot


@dataclass(frozen=True)
class Cursor:
    """Where a reader stopped. It holds for the filter that it was made with.

    Attributes:
        positions: for each writer, the sequence of its last group read.
        fragment: fragments up to this number hold nothing new. Compaction moves rows to higher ones, so this saves
            work, and `positions` decides.
    """

    positions: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    fragment: int = -1

    @property
    def unread(self) -> str:
        """SQL for the rows after this cursor; empty if that is all of them."""
        return " AND ".join(
            f"NOT (writer = '{writer}' AND sequence <= {last})" for writer, last in sorted(self.positions.items())
        )


@dataclass(frozen=True)
class Tail:
    """Whole groups, in the order in which they were appended, and where to read on."""

    episodes: tuple[EpisodeRecord, ...]
    cursor: Cursor


def read_tail(snapshot: Snapshot, cursor: Cursor, where: str, limit: int | None) -> Tail:
    """Episodes of `snapshot` after `cursor`.

    Args:
        snapshot: of the episodes.
        cursor: from the last call with the same `where`.
        where: SQL; empty is every episode.
        limit: stop at the end of the group with which this many episodes are reached.
    """
    episodes: list[EpisodeRecord] = []
    positions = dict(cursor.positions)
    for row in snapshot.rows(EPISODES.names, " AND ".join(filter(None, (where, cursor.unread))), cursor.fragment):
        writer, sequence = row["writer"], row["sequence"]
        if limit is not None and len(episodes) >= limit and positions.get(writer) != sequence:
            return Tail(tuple(episodes), Cursor(MappingProxyType(positions), cursor.fragment))
        positions[writer] = sequence
        episodes.append(to_episode(row))
    return Tail(tuple(episodes), Cursor(MappingProxyType(positions), snapshot.newest))
