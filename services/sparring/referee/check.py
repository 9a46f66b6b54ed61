"""The check, the one evaluator: originals, controls and each attacker's edits of a dataset, answered once.

A suite's edits are recorded under names that do not contain the defender and are replayed to every other one. What is
in the ledger is not played again, so a check that was cut off goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import count, islice, takewhile

from sparring.ledgers.records import EditId, EditRecord, EpisodeRecord, GroupId, Outcome, SampleId
from sparring.referee.allowance import Allowance, Enough
from sparring.referee.errors import OpponentError
from sparring.referee.items import Item, read
from sparring.referee.match import Table
from sparring.referee.terms import RETRY, Attack, Original, Recorded, Terms, View, author, images
from sparring.samples.sample import Sample

GIVE_UP = 100
"""Matches of one attacker, or about originals, that fail one after the other before a check is broken off: then nobody
is there, and what it has not tried is not to be counted as missing."""
AHEAD_BYTES = 64 * 2**20
"""Images that are read ahead of what is played, at most and one more."""

Playing = asyncio.Task[list[EpisodeRecord]]
"""One sample that is being played."""


@dataclass(frozen=True)
class Plan:
    """What a check is about.

    Attributes:
        suite: name of the recorded edits: same samples and seed, same suite.
        attacks: who edits each sample, and how often.
        terms: of every match; its id is replaced.
        asking: tells apart ways of asking the same defender.
        again: how often the original is asked about once more, for what chance does without any edit.
    """

    suite: str
    attacks: tuple[Attack, ...]
    terms: Terms
    asking: str
    again: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a check is.

    Attributes:
        items: samples of which everything has been tried, and what is known of them.
        missing: matches without result among these.
    """

    items: dict[SampleId, Item]
    missing: int

    @property
    def done(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class Bout:
    """One match of a check.

    Attributes:
        sample, view, terms: what is to be played.
        attempts: earlier ones in the ledger; an attempt that failed is followed by another.
        episodes: what the ledger has of the last of them.
    """

    sample: Sample
    view: View
    terms: Terms
    attempts: int = 0
    episodes: tuple[EpisodeRecord, ...] = ()

    @property
    def settled(self) -> bool:
        return bool(self.episodes) and all(episode.outcome is not Outcome.FAILED for episode in self.episodes)


def fingerprint(*parts: object) -> str:
    """Twelve hexadecimal digits that stand for some values."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:12]


def suite_name(uri: str, offset: int, limit: int, seed: int) -> str:
    """A name for the samples and the seed of a suite."""
    return f"suite-{fingerprint(uri, offset, limit, seed)}"


class Check:
    """One run of a check.

    Args:
        table: where its matches are played.
        plan: what it is about.
        allowance: answers that it may ask for; by default any number.
    """

    def __init__(self, table: Table, plan: Plan, allowance: Allowance | None = None) -> None:
        self._table, self._plan = table, plan
        self._allowance = allowance or Allowance()
        self._failures: Counter[str] = Counter()
        self._over: Enough | OpponentError | None = None
        self._items: dict[SampleId, Item] = {}
        self._missing = 0

    async def run(self, samples: Iterable[Sample], window: int) -> AsyncIterator[Progress]:
        """Play all that is missing, `window` samples at any time, and say whenever one is done how far it is.

        Raises:
            OpponentError: so many matches failed one after the other that nobody seems to be there.
            Enough: the allowance is used up. Either way, what was begun before has been played to its end.
        """
        running: set[Playing] = set()
        async with aclosing(self._planned(samples, window)) as planned:
            try:
                async for bouts in planned:
                    running.add(asyncio.create_task(self._one_sample(bouts)))
                    if len(running) >= window:
                        running = await self._settle(running)
                        yield Progress(self._items, self._missing)
                    if self._over:
                        break
                while running:
                    running = await self._settle(running)
                    yield Progress(self._items, self._missing)
            finally:
                for task in running:
                    task.cancel()
        if self._over:
            raise self._over

    async def _settle(self, running: set[Playing]) -> set[Playing]:
        """Wait until a sample is done, and enter it; returns those that are not."""
        done, others = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            try:
                found = read(task.result())
            except (Enough, OpponentError) as reason:
                self._over = reason
            else:
                self._items.update(found)
                self._missing += sum(len(item.failed) for item in found.values())
        return others

    async def _planned(self, samples: Iterable[Sample], window: int) -> AsyncGenerator[list[Bout], None]:
        """What is to be played about each sample. The next samples are looked up while the last are played."""
        source = iter(samples)
        ahead = asyncio.ensure_future(asyncio.to_thread(self._prepare, source, window))
        try:
            while chunk := await ahead:
                ahead = asyncio.ensure_future(asyncio.to_thread(self._prepare, source, window))
                for bouts in chunk:
                    yield bouts
        finally:
            ahead.cancel()

    def _prepare(self, source: Iterator[Sample], most: int) -> list[list[Bout]]:
        """The next samples' bouts, with what the ledger has of them."""
        planned = [self._bouts(sample) for sample in chunk_of(source, most)]
        known = iter(self._look_up([bout for bouts in planned for bout in bouts]))
        return [list(islice(known, len(bouts))) for bouts in planned]

    def _bouts(self, sample: Sample) -> list[Bout]:
        """All that is to be played about a sample: its original, then what each attacker makes of it."""
        plan, place = self._plan, f"{self._plan.suite}/{sample.digest[:16]}"
        bouts = [self._bout(sample, Original(), f"{place}/original", 1 + plan.again)]
        for index, attack in enumerate(plan.attacks):
            made = fingerprint(attack.by.SerializeToString(deterministic=True), attack.count, index == 0)
            recording = f"{place}/{author(attack)}/{made}"
            bouts.append(self._bout(sample, replace(attack, recording=recording, show_control=index == 0), recording))
        return bouts

    def _bout(self, sample: Sample, view: View, name: str, answers: int = 1) -> Bout:
        terms = self._plan.terms
        often = f"/{answers}" if answers > 1 else ""
        order = "" if sample.shuffle else "/unshuffled"
        match = f"{name}/{terms.defender.name}/{self._plan.asking}{often}{order}"
        return Bout(sample, view, replace(terms, match_id=match, answers=answers))

    def _look_up(self, bouts: Sequence[Bout]) -> list[Bout]:
        """The same with what the ledger has of them: attempts, and edits that another defender was shown."""
        ledger = self._table.ledger
        attempts = [self._attempts(bout.terms) for bout in bouts]
        found = ledger.get_groups([groups[-1] for groups in attempts if groups])
        known = [
            replace(bout, attempts=len(groups), episodes=found[groups[-1]]) if groups else bout
            for bout, groups in zip(bouts, attempts, strict=True)
        ]
        # Images are large: only those are read that will be shown.
        edits = ledger.get_edits([name for bout in known if not bout.settled for name in recorded(bout.view)])
        return [replace(bout, view=replayed(bout.view, edits)) for bout in known]

    def _attempts(self, terms: Terms) -> list[GroupId]:
        """Groups of the attempts that are in the ledger."""
        return list(takewhile(self._table.ledger.has, (attempt(terms, number).group(0) for number in count())))

    async def _one_sample(self, bouts: Sequence[Bout]) -> list[EpisodeRecord]:
        """Episodes of one sample, all its matches at once: waiting for one of them to be durable keeps none waiting.

        Raises:
            Enough: they could ask for more answers than are left; none was played.
        """
        most = sum(images(bout.view) * bout.terms.answers for bout in bouts if not bout.settled)
        self._allowance.reserve(most)
        # None is cancelled because another failed: it would be in the ledger a little later all the same.
        parts = await asyncio.gather(*(self._settled(bout) for bout in bouts), return_exceptions=True)
        for part in parts:
            if isinstance(part, BaseException):
                raise part
        return [episode for part in parts if not isinstance(part, BaseException) for episode in part]

    async def _settled(self, bout: Bout) -> Sequence[EpisodeRecord]:
        """The episodes of a match: those that are known, or else of a new attempt; without result a FAILED one."""
        if bout.settled:
            return bout.episodes
        terms, who = attempt(bout.terms, bout.attempts), author(bout.view)
        try:
            match = await self._table.play_new(bout.sample, bout.view, terms)
        except OpponentError:
            self._failures[who] += 1
            if self._failures[who] >= GIVE_UP:
                raise
            failed = await asyncio.to_thread(self._table.recall, bout.view, terms)
            assert failed is not None, "a match without result leaves a group that says so"
            return failed.episodes
        self._failures[who] = 0
        answers = sum(len(episode.answers) for episode in match.episodes)
        self._allowance.give_back(images(bout.view) * terms.answers - answers)
        return match.episodes


def chunk_of(source: Iterator[Sample], most: int) -> Iterator[Sample]:
    """The next samples, `most` at most, and not many more bytes of images than are to be read ahead."""
    size = 0
    for sample in islice(source, most):
        yield sample
        size += len(sample.image)
        if size >= AHEAD_BYTES:
            return


def attempt(terms: Terms, number: int) -> Terms:
    """The terms of the first attempt (0) or of a later one."""
    return replace(terms, match_id=f"{terms.match_id}{RETRY}{number}") if number else terms


def recorded(view: View) -> list[EditId]:
    """Edits that may have been recorded for another defender."""
    return view.ids("") if isinstance(view, Attack) else []


def replayed(view: View, edits: Mapping[EditId, EditRecord]) -> View:
    """The view with its edits from the ledger, if all are there."""
    ids = recorded(view)
    return Recorded(tuple(edits[name] for name in ids)) if ids and all(name in edits for name in ids) else view
