from __future__ import annotations

import asyncio
import hashlib

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sparring.serving.config import Caller, ServingConfig
from sparring.v1 import weights_pb2, weights_pb2_grpc

CALLERS = (
    Caller(name="referee", token_sha256=hashlib.sha256(b"open sesame").hexdigest()),
    Caller(name="conductor", token_sha256=hashlib.sha256(b"baton").hexdigest(), admin=True),
)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def code(call) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_who_has_a_token_may_call(launch, ask):
    async with launch(ServingConfig(callers=CALLERS)) as running:
        assert await code(running.defender.Answer(ask("hello"), metadata=bearer("open sesame"))) is grpc.StatusCode.OK
        assert await code(running.defender.Answer(ask("hello"), metadata=bearer("baton"))) is grpc.StatusCode.OK


@pytest.mark.parametrize(
    "metadata",
    [(), bearer("open sesam"), bearer(""), (("authorization", "open sesame"),), (("authorization", "Basic x"),)],
)
async def test_who_has_none_or_a_wrong_one_may_not(launch, ask, metadata):
    async with launch(ServingConfig(callers=CALLERS)) as running:
        assert await code(running.defender.Answer(ask("hello"), metadata=metadata)) is grpc.StatusCode.UNAUTHENTICATED
        labels = {"grpc_service": "sparring.v1.Defender", "grpc_method": "Answer", "grpc_code": "Unauthenticated"}
        # The caller may have its status before the server has counted it.
        while not running.value("grpc_server_handled_total", grpc_type="unary", **labels):
            await asyncio.sleep(0)


async def test_a_stranger_does_not_learn_the_rules(launch, ask):
    async with launch(ServingConfig(callers=CALLERS)) as running:
        assert await code(running.defender.Answer(ask(""))) is grpc.StatusCode.UNAUTHENTICATED


async def test_weights_are_for_admins(launch, reconciler):
    async with launch(ServingConfig(callers=CALLERS), reconciler=reconciler) as running:
        stub = weights_pb2_grpc.WeightsStub(running.channel)
        request = weights_pb2.GetStateRequest()
        assert await code(stub.GetState(request)) is grpc.StatusCode.UNAUTHENTICATED
        assert await code(stub.GetState(request, metadata=bearer("open sesame"))) is grpc.StatusCode.PERMISSION_DENIED
        assert await code(stub.GetState(request, metadata=bearer("baton"))) is grpc.StatusCode.OK


async def test_probes_need_no_token(launch):
    async with launch(ServingConfig(callers=CALLERS)) as running:
        stub = health_pb2_grpc.HealthStub(running.channel)
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
