"""Servers for tests: the real runner on free ports of the loopback, with a defender that does what it is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
import structlog
from prometheus_client import CollectorRegistry

from sparring.ledgers.manifest import Draft
from sparring.ledgers.weights import WeightsLedger
from sparring.serving.addresses import Addresses
from sparring.serving.config import ServingConfig, WeightsConfig
from sparring.serving.deadlines import remaining
from sparring.serving.errors import QueueFull
from sparring.serving.interceptor import Context
from sparring.serving.logs import configure
from sparring.serving.reconciler import Pin, Reconciler
from sparring.serving.runner import Runner, Service
from sparring.v1 import defender_pb2, defender_pb2_grpc
from tests.serving.holding import Holding


class Scripted(Holding, defender_pb2_grpc.DefenderServicer):
    """Does what the prompt says; `wait` ends when `release` is set."""

    async def Answer(  # noqa: N802  # gRPC's name
        self, request: defender_pb2.AnswerRequest, context: Context
    ) -> defender_pb2.AnswerResponse:
        match request.prompt:
            case "wait":
                await self.hold()
            case "full":
                raise QueueFull("no room", retry_seconds=1.5)
            case "bug":
                raise ZeroDivisionError("a secret of the house")
            case "abort":
                await context.abort(grpc.StatusCode.NOT_FOUND, "nothing here")
        return defender_pb2.AnswerResponse(answers=[defender_pb2.Answer(text=f"{remaining():.6f}")])


class Bell(asyncio.Event):
    """An event that another thread may set."""

    def __init__(self) -> None:
        super().__init__()
        self._home = asyncio.get_running_loop()

    def ring(self) -> None:
        self._home.call_soon_threadsafe(self.set)


@dataclass
class Shelf:
    """A policy that holds the bytes of each revision; `gate` holds up installations, `entered` says that one began."""

    held: dict[str, bytes] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: Bell = field(default_factory=Bell)

    def install(self, name: str, folder: Path) -> None:
        assert name not in self.used, "a name means one revision for ever"
        self.used.add(name)
        self.entered.ring()
        self.gate.wait()
        content = (folder / "model.safetensors").read_bytes()
        if content == b"poison":
            raise RuntimeError("these are no weights")
        self.held[name] = content

    def remove(self, name: str) -> None:
        del self.held[name]


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """Log as a service does; structlog's own default draws every local variable of a traceback."""
    configure("warning")
    yield
    structlog.reset_defaults()


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


async def turned_away(defender: defender_pb2_grpc.DefenderStub, request: defender_pb2.AnswerRequest) -> grpc.StatusCode:
    """What calls end with when the server takes none any more. One that comes just before is still answered, and gRPC
    cancels one that it has taken in and not yet handed over at that moment."""
    code = grpc.StatusCode.OK
    while code in (grpc.StatusCode.OK, grpc.StatusCode.CANCELLED):
        try:
            await defender.Answer(request)
        except grpc.aio.AioRpcError as error:
            code = error.code()
    return code


Launch = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def launch() -> Launch:
    """Start a server with a `Scripted` defender: `async with launch(config) as running`."""

    @asynccontextmanager
    async def start(
        config: ServingConfig | None = None, *, reconciler: Reconciler | None = None
    ) -> AsyncIterator[Running]:
        scripted, registry = Scripted(), CollectorRegistry()
        service = Service(
            defender_pb2.DESCRIPTOR.services_by_name["Defender"],
            lambda server: defender_pb2_grpc.add_DefenderServicer_to_server(scripted, server),
        )
        runner = Runner(config or ServingConfig(), [service], registry=registry, reconciler=reconciler)
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


@pytest.fixture
async def shelf() -> AsyncIterator[Shelf]:
    """Its gate is open, and is so in the end: no thread of a test that failed waits there for ever."""
    shelf = Shelf()
    shelf.gate.set()
    yield shelf
    shelf.gate.set()


@pytest.fixture
def ledger(tmp_path: Path) -> WeightsLedger:
    return WeightsLedger(tmp_path / "root")


@pytest.fixture
def publish(ledger: WeightsLedger, tmp_path: Path) -> Callable[..., Pin]:
    """Publish revision `number` with these bytes."""

    def pin(number: int, content: bytes = b"", role: str = "defender") -> Pin:
        folder = tmp_path / f"{role}{number}"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(content or f"weights {number}".encode())
        draft = Draft(campaign="c", role=role, number=number, layout="full", base="b")
        name = ledger.publish(folder, draft).name
        return Pin(name, ledger.digest(name))

    return pin


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def reconciler(ledger: WeightsLedger, shelf: Shelf) -> AsyncIterator[Reconciler]:
    """A reconciler at work, with a registry of its own."""
    async with Reconciler(ledger, shelf, "defender", WeightsConfig(), CollectorRegistry()) as running:
        yield running
