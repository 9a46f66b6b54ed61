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

from sparring.attacker.batches import Edits
from sparring.attacker.config import AttackerConfig
from sparring.attacker.editing import Editing, WithoutEditor, with_editor
from sparring.attacker.service import RULES, AttackerService, spoken
from sparring.ledgers.storage import Storage
from sparring.policies.config import EditSampling
from sparring.policies.policy import Edited, Order, Trajectory
from sparring.samples.images import encode_png
from sparring.serving.addresses import Addresses
from sparring.serving.config import QueueConfig, ServingConfig, WeightsConfig
from sparring.serving.logs import configure
from sparring.serving.runner import Runner, Service
from sparring.v1 import attacker_pb2, attacker_pb2_grpc

SERVING: dict[str, object] = {"drain_seconds": 5, "max_pixels": 64 * 64, "max_image_bytes": 10_000}


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
    """A server that runs; `policy` is None without an editor."""

    policy: Edits | None
    registry: CollectorRegistry
    addresses: Addresses
    channel: grpc.aio.Channel

    @property
    def stub(self) -> attacker_pb2_grpc.AttackerStub:
        return attacker_pb2_grpc.AttackerStub(self.channel)

    async def edit(self, request: attacker_pb2.EditRequest) -> list[attacker_pb2.EditResponse]:
        return [response async for response in self.stub.Edit(request, timeout=30)]


Launch = Callable[..., AbstractAsyncContextManager[Running]]


@asynccontextmanager
async def served(serving: ServingConfig, editing: Editing, registry: CollectorRegistry) -> AsyncIterator[Addresses]:
    """Where an attacker is served that edits with `editing`."""
    servicer = AttackerService(serving, editing)
    service = Service(
        attacker_pb2.DESCRIPTOR.services_by_name["Attacker"],
        lambda server: attacker_pb2_grpc.add_AttackerServicer_to_server(servicer, server),
    )
    standards = spoken(serving, servicer, editing.reconciler)
    runner = Runner(
        serving, [service], registry=registry, reconciler=editing.reconciler, rules=RULES, standards=standards
    )
    yield await runner.start()
    await runner.drain()


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """`async with launch(policy, **queue settings) as running`. Without a policy it is a `Painter` at work.

    `serving` are settings of the server.
    """

    @asynccontextmanager
    async def start(
        policy: Edits | None = None, serving: dict[str, object] | None = None, **queue: float
    ) -> AsyncIterator[Running]:
        if policy is None:
            policy = Painter()
            policy.gate.set()
        config = AttackerConfig(
            serving=ServingConfig(**{**SERVING, **(serving or {})}),
            storage=Storage(root=str(tmp_path)),
            weights=WeightsConfig(serve_base=True),
            queue=QueueConfig(**{"wait_seconds": 0, **queue}),
        )
        registry = CollectorRegistry()
        async with (
            with_editor(policy, config, registry) as editing,
            served(config.serving, editing, registry) as addresses,
            grpc.aio.insecure_channel(addresses.grpc) as channel,
        ):
            yield Running(policy, registry, addresses, channel)

    return start


@pytest.fixture
def launch_bare() -> Launch:
    """`async with launch_bare(**settings of the server) as running`: an attacker without an editor."""

    @asynccontextmanager
    async def start(**serving: object) -> AsyncIterator[Running]:
        registry = CollectorRegistry()
        async with (
            served(ServingConfig(**{**SERVING, **serving}), WithoutEditor(), registry) as addresses,
            grpc.aio.insecure_channel(addresses.grpc) as channel,
        ):
            yield Running(None, registry, addresses, channel)

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
