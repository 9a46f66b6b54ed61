"""Has a defender answer the suite, and says what that found. The referee plays only what is missing in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
import structlog

from sparring.client.errors import Refused
from sparring.ledgers.entries import CheckFinished, SuiteExtended
from sparring.ledgers.records import RevisionName
from sparring.ledgers.revision import Revision
from sparring.ops.aim import pin
from sparring.ops.conductor import Check
from sparring.ops.errors import PlayFailed
from sparring.ops.house import House
from sparring.ops.messages import to_answer_sampling
from sparring.ops.plays import learned
from sparring.ops.suites import only, read_suite, to_measures
from sparring.referee.check import suite_name
from sparring.referee.items import Suite
from sparring.v1 import referee_pb2, sample_pb2

_ATTEMPTS = 5
"""Runs of one check in a row that may come no farther, or leave answers missing."""
_PAUSE_SECONDS = 2.0
_RETRY = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)
_log = structlog.get_logger(__name__)


def check_name(defender: RevisionName) -> str:
    """Phase of a defender's checks: `check-000012`."""
    return f"check-{Revision.parse(defender).number:06d}"


def suite_of(house: House) -> str:
    """The suite's name, as edits are recorded under it."""
    part = house.config.data.suite
    return suite_name(part.uri, part.offset, house.config.suite.samples, house.config.suite.seed)


class Checking:
    """One defender against the suite as `asked` wants it."""

    def __init__(self, house: House, asked: Check) -> None:
        self._house, self._asked = house, asked
        self._done = 0

    async def run(self) -> CheckFinished:
        """Play what is missing, and measure.

        Raises:
            PlayFailed: the referee says no, again and again.
        """
        house, suite = self._house, self._house.config.suite
        total = suite.samples + suite.clean_samples
        house.status.begin(f"{check_name(self._asked.defender)}: the defender answers the suite", total)
        await house.aims["attacker"].set(self._asked.attackers[-1], self._asked.attackers)
        defender = await house.aims["defender"].set(self._asked.defender)
        offset = house.config.data.suite.offset
        attacked = self._request(offset, suite.samples)
        attacked.defender.CopyFrom(defender)
        for attacker in self._asked.attackers:
            attack = learned(pin(house.weights, attacker), house.config.instructions[0], suite.editing)
            attacked.attacks.append(referee_pb2.SuiteAttack(count=suite.edits, learned=attack))
        await self._insist(attacked, 0)
        if suite.clean_samples:
            plain = self._request(offset + suite.samples, suite.clean_samples)
            plain.defender.CopyFrom(defender)
            await self._insist(plain, suite.samples)
        return await asyncio.to_thread(self._measure)

    def _request(self, offset: int, limit: int) -> referee_pb2.CheckRequest:
        house, phase = self._house, check_name(self._asked.defender)
        campaign = house.config.campaign
        return referee_pb2.CheckRequest(
            key=referee_pb2.MatchKey(match_id=f"{campaign}/{phase}", campaign=campaign, phase=phase),
            dataset=sample_pb2.Dataset(uri=house.config.data.suite.uri, offset=offset, limit=limit),
            seed=house.config.suite.seed,
            sampling=to_answer_sampling(house.config.suite.answering),
        )

    async def _insist(self, request: referee_pb2.CheckRequest, before: int) -> None:
        """Ask until everything is answered; what is still missing after some attempts stays so, and is counted."""
        idle = 0
        while True:
            reached = self._done
            try:
                if await self._ask(request, before) == 0 or idle >= _ATTEMPTS:
                    return
            except Refused as error:
                _log.warning("check broken off", error=str(error), done=self._done)
                if error.code not in _RETRY or idle >= _ATTEMPTS:
                    raise PlayFailed(f"the referee can't check {self._asked.defender}: {error}") from error
            idle = 0 if self._done > reached else idle + 1
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _ask(self, request: referee_pb2.CheckRequest, before: int) -> int:
        """Play what is missing; returns the answers that still are."""
        async for event in self._house.referee.check(request, seconds=self._house.config.machine.check_seconds):
            if event.HasField("report"):
                return event.report.missing
            self._done = max(self._done, before + event.progress.done)
            self._house.status.step = self._done
        raise Refused(grpc.StatusCode.UNAVAILABLE, "the referee ended the check without a report")

    def _measure(self) -> CheckFinished:
        suite = read_suite(self._house.episodes, self._house.config.campaign, self._asked.defender)
        if not suite:
            part = self._house.config.data.suite
            raise PlayFailed(f"{part.uri} gave no sample from {part.offset} on, so nobody can be measured")
        measures = to_measures(only(suite, self._asked.attackers))
        self._house.status.measures = measures
        return CheckFinished(
            check=check_name(self._asked.defender),
            defender=self._asked.defender,
            attackers=self._asked.attackers,
            measures=measures,
        )

    def extensions(self, known: Sequence[str]) -> list[SuiteExtended]:
        """What the suite has won: an entry for each attacker that is not in `known`."""
        suite = read_suite(self._house.episodes, self._house.config.campaign, self._asked.defender)
        return [self._extension(suite, name) for name in self._asked.attackers if name not in known]

    def _extension(self, suite: Suite, attacker: RevisionName) -> SuiteExtended:
        items = only(suite, [attacker]).values()
        valid, rejected = sum(len(item.edits) for item in items), sum(len(item.rejected) for item in items)
        samples = sum(bool(item.edits or item.rejected) for item in items)
        return SuiteExtended(
            suite=suite_of(self._house), attacker=attacker, samples=samples, edits=valid + rejected, valid=valid
        )
