from __future__ import annotations

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sparring.serving.config import ServingConfig
from sparring.v1 import weights_pb2, weights_pb2_grpc
from sparring.v1.revision_pb2 import Revision

READY = weights_pb2.GetStateResponse.PHASE_READY
FAILED = weights_pb2.GetStateResponse.PHASE_FAILED


async def settled(stub: weights_pb2_grpc.WeightsStub) -> weights_pb2.GetStateResponse:
    async with asyncio.timeout(30):
        while True:
            state = await stub.GetState(weights_pb2.GetStateRequest())
            if state.phase in (READY, FAILED):
                return state


async def test_a_service_is_healthy_once_its_first_target_is_active(launch, reconciler, publish):
    first, second = publish(1), publish(2)
    async with launch(ServingConfig(), reconciler=reconciler) as running:
        health = health_pb2_grpc.HealthStub(running.channel).Watch(health_pb2.HealthCheckRequest())
        assert (await health.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        stub = weights_pb2_grpc.WeightsStub(running.channel)
        assert (await stub.GetState(weights_pb2.GetStateRequest())).phase == weights_pb2.GetStateResponse.PHASE_LOADING
        await stub.SetTarget(
            weights_pb2.SetTargetRequest(active=Revision(name=second.name), resident=[Revision(name=first.name)])
        )
        state = await settled(stub)
        assert (await health.read()).status == health_pb2.HealthCheckResponse.SERVING
    assert state == weights_pb2.GetStateResponse(
        phase=READY,
        active=Revision(name=second.name, digest=second.digest),
        resident=[Revision(name=first.name, digest=first.digest)],
        target=Revision(name=second.name, digest=second.digest),
    )


async def test_a_target_that_does_not_load_is_told_by_its_state(launch, reconciler, publish, tmp_path):
    first = publish(1)
    (tmp_path / "root" / "weights" / first.name / "model.safetensors").write_bytes(b"other")
    async with launch(ServingConfig(), reconciler=reconciler) as running:
        stub = weights_pb2_grpc.WeightsStub(running.channel)
        await stub.SetTarget(weights_pb2.SetTargetRequest(active=Revision(name=first.name)))
        state = await settled(stub)
    assert state.phase == FAILED
    assert state.error.startswith("CorruptRevision: ")
    assert not state.HasField("active")


@pytest.mark.parametrize(
    ("revision", "code"),
    [
        (Revision(), grpc.StatusCode.INVALID_ARGUMENT),
        (Revision(name="nonsense"), grpc.StatusCode.INVALID_ARGUMENT),
        (Revision(name="c/defender/000009"), grpc.StatusCode.INVALID_ARGUMENT),
        (Revision(name="c/defender/000001", digest="0" * 64), grpc.StatusCode.FAILED_PRECONDITION),
        (Revision(name="c/defender/000001", digest="short"), grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_a_target_that_can_not_be_meant_is_refused(launch, reconciler, publish, revision, code):
    publish(1)
    async with launch(ServingConfig(), reconciler=reconciler) as running:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await weights_pb2_grpc.WeightsStub(running.channel).SetTarget(weights_pb2.SetTargetRequest(active=revision))
    assert caught.value.code() is code
