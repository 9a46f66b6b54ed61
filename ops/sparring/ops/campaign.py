"""Performs what the conductor decides, one action after the other, and writes down each when it is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from sparring.ledgers.entries import (
    CampaignFinished,
    CampaignStarted,
    CheckFinished,
    GateDecided,
    JournalEntry,
    PhaseFinished,
    PhaseStarted,
    Promoted,
    SuiteExtended,
    Usage,
)
from sparring.ledgers.journal import JournalWriter
from sparring.ledgers.manifest import Manifest
from sparring.ledgers.records import RevisionName
from sparring.ledgers.revision import ROLES
from sparring.ops.checking import Checking
from sparring.ops.conductor import (
    Action,
    Check,
    Decide,
    Finish,
    FinishPhase,
    Plan,
    Promote,
    PublishBases,
    StartPhase,
    Train,
    next_action,
    suite_attackers,
)
from sparring.ops.config import CampaignConfig
from sparring.ops.gate import Decision, decide_attacker, decide_defender
from sparring.ops.house import House
from sparring.ops.memory import MemoryWatch
from sparring.ops.suites import difference, only, read_suite
from sparring.ops.text import percent, points, points_interval
from sparring.ops.training import Training
from sparring.ops.version import describe
from sparring.referee.measures import attack_difference


def plan_of(config: CampaignConfig) -> Plan:
    """What the conductor has to know of the configuration."""
    return Plan(config.iterations, {role: config.phase(role).steps for role in ROLES})


def begin(config: CampaignConfig) -> CampaignStarted:
    """The first entry of a campaign."""
    return CampaignStarted(
        campaign=config.campaign, config=config.model_dump(mode="json"), seed=config.seed, commit=describe()
    )


class Campaign:
    """A campaign that this process conducts.

    Args:
        house: what it works with.
        writer: of the journal.
        journal: the entries so far; the first is there.
        memory: measures what all processes take.
    """

    def __init__(
        self, house: House, writer: JournalWriter, journal: Sequence[JournalEntry], memory: MemoryWatch
    ) -> None:
        self._house, self._writer, self._journal = house, writer, list(journal)
        self._memory = memory
        self._counted = house.status.began

    async def run(self) -> None:
        """Go on to the end.

        Raises:
            OpsError: it can't; what has been done stays done.
        """
        plan = plan_of(self._house.config)
        while True:
            manifests = await asyncio.to_thread(self._manifests)
            action = next_action(plan, self._journal, manifests)
            if action is None:
                return
            try:
                entries = await self._perform(action)
            finally:
                await self._write(self._usage())
            for entry in entries:
                await self._write(entry)

    def _manifests(self) -> list[Manifest]:
        weights, campaign = self._house.weights, self._house.config.campaign
        return [manifest for role in ROLES for manifest in weights.revisions(campaign, role)]

    async def _write(self, entry: JournalEntry) -> None:
        await asyncio.to_thread(self._writer.append, entry)
        self._journal.append(entry)

    def _usage(self) -> Usage:
        """What was taken since the last time that this was asked."""
        began, self._counted = self._counted, time.monotonic()
        return Usage(wall_seconds=self._counted - began, peak_pss_bytes=self._memory.take())

    async def _perform(self, action: Action) -> Sequence[JournalEntry]:
        """Do it; returns what the journal is to say of it."""
        match action:
            case PublishBases():
                self._house.status.begin("publishing the base weights")
                await self._house.publish_bases(action.roles)
                return []
            case Promote():
                return [await self._promote(action)]
            case StartPhase():
                return [PhaseStarted(**vars(action))]
            case Train():
                await Training(self._house, action.started, self._named()).run()
                return []
            case FinishPhase():
                return [await self._finish_phase(action)]
            case Check():
                return await self._check(action)
            case Decide():
                return [await asyncio.to_thread(self._decide, action)]
            case Finish():
                return [CampaignFinished(iterations=action.iterations)]

    async def _promote(self, action: Promote) -> Promoted:
        campaign = self._house.config.campaign
        await asyncio.to_thread(self._house.weights.set_release, campaign, action.role, action.revision)
        self._house.status.say(f"released: {action.revision}")
        return Promoted(role=action.role, revision=action.revision)

    def _named(self) -> frozenset[RevisionName]:
        """Revisions that the journal names: their tensors stay."""
        named: set[RevisionName] = set()
        for entry in self._journal:
            if isinstance(entry, PhaseStarted):
                named |= {entry.parent, entry.opponent}
            elif isinstance(entry, PhaseFinished | Promoted):
                named.add(entry.revision)
        return frozenset(named)

    async def _finish_phase(self, action: FinishPhase) -> PhaseFinished:
        """A phase that is over needs its trajectories no more: they are the bulk of the ledger."""
        campaign = self._house.config.campaign
        await asyncio.to_thread(self._house.episodes.expire_trajectories, campaign, action.phase)
        return PhaseFinished(phase=action.phase, revision=action.revision)

    async def _check(self, action: Check) -> Sequence[JournalEntry]:
        checking = Checking(self._house, action)
        finished: CheckFinished = await checking.run()
        known = [entry.attacker for entry in self._journal if isinstance(entry, SuiteExtended)]
        measures = finished.measures
        self._house.status.say(
            f"{action.defender}: clean {percent(measures.clean.value)}, robust {percent(measures.robust.value)}, "
            f"attack success {percent(measures.asr.value)}, valid edits {percent(measures.validity.value)}"
        )
        return [*await asyncio.to_thread(checking.extensions, known), finished]

    def _decide(self, action: Decide) -> GateDecided:
        decision = self._weigh(action)
        numbers = ", ".join(f"{name} {points(s)} ({points_interval(s)})" for name, s in decision.numbers.items())
        verdict = "accepted" if decision.accepted else "refused"
        self._house.status.say(f"{action.phase}: {verdict}: {numbers}")
        return GateDecided(
            phase=action.phase,
            candidate=action.candidate,
            accepted=decision.accepted,
            reasons=decision.reasons,
            numbers=dict(decision.numbers),
        )

    def _weigh(self, action: Decide) -> Decision:
        ledger, campaign, gate = self._house.episodes, self._house.config.campaign, self._house.config.gate
        if action.role == "attacker":
            suite = read_suite(ledger, campaign, action.opponent)
            return decide_attacker(attack_difference(suite, action.candidate, action.incumbent), gate)
        attackers = suite_attackers(self._journal)
        before = only(read_suite(ledger, campaign, action.incumbent), attackers)
        after = only(read_suite(ledger, campaign, action.candidate), attackers)
        return decide_defender(difference(before, after), gate)
