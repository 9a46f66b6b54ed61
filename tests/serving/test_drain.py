from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sparring.serving.addresses import Addresses
from sparring.serving.config import ServingConfig
from sparring.v1.defender_pb2_grpc import DefenderStub

from .conftest import turned_away

PROGRAM = Path(__file__).with_name("patient.py")
Process = asyncio.subprocess.Process


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[tuple[Process, Addresses]]]:
    """Serve in a process of its own; yields it with its addresses."""

    @asynccontextmanager
    async def start(drain_seconds: float) -> AsyncIterator[tuple[Process, Addresses]]:
        file = tmp_path / "addresses.json"
        config = ServingConfig(address_file=str(file), drain_seconds=drain_seconds)
        pipe = asyncio.subprocess.PIPE
        arguments = (sys.executable, str(PROGRAM), config.model_dump_json())
        child = await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe, stderr=pipe)
        try:
            while b'"listening"' not in (line := await child.stderr.readline()):
                assert line, f"it ended with status {await child.wait()}"
            yield child, Addresses.read(file)
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()

    return start


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_calls_in_flight_end_and_refuses_new_ones(process, ask, number):
    async with process(250) as (child, addresses), grpc.aio.insecure_channel(addresses.grpc) as channel:
        call = DefenderStub(channel).Answer(ask("soon"))
        assert await child.stdout.readline() == b"entered\n"
        async with grpc.aio.insecure_channel(addresses.health) as probes:
            health = health_pb2_grpc.HealthStub(probes).Watch(health_pb2.HealthCheckRequest())
            assert (await health.read()).status == health_pb2.HealthCheckResponse.SERVING
            child.send_signal(number)
            assert (await health.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            async with grpc.aio.insecure_channel(addresses.grpc) as late:
                assert await turned_away(DefenderStub(late), ask("late")) is grpc.StatusCode.UNAVAILABLE
            assert child.returncode is None
            child.stdin.write(b"go on\n")
            assert (await call).answers[0].text == "done"
        assert await child.wait() == 0


async def test_a_call_that_does_not_end_is_cut_off_after_the_time_to_drain(process, ask):
    async with process(0.2) as (child, addresses), grpc.aio.insecure_channel(addresses.grpc) as channel:
        call = DefenderStub(channel).Answer(ask("for ever"))
        assert await child.stdout.readline() == b"entered\n"
        child.terminate()
        with pytest.raises(grpc.aio.AioRpcError):
            await call
        assert await child.wait() == 0
