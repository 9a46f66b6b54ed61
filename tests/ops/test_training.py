"""A phase with a referee and a trainer that do at once what real ones do in minutes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import grpc
import numpy as np
import pytest

from sparring.client.errors import Refused
from sparring.ledgers.entries import PhaseStarted
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.manifest import Draft
from sparring.ledgers.records import (
    AnswerRecord,
    EpisodeId,
    EpisodeRecord,
    Group,
    GroupId,
    Learner,
    Outcome,
    Purpose,
    RevisionName,
    SampleId,
)
from sparring.ledgers.revision import Revision
from sparring.ledgers.weights import WeightsLedger
from sparring.ops.aim import pin
from sparring.ops.config import CampaignConfig
from sparring.ops.errors import PlayFailed, Starved
from sparring.ops.folder import RunFolder
from sparring.ops.house import House
from sparring.ops.layering import Layers
from sparring.ops.plays import slot_of
from sparring.ops.status import Status
from sparring.ops.training import Training
from sparring.ops.window import Patience
from sparring.v1 import referee_pb2, revision_pb2

STEPS, GROUPS = 4, 3
BASE = Revision("test", "defender", 0).name
OPPONENT = Revision("test", "attacker", 0).name
STARTED = PhaseStarted(phase="i1-defender", role="defender", iteration=1, parent=BASE, opponent=OPPONENT, steps=STEPS)


def config(*settings: str) -> CampaignConfig:
    layers = Layers()
    layers.add_preset("test")
    layers.add_settings([f"defender.phase.steps={STEPS}", f"defender.phase.groups={GROUPS}", *settings])
    return layers.build(CampaignConfig)


def answer(right: bool) -> AnswerRecord:
    return AnswerRecord("", np.zeros(0, np.int32), np.zeros(0, np.float32), "A", "boxed", right, True)


@dataclass
class Umpire:
    """A referee that plays every match by `script`, which gives its outcome and whether it has signal."""

    ledger: EpisodeLedger
    script: Callable[[int], str]
    slots: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    now: int = 0
    most: int = 0
    accepted: list[GroupId] = field(default_factory=list)
    revisions: dict[GroupId, str] = field(default_factory=dict)

    async def play(
        self, request: referee_pb2.PlayRequest, *, seconds: float
    ) -> AsyncIterator[referee_pb2.PlayResponse]:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        slot = slot_of("test", request.key.phase, GroupId(request.key.match_id))
        assert slot is not None
        self.slots.append(slot)
        self.ids.append(request.key.match_id)
        match self.script(slot):
            case "away":
                raise Refused(grpc.StatusCode.UNAVAILABLE, "nobody is there")
            case "bad":
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "the image is broken")
            case "full":
                raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry_seconds=0.001)
            case "failed":
                lost = referee_pb2.Played(outcome=referee_pb2.OUTCOME_FAILED, error="the defender was away")
                yield referee_pb2.PlayResponse(played=lost)
            case told:
                yield referee_pb2.PlayResponse(played=self._record(request, signal=told == "signal"))

    def _record(self, request: referee_pb2.PlayRequest, *, signal: bool) -> referee_pb2.Played:
        group = GroupId(f"{request.key.match_id}/0")
        episode = EpisodeRecord(
            episode_id=EpisodeId(f"{group}#0"),
            sample_id=SampleId("s"),
            edit_id=None,
            prompt="",
            option_order=(),
            temperature=1.0,
            defender=request.defender.name,
            defender_digest=request.defender.digest,
            attacker="",
            answers=(answer(signal), answer(False)),
            rewards=(1.0 if signal else 0.0, 0.0),
            purpose=Purpose.TRAIN,
            campaign="test",
            phase=request.key.phase,
            learner=Learner.DEFENDER,
            group_id=group,
            group_size=1,
            index=0,
            outcome=Outcome.PLAYED,
        )
        self.ledger.append_group(Group((), (), (), (episode,)))
        if signal:
            self.accepted.append(group)
            self.revisions[group] = request.defender.name
        return referee_pb2.Played(
            group_id=request.key.match_id, outcome=referee_pb2.OUTCOME_PLAYED, signal=signal, edits=1
        )

    def check(self, request: referee_pb2.CheckRequest, *, seconds: float) -> AsyncIterator[referee_pb2.CheckResponse]:
        raise NotImplementedError


@dataclass
class Server:
    """A service that has every revision at once, if the ledger has its tensors."""

    weights: WeightsLedger
    cache: Path
    served: list[RevisionName] = field(default_factory=list)
    residents: list[list[RevisionName]] = field(default_factory=list)

    async def set(self, active: RevisionName, resident: Sequence[RevisionName] = ()) -> revision_pb2.Revision:
        for name in (active, *resident):
            self.weights.fetch(name, None, self.cache)
        self.served.append(active)
        self.residents.append([name for name in resident if name != active])
        return pin(self.weights, active)


@dataclass
class Coach:
    """A trainer that turns every `GROUPS` fresh groups into a revision; it stops after `until` steps."""

    umpire: Umpire
    weights: WeightsLedger
    files: Path
    until: int = STEPS

    async def __call__(self, started: PhaseStarted) -> None:
        chain = [m.name for m in self.weights.revisions("test", "defender")]
        consumed = {g for m in self.weights.revisions("test", "defender") for g in m.consumed}
        while len(chain) <= self.until:
            fresh = [g for g in self.umpire.accepted if g not in consumed and self.umpire.revisions[g] in chain[-2:]]
            if len(fresh) < GROUPS:
                await asyncio.sleep(0.001)
                continue
            consumed |= set(fresh[:GROUPS])
            self.weights.publish(self.files, draft(len(chain), chain[-1], fresh[:GROUPS]))
            chain.append(Revision("test", "defender", len(chain)).name)
        if self.until < STEPS:
            raise RuntimeError("killed")

    async def publish_bases(self, roles: object) -> None:
        raise NotImplementedError


def draft(number: int, parent: RevisionName | None, consumed: list[GroupId]) -> Draft:
    return Draft(
        campaign="test",
        role="defender",
        number=number,
        layout="full",
        base="b",
        parent=parent,
        step=number,
        phase="i1-defender" if number else "",
        consumed=tuple(consumed),
        metrics={"reward_mean": 0.5},
    )


@dataclass
class Stage:
    house: House
    umpire: Umpire
    coach: Coach
    learner: Server

    async def run(self) -> None:
        await Training(self.house, STARTED, {BASE, OPPONENT}).run()


def stage(tmp_path: Path, script: Callable[[int], str], *settings: str) -> Stage:
    files = tmp_path / "files"
    files.mkdir(exist_ok=True)
    (files / "model.safetensors").write_bytes(b"00000000")
    weights, ledger = WeightsLedger(tmp_path), EpisodeLedger(tmp_path)
    if not weights.revisions("test", "defender"):
        weights.publish(files, draft(0, None, []))
        weights.publish(files, draft(0, None, []).model_copy(update={"role": "attacker"}))
    umpire = Umpire(ledger, script)
    coach, learner = Coach(umpire, weights, files), Server(weights, tmp_path / "cache")
    house = House(
        config=config(*settings),
        folder=RunFolder(tmp_path, "test"),
        episodes=ledger,
        weights=weights,
        referee=umpire,
        aims={"attacker": Server(weights, tmp_path / "cache"), "defender": learner},
        train=coach,
        publish_bases=coach.publish_bases,
        status=Status("test", lambda line: None),
    )
    return Stage(house, umpire, coach, learner)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried again at once."""
    monkeypatch.setattr(Patience, "wait_seconds", lambda self: 0.001)


async def test_a_phase_runs_to_its_last_step(tmp_path: Path) -> None:
    played = stage(tmp_path, lambda slot: "signal" if slot % 3 else "dull")
    await played.run()
    heads = played.house.weights.revisions("test", "defender")
    assert [manifest.step for manifest in heads] == list(range(STEPS + 1))
    assert played.umpire.most <= 2 * GROUPS
    assert sorted(played.umpire.slots) == list(range(len(played.umpire.slots)))
    assert played.learner.served[0] == BASE
    assert heads[-1].name not in played.learner.served
    assert played.house.status.step == STEPS


async def test_a_phase_that_was_cut_off_goes_on_with_free_slots(tmp_path: Path) -> None:
    first = stage(tmp_path, lambda slot: "signal")
    first.coach.until = 2
    with pytest.raises(BaseExceptionGroup):
        await first.run()
    again = stage(tmp_path, lambda slot: "signal")
    again.umpire.accepted, again.umpire.revisions = list(first.umpire.accepted), dict(first.umpire.revisions)
    await again.run()
    assert not set(first.umpire.slots) & set(again.umpire.slots)
    heads = again.house.weights.revisions("test", "defender")
    assert [manifest.step for manifest in heads] == list(range(STEPS + 1))
    consumed = [group for manifest in heads for group in manifest.consumed]
    assert len(consumed) == len(set(consumed)) == STEPS * GROUPS


async def test_what_a_trainer_goes_on_from_after_a_rewind_is_served_alone(tmp_path: Path) -> None:
    """It publishes the revision of its last checkpoint anew, whose ancestors' tensors have been dropped meanwhile."""
    first = stage(tmp_path, lambda slot: "signal")
    first.coach.until = 3
    with pytest.raises(BaseExceptionGroup):
        await first.run()
    weights = first.house.weights
    parent = Revision("test", "defender", 1).name
    weights.publish(first.coach.files, draft(4, parent, []).model_copy(update={"step": 2}))
    weights.expire("test", "defender", last=1)
    again = stage(tmp_path, lambda slot: "signal")
    again.coach.until = 0
    with pytest.raises(BaseExceptionGroup, match="unhandled"):
        await again.run()
    assert again.learner.served == [Revision("test", "defender", 4).name]
    assert again.learner.residents == [[]]


async def test_revisions_that_matches_in_flight_may_name_stay_resident(tmp_path: Path) -> None:
    played = stage(tmp_path, lambda slot: "signal")
    await played.run()
    served, most = played.learner.served, played.house.config.defender.phase.max_staleness + 1
    assert played.learner.residents == [served[max(0, index - most) : index] for index in range(len(served))]


async def test_a_match_is_asked_for_again_when_somebody_is_away_or_full(tmp_path: Path) -> None:
    tries = count()
    played = stage(tmp_path, lambda slot: ("away", "full", "signal")[min(next(tries), 2)])
    await played.run()
    assert played.umpire.slots.count(0) + played.umpire.slots.count(1) > 2


async def test_a_sample_that_is_refused_is_passed_over(tmp_path: Path) -> None:
    played = stage(tmp_path, lambda slot: "bad" if slot == 1 else "signal")
    await played.run()
    assert played.umpire.slots.count(1) == 1


async def test_a_match_that_failed_is_played_anew(tmp_path: Path, hasty: None) -> None:
    tries: list[int] = []

    def script(slot: int) -> str:
        if slot == 1:
            tries.append(slot)
            return "failed" if len(tries) < 3 else "signal"
        return "signal" if len(tries) == 3 else "dull"

    played = stage(tmp_path, script, "defender.phase.fruitless=100000")
    await played.run()
    first = "test/i1-defender/000001"
    names = [first, f"{first}/retry1", f"{first}/retry2"]
    assert [name for name in played.umpire.ids if name.startswith(first)] == names
    assert slot_of("test", "i1-defender", GroupId(f"{names[-1]}/0")) == 1
    assert f"{names[-1]}/0" in played.umpire.accepted


async def test_nobody_is_given_up_while_all_matches_fail(tmp_path: Path, hasty: None) -> None:
    tries = count()
    played = stage(tmp_path, lambda slot: "failed" if next(tries) < 40 else "signal")
    await played.run()
    signal = {slot_of("test", "i1-defender", group) for group in played.umpire.accepted}
    assert signal == set(played.umpire.slots)


async def test_a_sample_that_fails_while_others_succeed_is_given_up(tmp_path: Path, hasty: None) -> None:
    tries: list[int] = []

    def script(slot: int) -> str:
        if slot == 1:
            tries.append(slot)
            return "failed"
        return "signal" if played.house.status.outcomes["failed"] else "dull"

    played = stage(tmp_path, script, "defender.phase.fruitless=100000")
    await played.run()
    assert len(tries) > 2
    assert played.house.status.outcomes["failed"] == 1


async def test_matches_without_signal_end_the_phase(tmp_path: Path) -> None:
    dull = stage(tmp_path, lambda slot: "dull", "defender.phase.fruitless=20")
    with pytest.raises(BaseExceptionGroup) as caught:
        await dull.run()
    (starved,) = caught.value.exceptions
    assert isinstance(starved, Starved)
    assert "the last 20 matches gave nothing to learn from" in str(starved)


async def test_matches_that_go_on_failing_end_the_phase(tmp_path: Path) -> None:
    lost = stage(tmp_path, lambda slot: "away", "machine.failing_seconds=0.5")
    with pytest.raises(BaseExceptionGroup) as caught:
        await lost.run()
    assert any(isinstance(error, PlayFailed) and "nobody is there" in str(error) for error in caught.value.exceptions)


async def test_a_manifest_of_a_lost_branch_does_not_confuse_the_books(tmp_path: Path) -> None:
    """Steps 1 and 2 exist twice, as after a crash that lost the checkpoint of the first two."""
    played = stage(tmp_path, lambda slot: "signal")
    files, weights = tmp_path / "files", played.house.weights
    for number, step, parent in ((1, 1, 0), (2, 2, 1), (3, 1, 0)):
        branch = draft(number, Revision("test", "defender", parent).name, [])
        weights.publish(files, branch.model_copy(update={"step": step}))
    training = Training(played.house, STARTED, set())
    training._restore()
    assert training._window.lineage == [BASE, Revision("test", "defender", 3).name]
    assert replace(training._window).done == 1
