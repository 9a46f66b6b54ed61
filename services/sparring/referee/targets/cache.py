"""Answers that were given, so that a check that is taken up again does not ask, and pay, twice.

One SQLite file in write-ahead mode: what was put is there though the process is killed, readers never wait for the
writer, and several processes may share it. Nothing in it is ever changed; where two put an answer, the first stays.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sparring.referee.targets.asking import Said

CacheKey = bytes
BUSY_SECONDS = 30.0
"""Longest wait for another process that is writing."""
_FORM = b"sparring answer 1"
"""Stands in every key; another number makes all that was kept unknown."""


class BadCache(ValueError):
    """A file that answers can't be kept in; names it."""


class AnswerCache:
    """Keeps answers.

    Args:
        path: the file; it is made, with its folder, if it is not there.

    Raises:
        BadCache: it is something else, or can't be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer, self._reader = _connect(path), _connect(path)
        except (OSError, sqlite3.Error) as error:
            raise BadCache(f"answers can't be kept in {path}: {error}") from error
        # One thread: a put whose caller has gone ends before the next begins.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="answers")

    @staticmethod
    def keys(image: bytes, asked: Sequence[str], count: int) -> list[CacheKey]:
        """Keys of `count` answers to one question: sha256 over everything that they depend on."""
        start = hashlib.sha256(_FORM)
        for part in (image, *(text.encode() for text in asked)):
            # Each part by its own digest, or text could move from one to the next unseen.
            start.update(hashlib.sha256(part).digest())
        return [_finished(start.copy(), index) for index in range(count)]

    def get(self, key: CacheKey) -> Said | None:
        """What is kept under a key."""
        row = self._reader.execute("SELECT text, finished, maker FROM answers WHERE key = ?", (key,)).fetchone()
        return Said(row[0], bool(row[1]), row[2]) if row else None

    async def put(self, answers: Sequence[tuple[CacheKey, Said]]) -> None:
        """Keep answers, all of them or none; when this returns, they survive the end of the process.

        They are kept, too, if whoever waits for this is cancelled: they were paid for.
        """
        rows = [(key, said.text, said.finished, said.maker) for key, said in answers]
        await asyncio.shield(asyncio.wrap_future(self._thread.submit(self._insert, rows)))

    def close(self) -> None:
        """Wait until everything is kept, and let the file go."""
        self._thread.shutdown()
        self._reader.close()
        self._writer.close()

    def _insert(self, rows: Sequence[tuple[CacheKey, str, bool, str]]) -> None:
        with self._writer:
            self._writer.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", rows)


def _connect(path: Path) -> sqlite3.Connection:
    # It is used in another thread than it is opened in, but never in two.
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    columns = "key BLOB PRIMARY KEY, text TEXT NOT NULL, finished INTEGER NOT NULL, maker TEXT NOT NULL"
    with connection:
        connection.execute(f"CREATE TABLE IF NOT EXISTS answers ({columns}) STRICT, WITHOUT ROWID")
    return connection


def _finished(start: hashlib._Hash, index: int) -> CacheKey:
    start.update(index.to_bytes(4, "big"))
    return start.digest()
