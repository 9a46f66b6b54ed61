"""A check asks for the whole suite, insists on what is missing, and measures what the ledger holds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import grpc
import protovalidate
import pytest

from sparring.client.errors import Refused
from sparring.ledgers.entries import PhaseStarted
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import RevisionName
from sparring.ledgers.weights import WeightsLedger
from sparring.ops import checking
from sparring.ops.aim import pin
from sparring.ops.checking import Checking
from sparring.ops.conductor import Check
from sparring.ops.config import CampaignConfig
from sparring.ops.errors import PlayFailed
from sparring.ops.folder import RunFolder
from sparring.ops.house import House
from sparring.ops.layering import Layers
from sparring.ops.status import Status
from sparring.v1 import referee_pb2, revision_pb2

from .conftest import A0, A1, D0, SAMPLES, is_right


@dataclass
class Umpire:
    """A referee whose checks leave as many answers missing as `script` says, or raise what it raises."""

    script: Callable[[int], int]
    asked: list[referee_pb2.CheckRequest] = field(default_factory=list)

    def play(self, request: referee_pb2.PlayRequest, *, seconds: float) -> AsyncIterator[referee_pb2.PlayResponse]:
        raise NotImplementedError

    async def check(
        self, request: referee_pb2.CheckRequest, *, seconds: float
    ) -> AsyncIterator[referee_pb2.CheckResponse]:
        self.asked.append(request)
        yield referee_pb2.CheckResponse(progress=referee_pb2.CheckProgress(done=1, total=2))
        yield referee_pb2.CheckResponse(report=referee_pb2.CheckReport(missing=self.script(len(self.asked))))


@dataclass
class Server:
    weights: WeightsLedger

    async def set(self, active: RevisionName, resident: object = ()) -> revision_pb2.Revision:
        return pin(self.weights, active)


async def train(started: PhaseStarted) -> None:
    raise NotImplementedError


async def publish_bases(roles: object) -> None:
    raise NotImplementedError


def house(toy: RunFolder, umpire: Umpire) -> House:
    layers = Layers()
    layers.add_preset("test")
    layers.add_settings(["campaign=toy", "suite.samples=12", "suite.clean_samples=3", "suite.edits=2"])
    weights = WeightsLedger(toy.root)
    return House(
        config=layers.build(CampaignConfig),
        folder=toy,
        episodes=EpisodeLedger(toy.root),
        weights=weights,
        referee=umpire,
        aims={"attacker": Server(weights), "defender": Server(weights)},
        train=train,
        publish_bases=publish_bases,
        status=Status("toy", lambda line: None),
    )


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "_PAUSE_SECONDS", 0)


async def test_the_whole_suite_is_asked_for(toy: RunFolder) -> None:
    umpire = Umpire(lambda run: 0)
    asked = Checking(house(toy, umpire), Check(D0, (A0, A1)))
    finished = await asked.run()
    attacked, plain = umpire.asked
    protovalidate.validate(attacked)
    protovalidate.validate(plain)
    assert [attack.learned.revision.name for attack in attacked.attacks] == [A0, A1]
    assert {attack.count for attack in attacked.attacks} == {2}
    assert (attacked.dataset.offset, attacked.dataset.limit, attacked.key.phase) == (0, 12, "check-000000")
    assert (plain.dataset.offset, plain.dataset.limit, len(plain.attacks)) == (12, 3, 0)
    wrong = [not is_right(s, a, e, D0) for s in range(11) for a in (A0, A1) for e in (0, 1) if (s, a, e) != (0, A0, 1)]
    assert finished.measures.asr.value == pytest.approx(sum(wrong) / len(wrong))
    assert finished.attackers == (A0, A1)


async def test_only_the_attackers_that_were_asked_for_count(toy: RunFolder) -> None:
    finished = await Checking(house(toy, Umpire(lambda run: 0)), Check(D0, (A0,))).run()
    wrong = [not is_right(s, A0, e, D0) for s in range(11) for e in (0, 1) if (s, e) != (0, 1)]
    assert finished.measures.asr.value == pytest.approx(sum(wrong) / len(wrong))


async def test_missing_answers_are_asked_for_again(toy: RunFolder) -> None:
    umpire = Umpire(lambda run: 2 if run < 3 else 0)
    await Checking(house(toy, umpire), Check(D0, (A0,))).run()
    assert len(umpire.asked) == 4


async def test_what_stays_missing_ends_no_campaign(toy: RunFolder) -> None:
    umpire = Umpire(lambda run: 1)
    await Checking(house(toy, umpire), Check(D0, (A0,))).run()
    assert 4 < len(umpire.asked) < 20


async def test_a_referee_that_is_away_is_asked_again_and_one_that_says_no_is_not(toy: RunFolder) -> None:
    def away(run: int) -> int:
        if run == 1:
            raise Refused(grpc.StatusCode.UNAVAILABLE, "away")
        return 0

    await Checking(house(toy, Umpire(away)), Check(D0, (A0,))).run()

    def never(run: int) -> int:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "no such dataset")

    umpire = Umpire(never)
    with pytest.raises(PlayFailed, match=r"can't check toy/defender/000000: INVALID_ARGUMENT: no such dataset"):
        await Checking(house(toy, umpire), Check(D0, (A0,))).run()
    assert len(umpire.asked) == 1


async def test_the_suite_s_growth_is_counted(toy: RunFolder) -> None:
    asked = Checking(house(toy, Umpire(lambda run: 0)), Check(D0, (A0, A1)))
    first, second = asked.extensions([])
    assert (first.attacker, first.samples, first.edits, first.valid) == (A0, SAMPLES, 24, 23)
    assert (second.attacker, second.valid) == (A1, 24)
    assert [entry.attacker for entry in asked.extensions([A0])] == [A1]
