"""The match, played by a real referee between opponents with known rules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import grpc
import numpy as np
import pytest

from sparring.client.errors import Refused, refused
from sparring.ledgers.records import EditId, Kind, Learner, Outcome, Purpose, SampleId
from sparring.referee.config import RewardConfig
from sparring.samples.images import encode_png
from sparring.samples.prompt import put, shuffled
from sparring.samples.sample import Box, Sample, Target
from sparring.v1 import attacker_pb2, defender_pb2, referee_pb2, tensor_pb2

from .conftest import ATTACKER, DEFENDER, DIGEST, FLOATS, Open, Ring, pixels

Requests = Callable[..., referee_pb2.PlayRequest]
MATCH = "c/p/000007"


async def test_a_learning_attacker_is_paid_for_each_edit(ring: Open, request_of: Requests, sample: Sample) -> None:
    async with ring() as it:
        it.pupil.key[sample.question] = sample.options[sample.answer]
        it.pupil.slips = 3
        *judged, last = await it.play(request_of("mark plain cover", learner="ATTACKER", answers=4))
        group, (calm,) = it.group(MATCH), it.group(f"{MATCH}/control")
        edits = it.ledger.get_edits([EditId(f"{MATCH}/{name}") for name in ("e0", "e1", "e2", "control")])
        paths = it.ledger.get_trajectories([EditId(f"{MATCH}/e{index}") for index in range(3)])

    assert [episode.rewards for episode in group] == [(0.75,), (0.0,), (0.0,)]
    assert [episode.outcome for episode in group] == [Outcome.PLAYED, Outcome.PLAYED, Outcome.REJECTED]
    assert [(e.edit_id, e.index, e.group_size, e.attacker) for e in group] == [
        (f"{MATCH}/e{index}", index, 3, ATTACKER) for index in range(3)
    ]
    assert {(e.learner, e.purpose, e.campaign, e.phase, e.defender, e.defender_digest) for e in group} == {
        (Learner.ATTACKER, Purpose.TRAIN, "c", "p", DEFENDER, DIGEST)
    }
    assert [len(episode.answers) for episode in group] == [4, 4, 0]
    assert (calm.edit_id, calm.learner, calm.rewards, calm.group_size) == (f"{MATCH}/control", Learner.NONE, (), 1)
    assert edits[EditId(f"{MATCH}/control")].kind is Kind.CONTROL
    assert not edits[EditId(f"{MATCH}/e2")].verdict.valid
    assert edits[EditId(f"{MATCH}/e0")].instruction == "mark plain cover"
    assert len({edit.seed for edit in edits.values()}) == 4
    np.testing.assert_array_equal(paths[EditId(f"{MATCH}/e0")].latents, FLOATS.reshape(3, 4, 2))
    assert (len(paths), paths[EditId(f"{MATCH}/e0")].variant) == (3, "cps")
    assert it.pupil.asked.count((sample.question, True)) == 1
    assert [event.judged.valid for event in judged] == [True, True, False]
    assert judged[2].judged.reasons
    played = last.played
    assert (played.outcome, played.edits, played.valid, played.signal) == (referee_pb2.OUTCOME_PLAYED, 3, 2, True)
    assert (played.reward_mean, played.failure_rate) == (pytest.approx(0.25), pytest.approx(3 / 8))
