"""The Attacker service: learned attacks by its editor, and attacks without a model beside it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import grpc
import numpy as np
from prometheus_client import CollectorRegistry

from sparring.attacker.batches import Pixels
from sparring.attacker.config import AttackerConfig
from sparring.attacker.editing import Editing, NoEditor, Replies, control_reply
from sparring.attacker.messages import no_edit, procedural_edit, to_targets
from sparring.attacker.procedural import UnknownAttack, find_attack
from sparring.attacker.space import NoRoom
from sparring.samples.images import BadImage, decode
from sparring.serving.config import ServingConfig
from sparring.serving.interceptor import Context
from sparring.serving.reconciler import Reconciler
from sparring.serving.runner import Service, serve
from sparring.serving.statuses import Rule, Rules
from sparring.v1 import attacker_pb2
from sparring.v1.attacker_pb2_grpc import AttackerServicer, add_AttackerServicer_to_server

if TYPE_CHECKING:
    from sparring.serving.standards.standards import Standards

RULES: Rules = {
    BadImage: Rule(grpc.StatusCode.INVALID_ARGUMENT, "image"),
    UnknownAttack: Rule(grpc.StatusCode.INVALID_ARGUMENT, "procedural.name"),
    NoEditor: Rule(grpc.StatusCode.FAILED_PRECONDITION),
}
"""How this room's exceptions are told."""
TOGETHER = 1 << 17
"""Pixels of edits that are made before any is sent on: to send each small one when it is ready costs more than making
it, and large ones should not wait for each other."""


async def serve_attacker(editing: Editing, config: AttackerConfig, registry: CollectorRegistry) -> None:
    """Serve until SIGTERM. Without an editor there is no Weights service."""
    servicer = AttackerService(config.serving, editing)
    attacker = Service(
        attacker_pb2.DESCRIPTOR.services_by_name["Attacker"],
        lambda server: add_AttackerServicer_to_server(servicer, server),
    )
    standards = spoken(config.serving, servicer, editing.reconciler)
    await serve(
        config.serving,
        [attacker],
        registry=registry,
        reconciler=editing.reconciler,
        rules=RULES,
        standards=standards,
    )


def spoken(config: ServingConfig, servicer: AttackerService, reconciler: Reconciler | None) -> Standards | None:
    """What `servicer` says to callers who speak a standard, if `config` wants any spoken."""
    if not config.speaks_standards:
        return None
    from sparring.attacker.open_inference import AttackerModel
    from sparring.serving.standards.loaded import Weightless
    from sparring.serving.standards.standards import Standards

    loaded = reconciler or Weightless()
    return Standards(AttackerModel(servicer.edit, loaded, RULES, config.max_message_bytes))


class AttackerService(AttackerServicer):
    """Edits; see the contract.

    Args:
        config: limits of images.
        editing: what makes learned edits, and controls.
    """

    def __init__(self, config: ServingConfig, editing: Editing) -> None:
        self._config, self._editing = config, editing

    async def Edit(self, request: attacker_pb2.EditRequest, context: Context) -> Replies:  # noqa: N802  # gRPC's name
        async with aclosing(self.edit(request)) as replies:
            async for reply in replies:
                yield reply

    async def edit(self, request: attacker_pb2.EditRequest) -> Replies:
        """Make the edits of a valid request, whatever protocol it came by."""
        limits = self._config
        image = await asyncio.to_thread(
            decode, request.image, max_pixels=limits.max_pixels, max_bytes=limits.max_image_bytes
        )
        edits = self._procedural if request.HasField("procedural") else self._editing.learned
        async for reply in edits(request, image):
            yield reply

    async def _procedural(self, request: attacker_pb2.EditRequest, image: Pixels) -> Replies:
        attack, targets = find_attack(request.procedural.name), to_targets(request)

        def make(index: int, seed: int) -> attacker_pb2.EditResponse:
            try:
                return procedural_edit(index, attack(image, targets, np.random.default_rng(seed)))
            except NoRoom as why:
                return no_edit(index, why)

        if request.control:
            yield control_reply(await self._editing.control(request.image, image))
        several = max(1, TOGETHER // (image.shape[0] * image.shape[1]))
        for first in range(0, len(request.seeds), several):
            seeds = enumerate(request.seeds[first : first + several], start=first)
            for reply in await asyncio.to_thread(lambda seeds: [make(*order) for order in seeds], list(seeds)):
                yield reply
