"""The Attacker service: a queue before an image editor, and attacks without a model beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import grpc
import numpy as np

from sparring.attacker.batches import Edits, Job, Pixels, gather
from sparring.attacker.config import AttackerConfig
from sparring.attacker.controls import Controls
from sparring.attacker.messages import learned_edit, procedural_edit, to_sampling, to_targets
from sparring.attacker.procedural import UnknownAttack, find_attack
from sparring.attacker.space import NoRoom
from sparring.ledgers.weights import WeightsLedger
from sparring.policies.policy import Edited, Order
from sparring.samples.images import BadImage, decode, encode_png
from sparring.serving.batching import Batcher
from sparring.serving.config import ServingConfig
from sparring.serving.deadlines import deadline
from sparring.serving.interceptor import Context
from sparring.serving.metrics import new_registry
from sparring.serving.queue_metrics import QueueMetrics
from sparring.serving.reconciler import Bound, Reconciler
from sparring.serving.runner import Service, serve
from sparring.serving.statuses import Rule, Rules
from sparring.v1 import attacker_pb2
from sparring.v1.attacker_pb2_grpc import AttackerServicer, add_AttackerServicer_to_server

if TYPE_CHECKING:
    from sparring.serving.standards.standards import Standards

RULES: Rules = {
    BadImage: Rule(grpc.StatusCode.INVALID_ARGUMENT, "image"),
    UnknownAttack: Rule(grpc.StatusCode.INVALID_ARGUMENT, "procedural.name"),
    NoRoom: Rule(grpc.StatusCode.INVALID_ARGUMENT, "targets"),
}
"""How this room's exceptions are told."""

Replies = AsyncGenerator[attacker_pb2.EditResponse, None]


async def serve_policy(policy: Edits, config: AttackerConfig) -> None:
    """Serve `policy` until SIGTERM."""
    registry, ledger = new_registry(), WeightsLedger(config.storage.root)
    async with (
        Reconciler(ledger, policy, "attacker", config.weights, registry) as reconciler,
        gather(policy, config.queue, QueueMetrics(registry, "edits")) as queue,
    ):
        servicer = AttackerService(config, queue, reconciler)
        attacker = Service(
            attacker_pb2.DESCRIPTOR.services_by_name["Attacker"],
            lambda server: add_AttackerServicer_to_server(servicer, server),
        )
        standards = spoken(config.serving, servicer, reconciler)
        await serve(
            config.serving, [attacker], registry=registry, reconciler=reconciler, rules=RULES, standards=standards
        )


def spoken(config: ServingConfig, servicer: AttackerService, reconciler: Reconciler) -> Standards | None:
    """What `servicer` says to callers who speak a standard, if `config` wants any spoken."""
    if not config.speaks_standards:
        return None
    from sparring.attacker.open_inference import AttackerModel
    from sparring.serving.standards.standards import Standards

    return Standards(AttackerModel(servicer.edit, reconciler, RULES, config.max_message_bytes))


class AttackerService(AttackerServicer):
    """Edits; see the contract.

    What a call asks of the editor, control and edits, is queued at once: the call is admitted whole or not at all. What
    the caller no longer waits for leaves the queue.
    """

    def __init__(self, config: AttackerConfig, queue: Batcher[Job, Edited | Pixels], reconciler: Reconciler) -> None:
        self._config, self._queue, self._reconciler = config, queue, reconciler
        self._controls = Controls(config.controls_bytes)

    async def Edit(self, request: attacker_pb2.EditRequest, context: Context) -> Replies:  # noqa: N802  # gRPC's name
        async with aclosing(self.edit(request)) as replies:
            async for reply in replies:
                yield reply

    async def edit(self, request: attacker_pb2.EditRequest) -> Replies:
        """Make the edits of a valid request, whatever protocol it came by."""
        serving = self._config.serving
        image = await asyncio.to_thread(
            decode, request.image, max_pixels=serving.max_pixels, max_bytes=serving.max_image_bytes
        )
        edits = self._procedural if request.HasField("procedural") else self._learned
        async for reply in edits(request, image):
            yield reply

    async def _procedural(self, request: attacker_pb2.EditRequest, image: Pixels) -> Replies:
        attack, targets = find_attack(request.procedural.name), to_targets(request)

        def make(index: int, seed: int) -> attacker_pb2.EditResponse:
            return procedural_edit(index, attack(image, targets, np.random.default_rng(seed)))

        with self._queue.submit(self._controls_wanted(request, image), deadline()) as futures:
            if request.control:
                yield await self._control(request.image, futures)
            for index, seed in enumerate(request.seeds):
                yield await asyncio.to_thread(make, index, seed)

    async def _learned(self, request: attacker_pb2.EditRequest, image: Pixels) -> Replies:
        revision = request.learned.revision
        with self._reconciler.bind(revision.name, revision.digest) as bound:
            jobs = [*self._controls_wanted(request, image), *orders(request, image, bound)]
            with self._queue.submit(jobs, deadline()) as futures:
                if request.control:
                    yield await self._control(request.image, futures)
                for index, future in enumerate(futures[-len(request.seeds) :]):
                    made = await future
                    assert isinstance(made, Edited), "an order gives an edit"
                    yield await asyncio.to_thread(learned_edit, index, made, bound.pin, request.learned.trajectory)

    def _controls_wanted(self, request: attacker_pb2.EditRequest, image: Pixels) -> list[Job]:
        """The job that makes the control, unless it is kept or not wanted."""
        wanted = request.control and self._controls.find(request.image) is None
        return [Job.control(image)] if wanted else []

    async def _control(
        self, original: bytes, futures: list[asyncio.Future[Edited | Pixels]]
    ) -> attacker_pb2.EditResponse:
        """The control that is kept, or else that the first of `futures` makes."""
        control = self._controls.find(original)
        if control is None:
            made = await futures[0]
            assert isinstance(made, np.ndarray), "a control is pixels"
            control = await asyncio.to_thread(encode_png, made)
            self._controls.keep(original, control)
        return attacker_pb2.EditResponse(control=attacker_pb2.Control(image=control))


def orders(request: attacker_pb2.EditRequest, image: Pixels, bound: Bound) -> list[Job]:
    """One job for each seed."""
    sampling = to_sampling(request.learned.sampling)
    return [Job(Order(image, request.learned.instruction, seed), sampling, bound.handle) for seed in request.seeds]
