"""What is asked of the Checks service about the samples of one small suite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparring.client.channel import Endpoint
from sparring.client.checks import AioChecksClient
from sparring.samples.sample import Sample
from sparring.samples.shapes import Shapes, World
from sparring.v1 import attacker_pb2, checks_pb2, defender_pb2, revision_pb2, sample_pb2
from tests.referee.conftest import DEFENDER, Ring

URI = "shapes:checks?seed=4"
SAMPLES = 5


def suite() -> list[Sample]:
    source = Shapes(World(), 4, "checks")
    return [source.sample(index) for index in range(SAMPLES)]


def teach(it: Ring) -> None:
    """Give the pupil the key to the suite."""
    it.pupil.key = {sample.question: sample.options[sample.answer] for sample in suite()}
    assert len(it.pupil.key) == SAMPLES, "questions tell the samples apart"


def spec(request_id: str = "one", attacks: Sequence[str] = ("mark plain",), **fields: Any) -> checks_pb2.CheckSpec:
    """A check of the pupil; with `dataset=None` its samples are to be sent."""
    told: dict[str, Any] = {
        "model": checks_pb2.TestedModel(defender=revision_pb2.Revision(name=DEFENDER)),
        "dataset": sample_pb2.Dataset(uri=URI, limit=SAMPLES),
        "budget": 2,
        "sampling": defender_pb2.AnswerSampling(temperature=0, max_tokens=9),
        **fields,
    }
    by = [checks_pb2.CheckAttack(procedural=attacker_pb2.ProceduralAttack(name=name)) for name in attacks]
    return checks_pb2.CheckSpec(request_id=request_id, attacks=by, **told)


def client(it: Ring, token: str | None = None) -> AioChecksClient:
    return AioChecksClient(Endpoint(it.address, token=token))


async def finish(checks: AioChecksClient, check_id: str) -> checks_pb2.Check:
    """The last that is told of a check."""
    return [check async for check in checks.watch(check_id)][-1]
