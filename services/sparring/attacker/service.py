"""The Attacker service: a queue before an image editor, and attacks without a model beside it."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import grpc
import numpy as np
from numpy.typing import NDArray

from sparring.attacker.config import AttackerConfig
from sparring.attacker.procedural import find_attack
from sparring.policies.config import EditSampling, Variant
from sparring.policies.policy import Edited, Order, Trajectory
from sparring.samples.images import decode, encode_png
from sparring.samples.sample import Box, Target
from sparring.serving.batching import Batcher
from sparring.serving.config import QueueConfig
from sparring.serving.deadlines import deadline
from sparring.serving.queue_metrics import QueueMetrics
from sparring.serving.reconciler import Bound, Reconciler
from sparring.serving.tensors import to_proto
from sparring.v1 import attacker_pb2, revision_pb2
from sparring.v1.attacker_pb2_grpc import AttackerServicer

Pixels = NDArray[np.uint8]

VARIANTS: dict[attacker_pb2.SdeVariant, Variant] = {
    attacker_pb2.SDE_VARIANT_ODE: "ode",
    attacker_pb2.SDE_VARIANT_FLOW_SDE: "flow_sde",
    attacker_pb2.SDE_VARIANT_CPS: "cps",
    attacker_pb2.SDE_VARIANT_DANCE: "dance",
}
KINDS = {"semantic": attacker_pb2.EDIT_KIND_SEMANTIC, "corruption": attacker_pb2.EDIT_KIND_CORRUPTION}


class Edits(Protocol):
    """The part of a policy that edits."""

    def rollout(self, acts: Sequence[Order], sampling: EditSampling, name: str) -> list[list[Edited]]: ...

    def control(self, images: Sequence[Pixels]) -> list[Pixels]: ...


@dataclass(frozen=True)
class Job:
    """An order with what must be alike within a batch. `sampling` None asks for the control."""

    order: Order
    sampling: EditSampling | None
    handle: str


def gather(policy: Edits, config: QueueConfig, metrics: QueueMetrics) -> Batcher[Job, Edited | Pixels]:
    """The queue before `policy`, counted in edits."""

    def run(jobs: list[Job]) -> Sequence[Edited | Pixels]:
        orders, sampling = [job.order for job in jobs], jobs[0].sampling
        if sampling is None:
            return policy.control([order.image for order in orders])
        return [edit for (edit,) in policy.rollout(orders, sampling, jobs[0].handle)]

    return Batcher(run, key=lambda job: (job.handle, job.sampling), cost=lambda job: 1, config=config, metrics=metrics)


class AttackerService(AttackerServicer):
    """Edits; see the contract."""

    def __init__(self, config: AttackerConfig, queue: Batcher[Job, Edited | Pixels], reconciler: Reconciler) -> None:
        self._config, self._queue, self._reconciler = config, queue, reconciler
        self._controls: OrderedDict[bytes, bytes] = OrderedDict()

    async def Edit(  # noqa: N802  # gRPC's name
        self, request: attacker_pb2.EditRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[attacker_pb2.EditResponse]:
        serving = self._config.serving
        image = await asyncio.to_thread(
            decode, request.image, max_pixels=serving.max_pixels, max_bytes=serving.max_image_bytes
        )
        learned = request.WhichOneof("attack") == "learned"
        revision = request.learned.revision
        with self._reconciler.bind(revision.name, revision.digest) if learned else nullcontext() as bound:
            jobs = learned_jobs(image, request, bound) if bound is not None else []
            futures = self._queue.submit(jobs, deadline())
            if request.control:
                control = attacker_pb2.Control(image=await self._control(image, request.image))
                yield attacker_pb2.EditResponse(control=control)
            for index, seed in enumerate(request.seeds):
                if bound is None:
                    edit = await asyncio.to_thread(procedural_edit, image, request, seed)
                else:
                    edit = await asyncio.to_thread(to_edit, await futures[index], bound, request.learned.trajectory)
                edit.index = index
                yield attacker_pb2.EditResponse(edit=edit)

    async def _control(self, image: Pixels, encoded: bytes) -> bytes:
        """The control as PNG; it depends on nothing that is trained, so it is kept."""
        key = hashlib.sha256(encoded).digest()
        if key not in self._controls:
            (future,) = self._queue.submit([Job(Order(image, "", 0), None, "")], deadline())
            made = await future
            assert isinstance(made, np.ndarray), "a job without sampling gives pixels"
            self._controls[key] = await asyncio.to_thread(encode_png, made)
            if len(self._controls) > self._config.controls:
                self._controls.popitem(last=False)
        return self._controls[key]


def learned_jobs(image: Pixels, request: attacker_pb2.EditRequest, bound: Bound) -> list[Job]:
    sampling = to_sampling(request.learned.sampling)
    return [Job(Order(image, request.learned.instruction, seed), sampling, bound.handle) for seed in request.seeds]


def to_sampling(message: attacker_pb2.EditSampling) -> EditSampling:
    return EditSampling(
        steps=message.steps,
        variant=VARIANTS[message.variant],
        noise_level=message.noise_level,
        window=message.window,
        window_first=message.window_first,
        window_last=message.window_last,
        guidance=message.guidance,
    )


def to_edit(made: Edited | Pixels, bound: Bound, with_trajectory: bool) -> attacker_pb2.Edit:
    assert isinstance(made, Edited), "a job with sampling gives an edit"
    return attacker_pb2.Edit(
        image=encode_png(made.image),
        revision=revision_pb2.Revision(name=bound.pin.name, digest=bound.pin.digest),
        kind=attacker_pb2.EDIT_KIND_SEMANTIC,
        trajectory=to_trajectory(made.trajectory) if with_trajectory else None,
    )


def to_trajectory(path: Trajectory) -> attacker_pb2.Trajectory:
    return attacker_pb2.Trajectory(
        sigmas=to_proto(path.sigmas),
        start=path.start,
        latents=to_proto(path.latents),
        final=to_proto(path.final),
        logprobs=to_proto(path.logprobs),
    )


def procedural_edit(image: Pixels, request: attacker_pb2.EditRequest, seed: int) -> attacker_pb2.Edit:
    targets = [Target(t.name, Box(t.box.x, t.box.y, t.box.width, t.box.height)) for t in request.targets]
    attacked = find_attack(request.procedural.name)(image, targets, np.random.default_rng(seed))
    return attacker_pb2.Edit(image=encode_png(attacked.image), kind=KINDS[attacked.kind])
