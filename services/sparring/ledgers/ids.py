"""Which ids a table has, at eight bytes each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from threading import Lock

import numpy as np

from sparring.ledgers.table import Snapshot

_RECENT = 1 << 16


def _hash(value: str) -> int:
    return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "little")


class Ids:
    """The values of one column of a table, by hash: of a million, a new one is taken for old once in 2 x 10^13."""

    def __init__(self, column: str) -> None:
        self._column = column
        self._settled = np.empty(0, dtype=np.uint64)
        self._recent: set[int] = set()
        self._fragment = -1
        self._lock = Lock()

    def refresh(self, snapshot: Snapshot) -> None:
        """Learn what is new in the table; costs as much as there is new."""
        with self._lock:
            for batch in snapshot.batches([self._column], after=self._fragment):
                self._add(batch.column(0).unique().to_pylist())
            self._fragment = max(self._fragment, snapshot.newest)

    def _add(self, values: Iterable[str]) -> None:
        self._recent.update(map(_hash, values))
        if len(self._recent) > _RECENT:
            recent = np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent))
            self._settled = np.union1d(self._settled, recent)
            self._recent.clear()

    def __contains__(self, value: str) -> bool:
        hashed = _hash(value)
        if hashed in self._recent:
            return True
        place = int(np.searchsorted(self._settled, np.uint64(hashed)))
        return place < len(self._settled) and int(self._settled[place]) == hashed
