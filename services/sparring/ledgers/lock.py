"""Exclusive locks on files, which fall with the process that holds them, however it ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock on `path` for the time of the block, against every other thread and process.

    Args:
        path: made if it is not there; its folder must be.
        wait: whether to wait for whoever holds it.

    Raises:
        BlockingIOError: somebody holds it and `wait` is False.
    """
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
