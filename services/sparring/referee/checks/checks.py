"""All checks of a referee: those that are being played, each in a task of its own, and those that are over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from contextvars import Context
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from sparring.ledgers.entries import CheckEnded
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.errors import JournalLocked
from sparring.ledgers.journal import JournalWriter
from sparring.referee.allowance import Enough
from sparring.referee.check import Progress
from sparring.referee.checks.errors import Elsewhere, NotEnded, OtherCheck, UnknownCheck
from sparring.referee.checks.playing import UNPLAYABLE, Court, Playing
from sparring.referee.checks.record import CheckRecord, to_entry
from sparring.referee.checks.standing import Standing, standing_of
from sparring.referee.checks.store import CheckStore
from sparring.referee.config import ChecksConfig
from sparring.serving.errors import QueueFull

RETRY_SECONDS = 60.0
"""When to come again if too many checks wait."""
_log = structlog.get_logger(__name__)


@dataclass
class Job:
    """A check that waits or is being played.

    Attributes:
        standing: how far it is.
        changed: set, and replaced, whenever that changes.
        cancelled: whether its owner wants it to end.
    """

    standing: Standing
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False
    task: asyncio.Task[None] | None = None

    def tell(self, standing: Standing) -> None:
        """Have everybody who waits look again."""
        self.standing = standing
        self.changed.set()
        self.changed = asyncio.Event()


class Checks:
    """Submits, plays, shows and ends checks.

    Args:
        config: how many.
        store: where they are kept.
        court: where they are played.
        ledger: forgets those that are deleted.
    """

    def __init__(self, config: ChecksConfig, store: CheckStore, court: Court, ledger: EpisodeLedger) -> None:
        self._config, self._store, self._court, self._ledger = config, store, court, ledger
        self._metrics = court.table.metrics
        self._jobs: dict[str, Job] = {}
        self._places = asyncio.Semaphore(config.at_once)

    async def resume(self) -> None:
        """Take up the checks that the last referee left."""
        for name in await asyncio.to_thread(self._store.names):
            record = await asyncio.to_thread(self._store.read, name)
            if record is not None and record.ended is None:
                with suppress(Elsewhere):
                    self._begin(record)

    async def close(self) -> None:
        """Stop playing; the next referee goes on."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def submit(self, wanted: CheckRecord, arrived: Path) -> Standing:
        """Begin a check, or go on with one that ended early; one that is being played, or is settled, is left alone.

        Args:
            wanted: the check.
            arrived: file with the samples that were sent.

        Raises:
            OtherCheck: there is another check of that id.
            QueueFull: too many wait.
            Elsewhere: another referee plays it.
        """
        known = await asyncio.to_thread(self._store.read, wanted.check_id)
        if known is not None and not known.same_as(wanted):
            request = wanted.spec.request_id
            raise OtherCheck(f"request id {request!r} was used for another check, {known.check_id}; choose a new one")
        if wanted.check_id in self._jobs or (known is not None and known.settled):
            return self.standing(wanted.owner, wanted.check_id)
        waiting = len(self._jobs) - self._config.at_once
        if waiting >= self._config.waiting:
            raise QueueFull(f"{waiting} checks wait already", RETRY_SECONDS)
        if known is not None:
            wanted = replace(wanted, submitted=known.submitted)
        return self._begin(wanted, arrived)

    def standing(self, owner: str, check_id: str) -> Standing:
        """How far a check is.

        Raises:
            UnknownCheck: there is none of that id that is the owner's.
        """
        job = self._jobs.get(check_id)
        if job is not None:
            standing = job.standing
        else:
            record = self._store.read(check_id)
            if record is None:
                raise UnknownCheck(check_id)
            standing = standing_of(record)
        if standing.record.owner != owner:
            raise UnknownCheck(check_id)
        return standing

    async def watch(self, owner: str, check_id: str) -> AsyncIterator[Standing]:
        """How far a check is, now and at every change, until it has ended.

        Raises:
            UnknownCheck: there is none of that id that is the owner's.
            Elsewhere: another referee plays it.
        """
        while True:
            job = self._jobs.get(check_id)
            changed = job.changed if job else None
            standing = self.standing(owner, check_id)
            yield standing
            if standing.ended:
                return
            if changed is None:
                raise elsewhere(check_id)
            await changed.wait()

    def mine(self, owner: str) -> list[Standing]:
        """The owner's checks, the newest first."""
        found = []
        for name in self._store.names():
            with suppress(UnknownCheck):
                found.append(self.standing(owner, name))
        return sorted(found, key=lambda standing: standing.record.submitted, reverse=True)

    async def cancel(self, owner: str, check_id: str) -> Standing:
        """End a check; one that has ended is left as it is.

        Raises:
            UnknownCheck: there is none of that id that is the owner's.
            Elsewhere: another referee plays it.
        """
        standing, job = self.standing(owner, check_id), self._jobs.get(check_id)
        if standing.ended:
            return standing
        if job is None or job.task is None:
            raise elsewhere(check_id)
        job.cancelled = True
        job.task.cancel()
        await asyncio.wait([job.task])
        return self.standing(owner, check_id)

    def ended(self, owner: str, check_id: str) -> tuple[CheckRecord, CheckEnded]:
        """A check that has ended, and how.

        Raises:
            UnknownCheck: there is none of that id that is the owner's.
            NotEnded: it has not.
        """
        record = self.standing(owner, check_id).record
        if record.ended is None:
            raise NotEnded(f"check {check_id} has not ended; watch it, or cancel it")
        return record, record.ended

    async def delete(self, owner: str, check_id: str) -> None:
        """Forget a check.

        Raises:
            UnknownCheck: there is none of that id that is the owner's.
            NotEnded: it has not.
        """
        self.ended(owner, check_id)
        await asyncio.to_thread(self._forget, check_id)

    def _forget(self, check_id: str) -> None:
        try:
            with self._store.journal(check_id).writer():
                self._ledger.forget(check_id)
                self._store.remove(check_id)
        except JournalLocked as error:
            raise elsewhere(check_id) from error

    def _begin(self, record: CheckRecord, arrived: Path | None = None) -> Standing:
        """Start the task of a check, which holds its journal until it ends.

        Args:
            record: the check.
            arrived: file with the samples that were sent; None if the check was submitted earlier.

        Raises:
            Elsewhere: another referee holds it.
        """
        with ExitStack() as stack:
            try:
                writer = stack.enter_context(self._store.journal(record.check_id).writer())
            except JournalLocked as error:
                raise elsewhere(record.check_id) from error
            if arrived is not None:
                self._store.keep(arrived, record.check_id)
                writer.append(to_entry(record))
            job = Job(Standing(record, "waiting"))
            self._jobs[record.check_id] = job
            self._metrics.checking(len(self._jobs))
            # Nothing of the call that submitted it, its deadline above all, is to hold for the check.
            job.task = asyncio.create_task(self._live(job, writer, stack.pop_all()), context=Context())
        return job.standing

    async def _live(self, job: Job, writer: JournalWriter, stack: ExitStack) -> None:
        """The life of a check: it waits for its turn, is played, and ends with an entry in its journal."""
        with stack:
            ended = await self._outcome(job)
            writer.append(ended)
            record = replace(job.standing.record, ended=ended)
            del self._jobs[record.check_id]
            self._metrics.checking(len(self._jobs))
            self._metrics.checked(ended.ending)
            job.tell(standing_of(record))
            _log.info("check ended", check=record.check_id, ending=ended.ending, done=ended.done, error=ended.error)

    async def _outcome(self, job: Job) -> CheckEnded:
        """How it ended. A referee that stops leaves it without an end."""
        record = job.standing.record
        playing = Playing(self._court, record)

        def tell(progress: Progress) -> None:
            job.tell(Standing(record, "running", progress.done, progress.missing))

        try:
            async with self._places:
                job.tell(Standing(record, "running"))
                await playing.run(tell)
                return playing.ended("finished")
        except Enough:
            return playing.ended("capped")
        except UNPLAYABLE as failure:
            return playing.ended("failed", str(failure))
        except asyncio.CancelledError:
            if job.cancelled:
                return playing.ended("cancelled")
            del self._jobs[record.check_id]
            raise
        except Exception:  # the boundary of a call, but that nobody waits for this one
            _log.exception("check failed", check=record.check_id)
            return playing.ended("failed", "internal error; the referee's log has its traceback")


def elsewhere(check_id: str) -> Elsewhere:
    return Elsewhere(f"check {check_id} is being played by another referee on the same storage; ask that one")
