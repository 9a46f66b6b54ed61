"""Takes out a campaign, and what nobody else uses of what it brought.

The only place where the ledger loses rows that were whole. Whoever appends keeps in memory which ids are there; a
number in a file says how often something was forgotten, and whoever finds another number than before looks again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from sparring.ledgers.lock import exclusive
from sparring.ledgers.table import Table, among, equal
from sparring.ledgers.tables import Tables


def forget(tables: Tables, campaign: str) -> int:
    """Take out all episodes of `campaign`, then the edits, trajectories and samples that no other episode names.

    The rows are out of sight at once, and off the disk with the next compaction.

    Returns:
        how many episodes there were.
    """
    with exclusive(tables.append_lock, wait=True), exclusive(tables.upkeep_lock, wait=True):
        rows = list(tables.episodes.snapshot().rows(["sample_id", "edit_id"], equal(campaign=campaign)))
        samples = {row["sample_id"] for row in rows}
        edits = {row["edit_id"] for row in rows if row["edit_id"] is not None}
        forgotten = tables.episodes.delete(equal(campaign=campaign))
        for column, ids, parts in (
            ("edit_id", edits, (tables.trajectories, tables.edits)),
            ("sample_id", samples, (tables.samples,)),
        ):
            unused = ids - _used(tables.episodes, column, ids)
            for table in parts:
                _remove(table, column, unused)
        _count(tables)
    return forgotten


def times_forgotten(tables: Tables) -> int:
    """How often something was."""
    try:
        return int(tables.forgotten.read_text())
    except FileNotFoundError:
        return 0


def _used(episodes: Table, column: str, ids: Iterable[str]) -> set[str]:
    return {row[column] for row in episodes.snapshot().find([column], column, ids)}


def _remove(table: Table, column: str, ids: Iterable[str]) -> None:
    for where in among(column, ids):
        table.delete(where)


def _count(tables: Tables) -> None:
    draft = tables.forgotten.with_suffix(".new")
    draft.write_text(str(times_forgotten(tables) + 1))
    os.replace(draft, tables.forgotten)
