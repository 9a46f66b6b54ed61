"""One append-only table of the episode ledger, on Lance.

Nothing is kept open between calls: each opens the newest version (a millisecond at 2,000 versions), so that any
number of threads and processes may share a table. Lance is not fork-safe: processes that use it must be spawned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import lance
import pyarrow as pa

from sparring.ledgers.rows import Row

_BATCH_ROWS = 256
_BATCH_BYTES = 8 << 20
_BUFFER_BYTES = 64 << 20
"""Bounds of a scan's memory; Lance's own default reads 2 GiB ahead."""
_IDS_PER_QUERY = 256


def caches() -> lance.Session:
    """Caches of bounded size for the tables that share them."""
    return lance.Session(index_cache_size_bytes=4 << 20, metadata_cache_size_bytes=32 << 20)


def equal(**columns: str | None) -> str:
    """SQL for: each of these columns has this value; a None is left out. Empty if nothing is left."""
    return " AND ".join(f"{name} = {_quoted(value)}" for name, value in columns.items() if value is not None)


def among(column: str, values: Iterable[str]) -> Iterator[str]:
    """SQL for: this column has one of these values; several pieces, as long lists are slow."""
    wanted = sorted(set(values))
    for start in range(0, len(wanted), _IDS_PER_QUERY):
        several = ", ".join(map(_quoted, wanted[start : start + _IDS_PER_QUERY]))
        yield f"{column} IN ({several})"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


@dataclass(frozen=True)
class Snapshot:
    """One version of a table. Each append is a fragment, and a later one has a higher number.

    Compaction gives old rows a new fragment with a high number, in the old place of the order. So "after fragment n"
    is every row that is new since n was the newest, and perhaps some that are not.
    """

    dataset: lance.LanceDataset

    @property
    def newest(self) -> int:
        """Highest number of a fragment; -1 if there is none."""
        return max((fragment.fragment_id for fragment in self.dataset.get_fragments()), default=-1)

    def batches(self, columns: Sequence[str], where: str = "", after: int = -1) -> Iterator[pa.RecordBatch]:
        """Rows in the order in which they were appended, a bounded number at a time; only `columns` are read.

        Args:
            columns: names.
            where: SQL; empty is every row.
            after: leave out fragments up to this number.
        """
        fragments = None
        if after >= 0:
            fragments = [fragment for fragment in self.dataset.get_fragments() if fragment.fragment_id > after]
            if not fragments:
                return
        scanner = self.dataset.scanner(
            columns=list(columns),
            filter=where or None,
            fragments=fragments,
            batch_size=_BATCH_ROWS,
            batch_size_bytes=_BATCH_BYTES,
            io_buffer_size=_BUFFER_BYTES,
        )
        yield from scanner.to_batches()

    def rows(self, columns: Sequence[str], where: str = "", after: int = -1) -> Iterator[Row]:
        """Like `batches`, row by row."""
        for batch in self.batches(columns, where, after):
            yield from batch.to_pylist()

    def find(self, columns: Sequence[str], column: str, values: Iterable[str]) -> Iterator[Row]:
        """Rows whose `column` is one of `values`, in no particular order."""
        for where in among(column, values):
            yield from self.rows(columns, where)


@dataclass(frozen=True)
class Table:
    """A table in `path` with the columns of `schema`.

    Attributes:
        path: folder that Lance owns.
        schema: columns; it may gain optional ones, nothing else.
        fragment_rows: rows of a fragment that compaction leaves alone.
        session: caches, shared between tables so that they are bounded together.
    """

    path: Path
    schema: pa.Schema
    fragment_rows: int
    session: lance.Session

    def create(self) -> None:
        """Make the table, or the columns that it lacks. Two processes must not do so at once."""
        if not self.path.exists():
            lance.write_dataset(self.schema.empty_table(), self.path, session=self.session)
            return
        dataset = self.snapshot().dataset
        if lacking := [field for field in self.schema if field.name not in dataset.schema.names]:
            dataset.add_columns(lacking)

    def snapshot(self) -> Snapshot:
        return Snapshot(lance.dataset(self.path, session=self.session))

    def append(self, rows: pa.Table) -> None:
        """Add `rows` in one commit, all or none."""
        if rows.num_rows:
            lance.write_dataset(rows, self.path, mode="append", session=self.session)

    def delete(self, where: str) -> int:
        """Take rows out of sight, and return how many; the next compaction takes them off the disk."""
        return int(self.snapshot().dataset.delete(where)["num_deleted_rows"])

    def compact(self, older_than: timedelta) -> None:
        """Merge small fragments; drop versions that are no longer the newest and `older_than` or older."""
        dataset = self.snapshot().dataset
        dataset.optimize.compact_files(
            target_rows_per_fragment=self.fragment_rows, batch_size=_BATCH_ROWS, num_threads=1
        )
        dataset.cleanup_old_versions(older_than=older_than)
