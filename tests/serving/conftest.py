"""Servers for tests: the real runner on free ports of the loopback, with a defender that does what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest
from prometheus_client import CollectorRegistry

from sparring.serving.addresses import Addresses
from sparring.serving.config import ServingConfig
from sparring.serving.deadlines import remaining
from sparring.serving.errors import QueueFull
from sparring.serving.interceptor import Context
from sparring.serving.reconciler import Reconciler
from sparring.serving.runner import Runner, Service
from sparring.v1 import defender_pb2, defender_pb2_grpc


class Scripted(defender_pb2_grpc.DefenderServicer):
    """Does what the prompt says; `wait` ends when `release` is set."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def Answer(
        self, request: defender_pb2.AnswerRequest, context: Context
    ) -> defender_pb2.AnswerResponse:
        match request.prompt:
            case "wait":
                await self._wait()
            case "full":
                raise QueueFull("no room", retry_seconds=1.5)
            case "bug":
                raise ZeroDivisionError("a secret of the house")
            case "abort":
                await context.abort(grpc.StatusCode.NOT_FOUND, "nothing here")
        return defender_pb2.AnswerResponse(answers=[defender_pb2.Answer(text=f"{remaining():.6f}")])

    async def _wait(self) -> None:
        self.entered.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@dataclass
class Running:
    """A server that runs, and how to reach it."""

    scripted: Scripted
    registry: CollectorRegistry
    addresses: Addresses
    runner: Runner
    channel: grpc.aio.Channel

    @property
    def defender(self) -> defender_pb2_grpc.DefenderStub:
        return defender_pb2_grpc.DefenderStub(self.channel)

    def value(self, name: str, **labels: str) -> float:
        """A metric's value; 0 if it was never touched."""
        return self.registry.get_sample_value(name, labels) or 0.0


Launch = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def launch() -> Launch:
    """Start a server with a `Scripted` defender: `async with launch(config) as running`."""

    @asynccontextmanager
    async def start(config: ServingConfig | None = None, *, reconciler: Reconciler | None = None) -> AsyncIterator[Running]:
        scripted, registry = Scripted(), CollectorRegistry()
        service = Service(
            defender_pb2.DESCRIPTOR.services_by_name["Defender"],
            lambda server: defender_pb2_grpc.add_DefenderServicer_to_server(scripted, server),
        )
        runner = Runner(config or ServingConfig(drain_seconds=5), [service], registry=registry, reconciler=reconciler)
        addresses = await runner.start()
        async with grpc.aio.insecure_channel(addresses.grpc) as channel:
            yield Running(scripted, registry, addresses, runner, channel)
        scripted.release.set()
        await runner.drain()

    return start


@pytest.fixture
def ask() -> Callable[[str], defender_pb2.AnswerRequest]:
    """A valid request with the given prompt."""

    def make(prompt: str) -> defender_pb2.AnswerRequest:
        sampling = defender_pb2.AnswerSampling(temperature=0, max_tokens=1)
        return defender_pb2.AnswerRequest(image=b"x", prompt=prompt, count=1, sampling=sampling)

    return make
