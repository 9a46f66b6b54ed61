"""Appends groups PREFIX/0, PREFIX/1, ... to the ledger under ROOT and prints each name once it is acknowledged.

Usage: writer.py ROOT PREFIX [TABLE]; with TABLE the process stops for good before it appends to that table.
"""

from __future__ import annotations

import itertools
import signal
import sys
from unittest.mock import patch

import pyarrow as pa
from conftest import build

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.table import Table

append = Table.append


def stop(table: Table, rows: pa.Table) -> None:
    if table.path.stem == sys.argv[3]:
        print("stopped", flush=True)
        signal.pause()
    append(table, rows)


def main() -> None:
    ledger = EpisodeLedger(sys.argv[1])
    with patch.object(Table, "append", stop if len(sys.argv) > 3 else append):
        for number in itertools.count():
            group = build(f"{sys.argv[2]}/{number}")
            assert ledger.append_group(group)
            print(group.group_id, flush=True)


if __name__ == "__main__":
    main()
