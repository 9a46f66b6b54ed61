"""One phase: matches are kept in flight while the trainer works, and each new revision is played with at once.

What is in the ledgers is all that counts. A phase that is taken up again goes on with the slots that are free and the
groups that wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby, islice

import grpc
import structlog

from sparring.client.errors import Refused
from sparring.ledgers.entries import PhaseStarted
from sparring.ledgers.manifest import Manifest
from sparring.ledgers.records import EpisodeRecord, GroupId, Outcome, RevisionName
from sparring.ledgers.revision import Role
from sparring.ledgers.signal import has_signal
from sparring.ops.aim import pin
from sparring.ops.curriculum import Curriculum, open_slice
from sparring.ops.errors import PlayFailed, Starved
from sparring.ops.house import House
from sparring.ops.plays import Plays, slot_of
from sparring.ops.window import Patience, Window, slots
from sparring.samples.sample import Sample
from sparring.v1 import referee_pb2

_POLL_SECONDS = 0.1
_EXPIRE_EVERY = 16
_AWAY = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)
"""Somebody is away or has not loaded its revision yet; the same match may be tried again."""
_RETRIES = 2
"""Attempts at a match after the first, if others succeed meanwhile: then it is the sample that makes them fail."""
_log = structlog.get_logger(__name__)


class Training:
    """The rest of a phase.

    Args:
        house: what it works with.
        started: the phase.
        keep: revisions whose tensors must stay.
    """

    def __init__(self, house: House, started: PhaseStarted, keep: Collection[RevisionName]) -> None:
        self._house, self._started, self._keep = house, started, keep
        self._phase = house.config.phase(started.role)
        self._window = Window(self._phase.groups, self._phase.max_staleness, started.steps, [started.parent])
        self._patience = Patience()
        self._failing_since: float | None = None
        self._succeeded = 0.0
        self._changed = asyncio.Event()
        self._number = -1
        self._learner = pin(house.weights, started.parent)
        self._served: list[RevisionName] = []

    async def run(self) -> None:
        """Play and train until the phase has all its steps.

        Raises:
            Starved: what is played can't be learnt from.
            PlayFailed: matches fail, and go on failing.
            ProcessFailed: the trainer died too often.
        """
        free = slots(await asyncio.to_thread(self._restore))
        opponent = await self._house.aims[_other(self._started.role)].set(self._started.opponent)
        await self._serve(self._window.newest)
        self._house.status.begin(f"{self._started.phase}: {self._started.role} learns", self._started.steps)
        self._house.status.step = self._window.done
        async with asyncio.TaskGroup() as group:
            group.create_task(self._house.train(self._started))
            group.create_task(self._watch())
            await self._play(group, Plays(self._house.config, self._started, opponent), free)
        await asyncio.to_thread(self._expire)

    def _restore(self) -> set[int]:
        """Read from the ledgers where the phase stands; returns the slots that are taken."""
        self._enter(self._read_manifests())
        return self._read_groups()

    def _read_manifests(self) -> list[Manifest]:
        """Manifests of this phase that are new."""
        found = self._house.weights.revisions(self._house.config.campaign, self._started.role, after=self._number)
        self._number = max((manifest.number for manifest in found), default=self._number)
        return [manifest for manifest in found if manifest.phase == self._started.phase]

    def _enter(self, manifests: Iterable[Manifest]) -> None:
        """Take steps that are done into the books."""
        for manifest in manifests:
            self._window.train(manifest.step, manifest.name, self._slots(manifest.consumed))

    def _slots(self, groups: Iterable[GroupId]) -> set[int]:
        campaign, phase = self._house.config.campaign, self._started.phase
        return {slot for slot in (slot_of(campaign, phase, group) for group in groups) if slot is not None}

    def _read_groups(self) -> set[int]:
        """Take what is played and not yet trained on into the books; returns all slots that are taken."""
        campaign, phase = self._house.config.campaign, self._started.phase
        lineage = self._house.weights.lineage(self._window.newest)
        consumed = self._slots(group for manifest in lineage for group in manifest.consumed)
        taken: set[int] = set()
        episodes = self._house.episodes.scan(campaign=campaign, phase=phase)
        for group_id, group in groupby(episodes, key=lambda episode: episode.group_id):
            slot = slot_of(campaign, phase, group_id)
            assert slot is not None, group_id
            taken.add(slot)
            if slot not in consumed:
                self._take_up(slot, list(group))
        return taken

    def _take_up(self, slot: int, group: Sequence[EpisodeRecord]) -> None:
        rewards = [reward for episode in group for reward in episode.rewards]
        failed = any(episode.outcome is Outcome.FAILED for episode in group)
        if rewards and not failed and has_signal(rewards):
            made = group[0].attacker if self._started.role == "attacker" else group[0].defender
            self._window.accept(slot, RevisionName(made))

    async def _serve(self, newest: RevisionName) -> None:
        """Have the newest revision served, beside those that matches in flight may still name: what this run has had
        served before. Of other ancestors the tensors may be gone, after a rewind of the trainer even of the latest."""
        self._served = [*self._served[-self._phase.max_staleness - 1 :], newest]
        self._learner = await self._house.aims[self._started.role].set(newest, self._served)

    async def _watch(self) -> None:
        """Follow the manifests to the last."""
        status = self._house.status
        while self._window.done < self._started.steps:
            fresh = await asyncio.to_thread(self._read_manifests)
            for manifest in fresh:
                status.step = manifest.step
                status.reward, status.asr = manifest.metrics.get("reward_mean"), manifest.metrics.get("asr")
                if manifest.step % _EXPIRE_EVERY == 0:
                    await asyncio.to_thread(self._expire)
            if fresh:
                # Room opens only once matches can be played with the new revision: the old one's would be stale.
                if fresh[-1].step < self._started.steps:
                    await self._serve(fresh[-1].name)
                self._enter(fresh)
                self._changed.set()
            status.waiting = self._waits()
            await asyncio.sleep(_POLL_SECONDS)
        self._changed.set()

    def _waits(self) -> str:
        books = self._window
        if books.pending >= books.batch:
            return "the trainer"
        return (
            f"{books.batch - books.pending} of {books.batch} groups with signal ({books.in_flight} matches in flight)"
        )

    def _expire(self) -> None:
        """Drop the tensors of revisions that nobody will ask for again."""
        last = self._phase.max_staleness + 3
        self._house.weights.expire(self._house.config.campaign, self._started.role, last=last, keep=self._keep)

    async def _play(self, group: asyncio.TaskGroup, plays: Plays, free: Iterator[int]) -> None:
        """Keep matches in flight until the last manifest is there, then wait for those that are left."""
        config = self._house.config
        source = await asyncio.to_thread(open_slice, config.data.train, config.data.roots)
        samples = Curriculum(source, config.data.train, config.seed).stream(self._started.phase, free)
        while self._window.done < self._started.steps:
            self._changed.clear()
            if not self._window.room:
                await self._changed.wait()
                continue
            await asyncio.sleep(self._patience.wait_seconds())
            slot, sample = await asyncio.to_thread(lambda: next(islice(samples, 1)))
            self._window.in_flight += 1
            group.create_task(self._match(plays, slot, sample))

    async def _match(self, plays: Plays, slot: int, sample: Sample) -> None:
        try:
            played, revision = await self._played(plays, slot, sample)
        finally:
            self._window.in_flight -= 1
            self._changed.set()
        if played is not None:
            self._book(slot, played, revision)

    async def _played(self, plays: Plays, slot: int, sample: Sample) -> tuple[referee_pb2.Played | None, RevisionName]:
        """Play one match, as often as it takes; None if the sample itself is refused.

        Who asks again is told what the ledger has, be it that the match failed (the channel, too, asks again after
        UNAVAILABLE). So nothing that is played gets lost, and only another attempt plays anew.
        """
        failures: list[float] = []
        while True:
            learner = self._learner
            try:
                played = await self._ask(plays.request(slot, sample, learner, attempt=len(failures)))
            except Refused as error:
                wait = self._refused(error, sample)
                if wait is None:
                    return None, RevisionName(learner.name)
            else:
                if played.outcome != referee_pb2.OUTCOME_FAILED:
                    return played, RevisionName(learner.name)
                failures.append(time.monotonic())
                if self._hopeless(failures):
                    return played, RevisionName(learner.name)
                self._fail(played.error)
                wait = self._patience.wait_seconds()
            await asyncio.sleep(wait)

    def _hopeless(self, failures: Sequence[float]) -> bool:
        """Whether a match that failed at these times is to be given up; while nobody succeeds, it is not the sample."""
        alone = len(failures) > _RETRIES and self._succeeded > failures[0]
        return alone or self._window.done >= self._started.steps

    def _refused(self, error: Refused, sample: Sample) -> float | None:
        """When to ask again; None where it is the sample that is refused. A full queue is no failure.

        Raises:
            PlayFailed: nothing has succeeded since long.
        """
        if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return error.retry_seconds or 1.0
        if error.code in _AWAY:
            self._fail(str(error))
            return error.retry_seconds or self._patience.wait_seconds()
        self._fail(f"{sample.source}: {error}")
        return None

    async def _ask(self, request: referee_pb2.PlayRequest) -> referee_pb2.Played:
        async for event in self._house.referee.play(request, seconds=self._house.config.machine.play_seconds):
            if event.HasField("played"):
                return event.played
        raise Refused(grpc.StatusCode.UNAVAILABLE, "the referee ended the match without saying what was played")

    def _book(self, slot: int, played: referee_pb2.Played, revision: RevisionName) -> None:
        """Enter how a match ended.

        Raises:
            Starved, PlayFailed: as it has for too long.
        """
        status, outcome = self._house.status, referee_pb2.Outcome.Name(played.outcome).removeprefix("OUTCOME_").lower()
        status.episodes += max(1, played.edits)
        status.outcomes["signal" if played.signal else outcome] += 1
        if played.outcome == referee_pb2.OUTCOME_FAILED:
            self._fail(played.error)
            return
        self._failing_since, self._succeeded = None, time.monotonic()
        if played.signal:
            self._patience.fruit()
            self._window.accept(slot, revision)
            self._changed.set()
            return
        self._patience.nothing()
        if self._patience.fruitless >= self._phase.fruitless:
            seen = ", ".join(f"{count} {name}" for name, count in status.outcomes.most_common())
            raise Starved(
                f"{self._started.phase}: the last {self._patience.fruitless} matches gave nothing to learn from "
                f"(of this run: {seen}); a group has signal if its rewards differ. Make the task harder or "
                "easier: more edits or answers per group, another temperature, another data.train"
            )

    def _fail(self, reason: str) -> None:
        """Enter a failure.

        Raises:
            PlayFailed: nothing has succeeded since long.
        """
        self._patience.failure()
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        _log.warning("match failed", phase=self._started.phase, reason=reason)
        if now - self._failing_since > self._house.config.machine.failing_seconds:
            raise PlayFailed(
                f"{self._started.phase}: no match has succeeded for {now - self._failing_since:.0f} s; the last "
                f"failure: {reason}"
            )


def _other(role: Role) -> Role:
    return "defender" if role == "attacker" else "attacker"
