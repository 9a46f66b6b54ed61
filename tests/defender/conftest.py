"""A defender on a free port of the loopback, before a model that echoes what it is asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import pytest
import structlog
from prometheus_client import CollectorRegistry

from sparring.defender.service import RULES, Answers, DefenderService, gather, spoken
from sparring.ledgers.manifest import Draft
from sparring.ledgers.weights import WeightsLedger
from sparring.policies.config import AnswerSampling
from sparring.policies.policy import Ask, Reply
from sparring.samples.images import encode_png
from sparring.serving.addresses import Addresses
from sparring.serving.config import QueueConfig, ServingConfig, WeightsConfig
from sparring.serving.logs import configure
from sparring.serving.queue_metrics import QueueMetrics
from sparring.serving.reconciler import Pin, Reconciler
from sparring.serving.runner import Runner, Service
from sparring.v1 import defender_pb2, defender_pb2_grpc, weights_pb2_grpc


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """Log as a service does; structlog's own default draws every local variable of a traceback."""
    configure("warning")
    yield
    structlog.reset_defaults()


@dataclass
class Echo:
    """Answers with the words of its revision, the prompt and the sum of the image; `gate` holds up every batch."""

    words: dict[str, str] = field(default_factory=lambda: {"base": "base"})
    batches: list[tuple[str, AnswerSampling, list[int]]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def rollout(self, acts: Sequence[Ask], sampling: AnswerSampling, name: str) -> list[list[Reply]]:
        self.batches.append((name, sampling, [act.count for act in acts]))
        self.entered.set()
        assert self.gate.wait(30)
        if any(act.prompt == "break" for act in acts):
            raise RuntimeError("the model is broken")
        return [[self._answer(act, name, index) for index in range(act.count)] for act in acts]

    def _answer(self, act: Ask, name: str, index: int) -> Reply:
        text = f"{self.words[name]}: {act.prompt} {int(act.image.sum())} {act.seed} {index}"
        return Reply(text, np.arange(3, dtype=np.int32), np.full(3, -0.25, np.float32), finished=index == 0)

    def install(self, name: str, folder: Path) -> None:
        self.words[name] = (folder / "model.safetensors").read_text()

    def remove(self, name: str) -> None:
        del self.words[name]


@dataclass
class Running:
    """A server that runs."""

    policy: Answers
    registry: CollectorRegistry
    addresses: Addresses
    reconciler: Reconciler
    stub: defender_pb2_grpc.DefenderStub
    weights: weights_pb2_grpc.WeightsStub

    @property
    def rest(self) -> str:
        return f"http://{self.addresses.rest}"

    async def waiting(self, answers: int) -> None:
        """Return when so many answers wait."""
        while self.registry.get_sample_value("sparring_queue_depth", {"queue": "answers"}) != answers:
            await asyncio.sleep(0.001)


Launch = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def ledger(tmp_path: Path) -> WeightsLedger:
    return WeightsLedger(tmp_path / "root")


@pytest.fixture
def publish(ledger: WeightsLedger, tmp_path: Path) -> Callable[[int], Pin]:
    """Publish a revision whose words are `revision NUMBER`."""

    def pin(number: int) -> Pin:
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "model.safetensors").write_text(f"revision {number}")
        draft = Draft(campaign="c", role="defender", number=number, layout="full", base="b")
        name = ledger.publish(folder, draft).name
        return Pin(name, ledger.digest(name))

    return pin


@pytest.fixture
def launch(ledger: WeightsLedger) -> Launch:
    """`async with launch(policy, serving, **queue settings) as running`. Without a policy it is an `Echo` at work.

    `serving` has settings of the server, and `serve_base` for whether it is ready from the start.
    """

    @asynccontextmanager
    async def start(
        policy: Answers | None = None, serving: dict[str, object] | None = None, **queue: float
    ) -> AsyncIterator[Running]:
        if policy is None:
            policy = Echo()
            policy.gate.set()
        settings = {"serve_base": True, "drain_seconds": 5, "max_pixels": 64 * 64, "max_image_bytes": 10_000}
        settings |= serving or {}
        weights = WeightsConfig(serve_base=settings.pop("serve_base"))
        config, sizes = ServingConfig(**settings), QueueConfig(**{"wait_seconds": 0, **queue})
        registry = CollectorRegistry()
        async with (
            Reconciler(ledger, policy, "defender", weights, registry) as reconciler,
            gather(policy, sizes, QueueMetrics(registry, "answers")) as batcher,
        ):
            servicer = DefenderService(config, batcher, reconciler)
            service = Service(
                defender_pb2.DESCRIPTOR.services_by_name["Defender"],
                lambda server: defender_pb2_grpc.add_DefenderServicer_to_server(servicer, server),
            )
            runner = Runner(
                config,
                [service],
                registry=registry,
                reconciler=reconciler,
                rules=RULES,
                standards=spoken(config, servicer, reconciler),
            )
            addresses = await runner.start()
            async with grpc.aio.insecure_channel(addresses.grpc) as channel:
                stubs = defender_pb2_grpc.DefenderStub(channel), weights_pb2_grpc.WeightsStub(channel)
                yield Running(policy, registry, addresses, reconciler, *stubs)
            await runner.drain()

    return start


@pytest.fixture
def echo() -> Echo:
    """An echo whose gate is shut."""
    return Echo()


@pytest.fixture
def request_answers() -> Callable[..., defender_pb2.AnswerRequest]:
    """A request for answers about a picture whose pixels sum to 1200."""

    def make(prompt: str, count: int = 1, **changes: object) -> defender_pb2.AnswerRequest:
        sampling = defender_pb2.AnswerSampling(temperature=0.7, max_tokens=8)
        image = encode_png(np.full((10, 10, 3), 4, np.uint8))
        fields = {"image": image, "prompt": prompt, "count": count, "sampling": sampling, "seed": 9, **changes}
        return defender_pb2.AnswerRequest(**fields)

    return make
