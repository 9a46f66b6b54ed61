"""The check, the one evaluator: originals, controls and each attacker's edits of a dataset, answered greedily once.

A suite's edits are recorded under names that do not contain the defender and are replayed to every other one. What is
in the ledger is not played again, so a check that was cut off goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from sparring.ledgers.records import EditId, EditRecord, EpisodeRecord, Outcome, SampleId
from sparring.referee.match import Table
from sparring.referee.measures import Item, read
from sparring.referee.opponents import OpponentError
from sparring.referee.terms import RETRY, Attack, Original, Recorded, Terms, View
from sparring.samples.sample import Sample
from sparring.v1 import attacker_pb2

ATTEMPTS = 10
"""Runs of one check that may fail on the same match before it stays missing."""


@dataclass(frozen=True)
class Plan:
    """What a check is about.

    Attributes:
        suite: name of the recorded edits: same samples and seed, same suite.
        attacks: who edits each sample, and how often.
        terms: of every match; its id is replaced.
    """

    suite: str
    attacks: tuple[Attack, ...]
    terms: Terms


@dataclass(frozen=True)
class Progress:
    """How far a check is: samples of which everything is in the ledger, and what is known of them so far."""

    done: int
    items: dict[SampleId, Item]


def suite_name(uri: str, offset: int, limit: int, seed: int) -> str:
    """A name for the samples and the seed of a suite."""
    return "suite-" + hashlib.sha256(f"{uri}|{offset}|{limit}|{seed}".encode()).hexdigest()[:12]


def attacker_of(attack: Attack) -> str:
    """Who edits, as the ledger names it; a learned attack must say which revision."""
    if isinstance(attack.by, attacker_pb2.ProceduralAttack):
        return f"procedural:{attack.by.name}"
    if not attack.by.revision.name:
        raise ValueError("a suite's learned attack must name its revision: another day another one would be active")
    return attack.by.revision.name


async def check(table: Table, samples: Iterable[Sample], plan: Plan, window: int) -> AsyncIterator[Progress]:
    """Play all that is missing, `window` samples at a time, and say after each window how far it is."""
    items: dict[SampleId, Item] = {}
    source = iter(samples)
    while chunk := await asyncio.to_thread(lambda: list(islice(source, window))):
        wanted = [edit for sample in chunk for attack in plan.attacks for edit in named(sample, attack, plan).ids("")]
        known = await asyncio.to_thread(table.edits, wanted)
        for episodes in await asyncio.gather(*(one_sample(table, sample, plan, known) for sample in chunk)):
            items.update(read(episodes))
        yield Progress(len(items), items)


def named(sample: Sample, attack: Attack, plan: Plan) -> Attack:
    """The attack with the name that its edits of this sample are recorded under, whoever defends."""
    recording = f"{plan.suite}/{sample.digest[:16]}/{attacker_of(attack)}"
    return replace(attack, recording=recording, show_control=attack is plan.attacks[0])


async def one_sample(
    table: Table, sample: Sample, plan: Plan, known: Mapping[EditId, EditRecord]
) -> list[EpisodeRecord]:
    """Episodes of one sample: its original, its control and every edit."""
    defender = plan.terms.defender.name
    place = f"{plan.suite}/{sample.digest[:16]}"
    episodes = await insist(table, sample, Original(), replace(plan.terms, match_id=f"{place}/original/{defender}"))
    for attack in plan.attacks:
        view = named(sample, attack, plan)
        ids = view.ids("")
        replay = Recorded(tuple(known[name] for name in ids)) if all(name in known for name in ids) else view
        terms = replace(plan.terms, match_id=f"{view.recording}/{defender}")
        episodes += await insist(table, sample, replay, terms)
    return episodes


async def insist(table: Table, sample: Sample, view: View, terms: Terms) -> list[EpisodeRecord]:
    """A match, by a new attempt where an earlier run's came to nothing; without result its FAILED episodes."""
    episodes: list[EpisodeRecord] = []
    for attempt in range(ATTEMPTS):
        again = replace(terms, match_id=f"{terms.match_id}{RETRY}{attempt}" if attempt else terms.match_id)
        try:
            episodes = list((await table.play(sample, view, again)).episodes)
        except OpponentError:
            return list((await table.play(sample, view, again)).episodes)
        if all(episode.outcome is not Outcome.FAILED for episode in episodes):
            break
    return episodes
