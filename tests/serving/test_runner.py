from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from structlog.testing import capture_logs

from sparring.serving.addresses import Addresses
from sparring.serving.config import ServingConfig

from .conftest import turned_away

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
DEFENDER = "sparring.v1.Defender"


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def detail(error, message):
    """The one detail of the type of `message`, unpacked into it."""
    for any_ in rpc_status.from_call(Wrapped(error)).details:
        if any_.Unpack(message):
            return message
    raise AssertionError(f"no {message.DESCRIPTOR.name} in {error}")


class Wrapped:
    """What grpc_status wants of a call."""

    def __init__(self, error):
        self.code, self.details, self.trailing_metadata = error.code, error.details, error.trailing_metadata


async def test_answers_and_says_what_time_is_left(launch, ask):
    async with launch() as running:
        reply = await running.defender.Answer(ask("hello"), timeout=200)
    # The wire rounds timeouts up.
    assert 100 < float(reply.answers[0].text) <= 201


async def test_a_call_without_a_deadline_gets_the_servers(launch, ask):
    async with launch(ServingConfig(deadline_seconds=200)) as running:
        reply = await running.defender.Answer(ask("hello"))
        error_code = (await refusal(running.defender.Answer(ask("bug"), timeout=300))).code()
    assert 100 < float(reply.answers[0].text) <= 201
    assert error_code is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize(("callers", "servers"), [(None, 200), (250, 200), (200, 250)])
async def test_a_deadline_ends_a_call_the_callers_or_the_servers(launch, ask, advance, callers, servers):
    async with launch(ServingConfig(deadline_seconds=servers)) as running:
        call = running.defender.Answer(ask("wait"), timeout=callers)
        await running.scripted.entered.wait()
        advance(202)
        error = await refusal(call)
        await running.scripted.cancelled.wait()
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert detail(error, ErrorInfo()).reason == "DEADLINE_PASSED"


async def test_cancellation_reaches_the_method(launch, ask):
    async with launch() as running:
        call = running.defender.Answer(ask("wait"))
        await running.scripted.entered.wait()
        call.cancel()
        await running.scripted.cancelled.wait()


async def test_a_request_that_breaks_the_rules_is_told_which(launch, ask):
    request = ask("")
    request.sampling.temperature = 3
    async with launch() as running:
        error = await refusal(running.defender.Answer(request))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    violations = detail(error, BadRequest()).field_violations
    assert [(v.field, v.reason) for v in violations] == [
        ("prompt", "STRING_MIN_LEN"),
        ("sampling.temperature", "DOUBLE_GTE_LTE"),
    ]


async def test_a_full_queue_says_when_to_come_again(launch, ask):
    async with launch() as running:
        error = await refusal(running.defender.Answer(ask("full")))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert detail(error, RetryInfo()).retry_delay.ToMilliseconds() == 1500
    assert detail(error, ErrorInfo()).reason == "QUEUE_FULL"


async def test_an_unforeseen_exception_is_internal_and_kept_inside(launch, ask):
    with capture_logs() as logs:
        async with launch() as running:
            error = await refusal(running.defender.Answer(ask("bug")))
            assert (await running.defender.Answer(ask("hello"))).answers
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in error.details()
    error_id = detail(error, ErrorInfo()).metadata["error_id"]
    assert error_id in error.details()
    (entry,) = [line for line in logs if line["event"] == "call failed"]
    assert (entry["error_id"], entry["method"]) == (error_id, "/sparring.v1.Defender/Answer")


async def test_counts_calls_by_code_as_grpc_prometheus_does(launch, ask):
    async with launch() as running:
        await running.defender.Answer(ask("hello"))
        for prompt in ("bug", "full", "abort", ""):
            await refusal(running.defender.Answer(ask(prompt)))
        call = running.defender.Answer(ask("wait"))
        await running.scripted.entered.wait()
        call.cancel()
        await running.scripted.cancelled.wait()
        labels = {"grpc_type": "unary", "grpc_service": DEFENDER, "grpc_method": "Answer"}
        codes = ("OK", "Internal", "ResourceExhausted", "NotFound", "InvalidArgument", "Cancelled")
        while running.value("grpc_server_handling_seconds_count", **labels) < 6:
            await asyncio.sleep(0)
        assert [running.value("grpc_server_handled_total", **labels, grpc_code=code) for code in codes] == [1.0] * 6
        assert running.value("grpc_server_started_total", **labels) == 6
        assert running.value("grpc_server_msg_received_total", **labels) == 6
        assert running.value("grpc_server_msg_sent_total", **labels) == 1


async def test_metrics_are_on_http(launch, ask):
    async with launch() as running:
        await running.defender.Answer(ask("hello"))
        url = f"http://{running.addresses.metrics}/metrics"
        text = (await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())).decode()
    assert 'grpc_server_handled_total{grpc_code="OK",grpc_method="Answer"' in text


async def test_health_is_on_both_ports_and_by_service(launch):
    async with launch() as running, grpc.aio.insecure_channel(running.addresses.health) as probes:
        for channel in (running.channel, probes):
            stub = health_pb2_grpc.HealthStub(channel)
            for name in ("", DEFENDER):
                assert (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING
        error = await refusal(stub.Check(health_pb2.HealthCheckRequest(service="nobody")))
        assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_the_services(launch):
    async with launch() as running:
        stub = reflection_pb2_grpc.ServerReflectionStub(running.channel)
        stream = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        names = {service.name for reply in [await stream.read()] for service in reply.list_services_response.service}
    assert {DEFENDER, "grpc.health.v1.Health"} <= names


async def test_an_unknown_method_is_unimplemented(launch, ask):
    async with launch() as running:
        call = running.channel.unary_unary(f"/{DEFENDER}/Sing", request_serializer=lambda message: b"")
        assert (await refusal(call(None))).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_message_over_the_limit_is_refused(launch, ask):
    async with launch(ServingConfig(max_message_bytes=2048)) as running:
        error = await refusal(running.defender.Answer(ask("x" * 4096)))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_address_file_names_the_real_ports(launch, ask, tmp_path: Path):
    path = tmp_path / "deep" / "addresses.json"
    async with launch(ServingConfig(address_file=str(path))) as running:
        assert Addresses.read(path) == running.addresses
        async with grpc.aio.insecure_channel(Addresses.read(path).grpc) as channel:
            await channel.channel_ready()
    assert [entry.name for entry in path.parent.iterdir()] == ["addresses.json"]


async def test_draining_says_so_refuses_new_calls_and_finishes_old_ones(launch, ask):
    async with (
        launch(ServingConfig(drain_seconds=250)) as running,
        grpc.aio.insecure_channel(running.addresses.health) as probes,
    ):
        watch = health_pb2_grpc.HealthStub(probes).Watch(health_pb2.HealthCheckRequest())
        statuses = [(await watch.read()).status]
        call = running.defender.Answer(ask("wait"))
        await running.scripted.entered.wait()
        drain = asyncio.create_task(running.runner.drain())
        statuses.append((await watch.read()).status)
        assert await turned_away(running.defender, ask("hello")) is grpc.StatusCode.UNAVAILABLE
        running.scripted.release.set()
        assert (await call).answers
        await drain
    assert statuses == [SERVING, NOT_SERVING]
