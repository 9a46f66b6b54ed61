"""The episode ledger: every match that was ever played, whole and once.

Readers cost what they read: filters go down to the columns, images and latents are read for the ids asked for and
nothing else, and no call holds more than a batch of rows besides its result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq

from sparring.ledgers.appender import Appender
from sparring.ledgers.forgetting import forget
from sparring.ledgers.lock import exclusive
from sparring.ledgers.records import (
    EditId,
    EditRecord,
    EpisodeRecord,
    Group,
    GroupId,
    Purpose,
    SampleId,
    SampleRecord,
    TrajectoryRecord,
)
from sparring.ledgers.rows import to_edit, to_episode, to_sample, to_trajectory
from sparring.ledgers.schema import EDITS, EPISODES, SAMPLES, TRAJECTORIES
from sparring.ledgers.storage import Storage
from sparring.ledgers.table import equal
from sparring.ledgers.tables import Tables
from sparring.ledgers.tail import Cursor, Tail, read_tail

_KEPT = timedelta(hours=1)
_START = Cursor()


class EpisodeLedger:
    """The episodes under `root` (see `Storage`), made if they are not there.

    Any number of processes and threads may append and read at once; each must have been spawned, not forked.
    """

    def __init__(self, root: str | Path) -> None:
        self._tables = Tables.open(Path(Storage(root=str(root)).episodes))
        self._appender = Appender(self._tables)

    def append_group(self, group: Group) -> bool:
        """Append one group, whole; when this returns it survives the death of any process.

        Returns:
            False if a group of that id is there already, which is left as it is.

        Raises:
            InvalidGroup: its rows do not belong together; nothing was appended.
        """
        return self._appender.append([group])[0]

    def append_groups(self, groups: Sequence[Group]) -> list[bool]:
        """Append several groups in one commit, which costs little more than one; for each, as `append_group`."""
        return self._appender.append(groups)

    def has(self, group_id: GroupId) -> bool:
        """Whether the group is there. The first call reads all group ids, a later one those that are new."""
        return self._appender.has(group_id)

    def tail(
        self,
        cursor: Cursor = _START,
        *,
        campaign: str | None = None,
        phase: str | None = None,
        limit: int | None = None,
    ) -> Tail:
        """Episodes appended since `cursor`, in whole groups, and the cursor to go on from.

        Args:
            cursor: from the last call with the same `campaign` and `phase`; by default from the beginning.
            campaign, phase: only these; None is any.
            limit: stop at the end of the group with which this many episodes are reached.
        """
        where = equal(campaign=campaign, phase=phase)
        return read_tail(self._tables.episodes.snapshot(), cursor, where, limit)

    def scan(
        self,
        *,
        campaign: str | None = None,
        phase: str | None = None,
        purpose: Purpose | None = None,
        defender: str | None = None,
    ) -> Iterator[EpisodeRecord]:
        """Every episode that matches, in the order in which they were appended, without holding them."""
        where = equal(
            campaign=campaign,
            phase=phase,
            purpose=None if purpose is None else purpose.value,
            defender=defender,
        )
        yield from map(to_episode, self._tables.episodes.snapshot().rows(EPISODES.names, where))

    def get_groups(self, ids: Iterable[GroupId]) -> dict[GroupId, tuple[EpisodeRecord, ...]]:
        """Episodes by group, in the order of their index; a group that is not there is left out."""
        found: dict[GroupId, list[EpisodeRecord]] = {}
        for row in self._tables.episodes.snapshot().find(EPISODES.names, "group_id", ids):
            episode = to_episode(row)
            found.setdefault(episode.group_id, []).append(episode)
        return {name: tuple(sorted(group, key=lambda episode: episode.index)) for name, group in found.items()}

    def get_samples(self, ids: Iterable[SampleId], *, images: bool = True) -> dict[SampleId, SampleRecord]:
        """Samples by id, with or without their images; one that is not there is left out."""
        columns = [name for name in SAMPLES.names if images or name != "image"]
        rows = self._tables.samples.snapshot().find(columns, "sample_id", ids)
        return {sample.sample_id: sample for sample in map(to_sample, rows)}

    def get_edits(self, ids: Iterable[EditId], *, images: bool = True) -> dict[EditId, EditRecord]:
        """Edits by id, with or without their images; one that is not there is left out."""
        columns = [name for name in EDITS.names if images or name != "image"]
        rows = self._tables.edits.snapshot().find(columns, "edit_id", ids)
        return {edit.edit_id: edit for edit in map(to_edit, rows)}

    def get_trajectories(self, ids: Iterable[EditId]) -> dict[EditId, TrajectoryRecord]:
        """Trajectories by edit; one that was never recorded or has expired is left out."""
        rows = self._tables.trajectories.snapshot().find(TRAJECTORIES.names, "edit_id", ids)
        return {trajectory.edit_id: trajectory for trajectory in map(to_trajectory, rows)}

    def compact(self, older_than: timedelta = _KEPT) -> bool:
        """Merge the many small files that appending makes. Others may append and read meanwhile.

        Finding rows by id slows down with the number of commits since the last compaction (some 15 ms per hundred), so
        this is worth its cost every few hundred.

        Args:
            older_than: files that only older versions need are removed; a reader that takes longer will miss them.

        Returns:
            False if another process is at it, and nothing was done.
        """
        try:
            with exclusive(self._tables.upkeep_lock, wait=False):
                for table in self._tables.all:
                    table.compact(older_than)
        except BlockingIOError:
            return False
        return True

    def expire_trajectories(self, campaign: str, phase: str) -> int:
        """Take out the trajectories of a phase that is over; return how many. Compaction then frees the space."""
        with exclusive(self._tables.upkeep_lock, wait=True):
            return self._tables.trajectories.delete(equal(campaign=campaign, phase=phase))

    def forget(self, campaign: str) -> int:
        """Take out a campaign's episodes, and the edits and samples that no other campaign's episodes name; return how
        many episodes there were. Compaction then frees the space."""
        return forget(self._tables, campaign)

    def export_parquet(self, folder: Path) -> list[Path]:
        """Write each table to `folder`/TABLE.parquet and return the files. A file that is there is replaced."""
        folder.mkdir(parents=True, exist_ok=True)
        # The episodes' version is fixed first, so that whatever they refer to is in the later versions of the others.
        snapshots = [(table, table.snapshot()) for table in reversed(self._tables.all)]
        files: list[Path] = []
        for table, snapshot in snapshots:
            files.append(folder / f"{table.path.stem}.parquet")
            with pq.ParquetWriter(files[-1], table.schema) as writer:
                for batch in snapshot.batches(table.schema.names):
                    writer.write_batch(batch)
        return files
