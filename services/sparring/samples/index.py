"""What a pass over a dataset must remember of every row, kept on disk: memory does not grow with the file."""

from __future__ import annotations

import sqlite3


class Index:
    """Text by text, in a temporary file of SQLite's that goes with it; of the file, 2 MB are held at a time.

    May be used by several threads, one after the other.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def put(self, key: str, value: str) -> str:
        """Remember `value` under `key` unless something is there; return what is there now."""
        self._database.execute("INSERT OR IGNORE INTO entries VALUES (?, ?)", (key, value))
        return self.get(key) or value

    def get(self, key: str) -> str | None:
        """What was put under `key` first."""
        found: tuple[str] | None
        found = self._database.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        return None if found is None else found[0]

    def close(self) -> None:
        self._database.close()
