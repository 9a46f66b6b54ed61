"""The check, the one evaluator: originals, controls and each attacker's edits of a dataset, answered once.

A suite's edits are recorded under names that do not contain the defender and are replayed to every other one. What is
in the ledger is not played again, so a check that was cut off goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice, takewhile

from sparring.ledgers.records import EditId, EditRecord, EpisodeRecord, GroupId, Outcome, SampleId
from sparring.referee.errors import OpponentError
from sparring.referee.gathering import gather_all
from sparring.referee.items import Item, read
from sparring.referee.match import Table
from sparring.referee.terms import RETRY, Attack, Original, Recorded, Terms, View, author
from sparring.samples.sample import Sample

GIVE_UP = 100
"""Matches that fail one after the other before a check is broken off: then nobody is there, and what it has not tried
is not to be counted as missing."""


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
    """How far a check is: samples of which everything has been tried, and what is known of them."""

    done: int
    items: dict[SampleId, Item]


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
    """

    def __init__(self, table: Table, plan: Plan) -> None:
        self._table, self._plan = table, plan
        self._failures = 0

    async def run(self, samples: Iterable[Sample], window: int) -> AsyncIterator[Progress]:
        """Play all that is missing, `window` samples at a time, and say after each window how far it is.

        Raises:
            OpponentError: so many matches failed one after the other that nobody seems to be there.
        """
        items: dict[SampleId, Item] = {}
        source = iter(samples)
        while chunk := await asyncio.to_thread(lambda: list(islice(source, window))):
            planned = [bout for sample in chunk for bout in self._bouts(sample)]
            bouts, size = await asyncio.to_thread(self._look_up, planned), 1 + len(self._plan.attacks)
            starts = range(0, len(bouts), size)
            for episodes in await gather_all(self._one_sample(bouts[start : start + size]) for start in starts):
                items.update(read(episodes))
            yield Progress(len(items), items)

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
        """Episodes of one sample, one match after the other."""
        return [episode for bout in bouts for episode in (bout.episodes if bout.settled else await self._play(bout))]

    async def _play(self, bout: Bout) -> Sequence[EpisodeRecord]:
        """The episodes of a new attempt; without result a FAILED one."""
        terms = attempt(bout.terms, bout.attempts)
        try:
            match = await self._table.play(bout.sample, bout.view, terms)
        except OpponentError:
            self._failures += 1
            if self._failures >= GIVE_UP:
                raise
            failed = await asyncio.to_thread(self._table.recall, bout.view, terms)
            assert failed is not None, "a match without result leaves a group that says so"
            return failed.episodes
        self._failures = 0
        return match.episodes


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
