"""Groups that are ready at about the same time share a commit, which costs little more than one of them would."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from sparring.ledgers.appender import check_group
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import Group

BUSY = 4
"""Groups of a commit from which the next one waits for more company: one of fifty costs little more than of five."""


class _Batch:
    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.full = asyncio.Event()
        self.task: asyncio.Task[list[bool]] | None = None


class Committer:
    """Appends to `ledger` for the coroutines of one process, and compacts it now and then beside that.

    Args:
        ledger: where groups go.
        most: groups of a commit.
        wait_seconds: how long a commit waits for company. While one is under way the next gathers groups anyway.
        busy_seconds: the same where the last one found company.
        compact_every: commits between two compactions; 0 leaves compaction to somebody else.
    """

    def __init__(
        self,
        ledger: EpisodeLedger,
        *,
        most: int = 64,
        wait_seconds: float = 0.05,
        busy_seconds: float = 0.2,
        compact_every: int = 256,
    ) -> None:
        self._ledger = ledger
        self._most = most
        self._wait_seconds, self._busy_seconds = wait_seconds, busy_seconds
        self._last = 0
        self._compact_every = compact_every
        self._open: _Batch | None = None
        self._tasks: set[asyncio.Task[list[bool]]] = set()
        self._turn = asyncio.Lock()
        self._commits = 0
        self._compaction: asyncio.Future[bool] | None = None
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="committer")

    async def append(self, group: Group) -> bool:
        """Append a group; when this returns it survives the death of any process.

        A caller that is cancelled takes nothing back: the group is appended all the same.

        Returns:
            False if a group of that id is there already.

        Raises:
            InvalidGroup: its rows do not belong together; other groups are not affected.
        """
        check_group(group)
        batch, place = self._admit(group)
        assert batch.task is not None
        return (await asyncio.shield(batch.task))[place]

    def _admit(self, group: Group) -> tuple[_Batch, int]:
        if self._open is None:
            self._open = _Batch()
            self._open.task = asyncio.create_task(self._commit(self._open))
            self._tasks.add(self._open.task)
            self._open.task.add_done_callback(self._tasks.discard)
        batch = self._open
        batch.groups.append(group)
        if len(batch.groups) >= self._most:
            batch.full.set()
            self._open = None
        return batch, len(batch.groups) - 1

    async def _commit(self, batch: _Batch) -> list[bool]:
        with suppress(TimeoutError):
            wait = self._busy_seconds if self._last >= BUSY else self._wait_seconds
            await asyncio.wait_for(batch.full.wait(), wait)
        async with self._turn:
            if self._open is batch:
                self._open = None
            self._last = len(batch.groups)
            loop = asyncio.get_running_loop()
            new = await loop.run_in_executor(self._threads, self._ledger.append_groups, batch.groups)
        self._count()
        return new

    def _count(self) -> None:
        self._commits += 1
        idle = self._compaction is None or self._compaction.done()
        if idle and self._compact_every and self._commits % self._compact_every == 0:
            self._compaction = asyncio.get_running_loop().run_in_executor(self._threads, self._ledger.compact)

    async def close(self) -> None:
        """Wait until everything that was handed in has been appended."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._compaction is not None:
            await asyncio.wait([self._compaction])
        self._threads.shutdown()
