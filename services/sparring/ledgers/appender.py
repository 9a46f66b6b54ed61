"""Appending whole groups, each once, whoever else appends and whenever a process dies.

All four tables are appended to under one lock, the episodes last: they are the commit. Before the first table is
touched a small file names the commit, and after the last it goes. Whoever finds that file when taking the lock knows
that its writer died; if the episodes are not there, the rows it left in the other tables are taken out again. So the
tables never hold an id twice, nor, for longer than until the next append, a row that no episode needed.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from sparring.ledgers.errors import InvalidGroup
from sparring.ledgers.forgetting import times_forgotten
from sparring.ledgers.ids import Ids
from sparring.ledgers.lock import exclusive
from sparring.ledgers.records import Group
from sparring.ledgers.rows import Row, edit_row, episode_row, sample_row, trajectory_row
from sparring.ledgers.tables import Tables


def check_group(group: Group) -> None:
    """Check that the rows of a group belong together.

    Raises:
        InvalidGroup: no episodes; episodes of several groups, or not `index` 0 to `group_size` - 1; an id twice; a
            trajectory without its edit.
    """
    if not group.episodes:
        raise InvalidGroup("a group without episodes says nothing")
    name, size = group.group_id, len(group.episodes)
    if {episode.group_id for episode in group.episodes} != {name}:
        raise InvalidGroup(f"group {name}: its episodes name several groups")
    if [(episode.index, episode.group_size) for episode in group.episodes] != [(i, size) for i in range(size)]:
        raise InvalidGroup(f"group {name}: {size} episodes must have index 0 to {size - 1} and group_size {size}")
    edits = [edit.edit_id for edit in group.edits]
    _check_distinct(name, "samples", [sample.sample_id for sample in group.samples])
    _check_distinct(name, "edits", edits)
    _check_distinct(name, "trajectories", [trajectory.edit_id for trajectory in group.trajectories])
    _check_distinct(name, "episodes", [episode.episode_id for episode in group.episodes])
    orphans = {trajectory.edit_id for trajectory in group.trajectories}.difference(edits)
    if orphans:
        raise InvalidGroup(f"group {name}: trajectories without their edits: {sorted(orphans)}")


def _check_distinct(group: str, what: str, ids: Sequence[str]) -> None:
    if len(set(ids)) != len(ids):
        raise InvalidGroup(f"group {group}: two of its {what} have one id")


@dataclass
class _Commit:
    """Rows to be appended together."""

    writer: str
    samples: list[Row] = field(default_factory=list)
    edits: list[Row] = field(default_factory=list)
    trajectories: list[Row] = field(default_factory=list)
    episodes: list[Row] = field(default_factory=list)

    def add(self, group: Group, sequence: int, samples: Iterable[str], edits: Iterable[str]) -> None:
        """Add a group, of its samples and edits only those named."""
        mark = {"writer": self.writer, "sequence": sequence}
        first = group.episodes[0]
        self.samples += [{**mark, **sample_row(row)} for row in group.samples if row.sample_id in samples]
        self.edits += [{**mark, **edit_row(row)} for row in group.edits if row.edit_id in edits]
        self.trajectories += [
            {**mark, **trajectory_row(row, first.campaign, first.phase)}
            for row in group.trajectories
            if row.edit_id in edits
        ]
        self.episodes += [{**mark, **episode_row(row)} for row in group.episodes]


class Appender:
    """Appends to `tables` under a name of its own, numbering its groups. Any number of them may work at once."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._writer = uuid.uuid4().hex
        self._sequence = 0
        self._know_nothing()

    def _know_nothing(self) -> None:
        self._forgotten = times_forgotten(self._tables)
        self._groups, self._samples, self._edits = Ids("group_id"), Ids("sample_id"), Ids("edit_id")

    def has(self, group_id: str) -> bool:
        """Whether the group is in the ledger, whoever appended it."""
        self._unlearn()
        self._groups.refresh(self._tables.episodes.snapshot())
        return group_id in self._groups

    def append(self, groups: Sequence[Group]) -> list[bool]:
        """Append groups in one commit, all or none; when this returns they survive the death of any process.

        Samples and edits whose id is in the ledger already stay as they were first written.

        Returns:
            for each group whether it was new; one that is there already is left as it is.

        Raises:
            InvalidGroup: see `check_group`; nothing was appended.
        """
        for group in groups:
            check_group(group)
        with exclusive(self._tables.append_lock, wait=True):
            self._recover()
            self._refresh()
            first = self._sequence
            commit, new = self._gather(groups)
            if any(new):
                self._write(commit, first)
            return new

    def _unlearn(self) -> None:
        """Ids only come to be known; where rows have gone, all are read again."""
        if times_forgotten(self._tables) != self._forgotten:
            self._know_nothing()

    def _refresh(self) -> None:
        self._unlearn()
        self._groups.refresh(self._tables.episodes.snapshot())
        self._samples.refresh(self._tables.samples.snapshot())
        self._edits.refresh(self._tables.edits.snapshot())

    def _gather(self, groups: Sequence[Group]) -> tuple[_Commit, list[bool]]:
        commit = _Commit(self._writer)
        new: list[bool] = []
        seen: set[str] = set()
        for group in groups:
            new.append(group.group_id not in self._groups and f"group {group.group_id}" not in seen)
            if not new[-1]:
                continue
            samples = {row.sample_id for row in group.samples if row.sample_id not in self._samples} - seen
            edits = {row.edit_id for row in group.edits if row.edit_id not in self._edits} - seen
            commit.add(group, self._sequence, samples, edits)
            self._sequence += 1
            seen |= {f"group {group.group_id}", *samples, *edits}
        return commit, new

    def _write(self, commit: _Commit, first: int) -> None:
        parts = (commit.samples, commit.edits, commit.trajectories, commit.episodes)
        tables = [
            (table, pa.Table.from_pylist(rows, schema=table.schema))
            for table, rows in zip(self._tables.all, parts, strict=True)
        ]
        self._announce(first)
        for table, rows in tables:
            table.append(rows)
        self._tables.pending.unlink()

    def _announce(self, first: int) -> None:
        draft = self._tables.pending.with_suffix(".new")
        draft.write_text(json.dumps({"writer": self._writer, "sequence": first}))
        os.replace(draft, self._tables.pending)

    def _recover(self) -> None:
        """Undo what a writer left that died between the first table and the last."""
        pending = self._tables.pending
        if not pending.exists():
            return
        commit = json.loads(pending.read_text())
        where = f"writer = '{commit['writer']}' AND sequence >= {commit['sequence']}"
        if not self._tables.episodes.snapshot().dataset.count_rows(where):
            with exclusive(self._tables.upkeep_lock, wait=True):
                for table in self._tables.all[:-1]:
                    table.delete(where)
        pending.unlink()
