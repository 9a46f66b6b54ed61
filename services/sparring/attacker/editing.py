"""What an attacker does with its editor, and what it does where it was configured without one.

Attacks without a model need no editor, and a process without one imports no torch.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import numpy as np
from prometheus_client import CollectorRegistry

from sparring.attacker.batches import Edits, Job, Pixels, gather
from sparring.attacker.config import AttackerConfig
from sparring.attacker.controls import Controls
from sparring.attacker.messages import learned_edit, to_sampling
from sparring.ledgers.weights import WeightsLedger
from sparring.policies.policy import Edited, Order
from sparring.samples.images import encode_png
from sparring.serving.batching import Batcher
from sparring.serving.deadlines import deadline
from sparring.serving.queue_metrics import QueueMetrics
from sparring.serving.reconciler import Bound, Reconciler
from sparring.v1 import attacker_pb2

Replies = AsyncGenerator[attacker_pb2.EditResponse, None]


class NoEditor(LookupError):
    """A learned attack was asked of an attacker without an editor."""


class Editing(Protocol):
    """Learned attacks and controls."""

    @property
    def reconciler(self) -> Reconciler | None:
        """What holds the editor's revisions; None without an editor."""

    def learned(self, request: attacker_pb2.EditRequest, image: Pixels) -> Replies:
        """The control, if it is wanted, and the edits of a learned attack.

        Raises:
            NoEditor: there can't be any.
        """

    async def control(self, original: bytes, image: Pixels) -> bytes:
        """The control alone, PNG.

        Args:
            original: the encoded image.
            image: the same: uint8 [height, width, 3].
        """


class WithoutEditor:
    """No learned attack, and no autoencoder: the control is the original itself."""

    reconciler = None

    def learned(self, request: attacker_pb2.EditRequest, image: Pixels) -> Replies:
        raise NoEditor(
            "this attacker has no editor: set `editor` in its configuration, or ask for an attack without a model"
        )

    async def control(self, original: bytes, image: Pixels) -> bytes:
        return await asyncio.to_thread(encode_png, image)


class WithEditor:
    """A queue before an editor, whose revisions a reconciler holds.

    What a call asks of the editor, control and edits, is queued at once: the call is admitted whole or not at all. What
    the caller no longer waits for leaves the queue.

    Args:
        queue: before the editor.
        reconciler: binds a call to a revision.
        controls: those that were made before.
    """

    def __init__(self, queue: Batcher[Job, Edited | Pixels], reconciler: Reconciler, controls: Controls) -> None:
        self._queue, self._controls = queue, controls
        self.reconciler = reconciler

    async def learned(self, request: attacker_pb2.EditRequest, image: Pixels) -> Replies:
        revision = request.learned.revision
        with self.reconciler.bind(revision.name, revision.digest) as bound:
            wanted = self._lacking(request.image, image) if request.control else []
            with self._queue.submit([*wanted, *orders(request, image, bound)], deadline()) as futures:
                if request.control:
                    yield control_reply(await self._made(request.image, futures))
                for index, future in enumerate(futures[-len(request.seeds) :]):
                    made = await future
                    assert isinstance(made, Edited), "an order gives an edit"
                    yield await asyncio.to_thread(learned_edit, index, made, bound.pin, request.learned.trajectory)

    async def control(self, original: bytes, image: Pixels) -> bytes:
        with self._queue.submit(self._lacking(original, image), deadline()) as futures:
            return await self._made(original, futures)

    def _lacking(self, original: bytes, image: Pixels) -> list[Job]:
        """The job that makes the control, unless it is kept."""
        return [Job.control(image)] if self._controls.find(original) is None else []

    async def _made(self, original: bytes, futures: list[asyncio.Future[Edited | Pixels]]) -> bytes:
        """The control that is kept, or else that the first of `futures` makes."""
        control = self._controls.find(original)
        if control is None:
            made = await futures[0]
            assert isinstance(made, np.ndarray), "a control is pixels"
            control = await asyncio.to_thread(encode_png, made)
            self._controls.keep(original, control)
        return control


def orders(request: attacker_pb2.EditRequest, image: Pixels, bound: Bound) -> list[Job]:
    """One job for each seed."""
    sampling = to_sampling(request.learned.sampling)
    return [Job(Order(image, request.learned.instruction, seed), sampling, bound.handle) for seed in request.seeds]


def control_reply(control: bytes) -> attacker_pb2.EditResponse:
    """The reply with the control, PNG."""
    return attacker_pb2.EditResponse(control=attacker_pb2.Control(image=control))


@asynccontextmanager
async def with_editor(policy: Edits, config: AttackerConfig, registry: CollectorRegistry) -> AsyncIterator[WithEditor]:
    """Edit with `policy` for the time of the block."""
    ledger = WeightsLedger(config.storage.root)
    async with (
        Reconciler(ledger, policy, "attacker", config.weights, registry) as reconciler,
        gather(policy, config.queue, QueueMetrics(registry, "edits")) as queue,
    ):
        yield WithEditor(queue, reconciler, Controls(config.controls_bytes))
