"""An attacker on a free port of the loopback, before an editor that draws its orders."""

from __future__ import annotations

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

from sparring.attacker.batches import Edits, gather
from sparring.attacker.config import AttackerConfig
from sparring.attacker.service import RULES, AttackerService
from sparring.ledgers.weights import WeightsLedger
from sparring.policies.config import EditorConfig, EditSampling
from sparring.policies.policy import Edited, Order, Trajectory
from sparring.samples.images import encode_png
from sparring.serving.config import QueueConfig, ServingConfig, WeightsConfig
from sparring.serving.logs import configure
from sparring.serving.queue_metrics import QueueMetrics
from sparring.serving.reconciler import Reconciler
from sparring.serving.runner import Runner, Service
from sparring.v1 import attacker_pb2, attacker_pb2_grpc


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """Log as a service does; structlog's own default draws every local variable of a traceback."""
    configure("warning")
    yield
    structlog.reset_defaults()


@dataclass
class Painter:
    """Fills an edit with its seed and adds 1 to a control; `gate` holds up every batch."""

    batches: list[tuple[str, EditSampling | None, int]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def _enter(self, *batch: str | EditSampling | int | None) -> None:
        self.batches.append(batch)
        self.entered.set()
        assert self.gate.wait(30)

    def rollout(self, acts: Sequence[Order], sampling: EditSampling, name: str) -> list[list[Edited]]:
        self._enter(name, sampling, len(acts))
        if any(act.instruction == "break" for act in acts):
            raise RuntimeError("the brush is broken")
        return [[self._paint(act, sampling)] for act in acts]

    def _paint(self, act: Order, sampling: EditSampling) -> Edited:
        wrong = np.nan if act.instruction == "nan" else 0.5
        path = Trajectory(
            sigmas=np.linspace(1, 0, sampling.steps + 1, dtype=np.float32),
            start=1,
            latents=np.full((sampling.window + 1, 4, 2), act.seed, np.float32),
            final=np.full((4, 2), 7, np.float32),
            logprobs=np.full(sampling.window, wrong, np.float32),
            noise_level=sampling.noise_level,
            variant=sampling.variant,
            guidance=sampling.guidance,
        )
        return Edited(np.full_like(act.image, act.seed % 256), path)

    def control(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        self._enter("control", None, len(images))
        return [image + np.uint8(1) for image in images]

    def install(self, name: str, folder: Path) -> None:
        raise AssertionError("these tests serve the base")

    def remove(self, name: str) -> None:
        raise AssertionError("these tests serve the base")


@dataclass
class Running:
    """A server that runs."""

    policy: Edits
    registry: CollectorRegistry
    stub: attacker_pb2_grpc.AttackerStub

    async def edit(self, request: attacker_pb2.EditRequest) -> list[attacker_pb2.EditResponse]:
        return [response async for response in self.stub.Edit(request, timeout=30)]


Launch = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """`async with launch(policy, **queue settings) as running`. Without a policy it is a `Painter` at work."""

    @asynccontextmanager
    async def start(policy: Edits | None = None, **queue: float) -> AsyncIterator[Running]:
        if policy is None:
            policy = Painter()
            policy.gate.set()
        config = AttackerConfig(
            serving=ServingConfig(drain_seconds=5, max_pixels=64 * 64, max_image_bytes=10_000),
            editor=EditorConfig(base="none"),
            weights=WeightsConfig(serve_base=True),
            queue=QueueConfig(**{"wait_seconds": 0, **queue}),
        )
        registry = CollectorRegistry()
        async with (
            Reconciler(WeightsLedger(tmp_path), policy, "attacker", config.weights, registry) as reconciler,
            gather(policy, config.queue, QueueMetrics(registry, "edits")) as batcher,
        ):
            servicer = AttackerService(config, batcher, reconciler)
            service = Service(
                attacker_pb2.DESCRIPTOR.services_by_name["Attacker"],
                lambda server: attacker_pb2_grpc.add_AttackerServicer_to_server(servicer, server),
            )
            runner = Runner(config.serving, [service], registry=registry, reconciler=reconciler, rules=RULES)
            addresses = await runner.start()
            async with grpc.aio.insecure_channel(addresses.grpc) as channel:
                yield Running(policy, registry, attacker_pb2_grpc.AttackerStub(channel))
            await runner.drain()

    return start


@pytest.fixture
def painter() -> Painter:
    """A painter whose gate is shut."""
    return Painter()


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, size=(24, 32, 3)).astype(np.uint8)


@pytest.fixture
def request_edit(picture: np.ndarray) -> Callable[..., attacker_pb2.EditRequest]:
    """A request for learned edits, one per seed."""

    def make(*seeds: int, **changes: object) -> attacker_pb2.EditRequest:
        sampling = attacker_pb2.EditSampling(
            steps=4, variant=attacker_pb2.SDE_VARIANT_FLOW_SDE, noise_level=0.7, window=2, window_last=1, guidance=1
        )
        learned = attacker_pb2.LearnedAttack(instruction="add a cat", sampling=sampling)
        fields = {"image": encode_png(picture), "seeds": seeds, "learned": learned, **changes}
        return attacker_pb2.EditRequest(**fields)

    return make


@pytest.fixture
def request_attack(picture: np.ndarray) -> Callable[..., attacker_pb2.EditRequest]:
    """A request for edits without a model, one per seed."""

    def make(name: str, *seeds: int, **changes: object) -> attacker_pb2.EditRequest:
        attack = attacker_pb2.ProceduralAttack(name=name)
        return attacker_pb2.EditRequest(image=encode_png(picture), seeds=seeds, procedural=attack, **changes)

    return make
