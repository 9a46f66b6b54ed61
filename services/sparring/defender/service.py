"""The Defender service: a queue before a multimodal language model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import grpc

from sparring.defender.config import DefenderConfig
from sparring.ledgers.weights import WeightsLedger
from sparring.policies.config import AnswerSampling
from sparring.policies.policy import Ask, Reply
from sparring.samples.images import BadImage, decode
from sparring.serving.batching import Batcher
from sparring.serving.config import QueueConfig, ServingConfig
from sparring.serving.deadlines import deadline
from sparring.serving.interceptor import Context
from sparring.serving.metrics import new_registry
from sparring.serving.queue_metrics import QueueMetrics
from sparring.serving.reconciler import Installs, Reconciler
from sparring.serving.runner import Service, serve
from sparring.serving.statuses import Rule, Rules
from sparring.serving.tensors import to_proto
from sparring.serving.weights import to_revision
from sparring.v1 import defender_pb2
from sparring.v1.defender_pb2_grpc import DefenderServicer, add_DefenderServicer_to_server

if TYPE_CHECKING:
    from sparring.serving.standards.standards import Standards

RULES: Rules = {BadImage: Rule(grpc.StatusCode.INVALID_ARGUMENT, "image")}
"""How this room's exceptions are told."""


class Answers(Installs, Protocol):
    """The part of a policy that answers, under the revision called `name`."""

    def rollout(self, acts: Sequence[Ask], sampling: AnswerSampling, name: str) -> list[list[Reply]]: ...


@dataclass(frozen=True)
class Question:
    """An ask with what must be alike within a batch."""

    ask: Ask
    sampling: AnswerSampling
    handle: str


def gather(policy: Answers, config: QueueConfig, metrics: QueueMetrics) -> Batcher[Question, list[Reply]]:
    """The queue before `policy`, counted in answers."""

    def run(questions: list[Question]) -> list[list[Reply]]:
        first = questions[0]
        return policy.rollout([question.ask for question in questions], first.sampling, first.handle)

    return Batcher(
        run,
        key=lambda question: (question.handle, question.sampling),
        cost=lambda question: question.ask.count,
        config=config,
        metrics=metrics,
    )


async def serve_policy(policy: Answers, config: DefenderConfig) -> None:
    """Serve `policy` until SIGTERM."""
    registry, ledger = new_registry(), WeightsLedger(config.storage.root)
    async with (
        Reconciler(ledger, policy, "defender", config.weights, registry) as reconciler,
        gather(policy, config.queue, QueueMetrics(registry, "answers")) as queue,
    ):
        servicer = DefenderService(config.serving, queue, reconciler)
        defender = Service(
            defender_pb2.DESCRIPTOR.services_by_name["Defender"],
            lambda server: add_DefenderServicer_to_server(servicer, server),
        )
        standards = spoken(config.serving, servicer, reconciler)
        await serve(
            config.serving, [defender], registry=registry, reconciler=reconciler, rules=RULES, standards=standards
        )


def spoken(config: ServingConfig, servicer: DefenderService, reconciler: Reconciler) -> Standards | None:
    """What `servicer` says to callers who speak a standard, if `config` wants any spoken."""
    if not config.speaks_standards:
        return None
    from sparring.defender.chat import chat
    from sparring.defender.open_inference import DefenderModel
    from sparring.serving.standards.standards import Standards

    model = DefenderModel(servicer.answer, reconciler, RULES)
    return Standards(model, [chat(model, servicer.answer, RULES)])


class DefenderService(DefenderServicer):
    """Answers; see the contract."""

    def __init__(self, config: ServingConfig, queue: Batcher[Question, list[Reply]], reconciler: Reconciler) -> None:
        self._config, self._queue, self._reconciler = config, queue, reconciler

    async def Answer(  # noqa: N802  # gRPC's name
        self, request: defender_pb2.AnswerRequest, context: Context
    ) -> defender_pb2.AnswerResponse:
        return await self.answer(request)

    async def answer(self, request: defender_pb2.AnswerRequest) -> defender_pb2.AnswerResponse:
        """Answer a valid request, whatever protocol it came by."""
        config = self._config
        pixels = await asyncio.to_thread(
            decode, request.image, max_pixels=config.max_pixels, max_bytes=config.max_image_bytes
        )
        sampling = AnswerSampling(temperature=request.sampling.temperature, max_tokens=request.sampling.max_tokens)
        with self._reconciler.bind(request.revision.name, request.revision.digest) as bound:
            question = Question(Ask(pixels, request.prompt, request.seed, request.count), sampling, bound.handle)
            with self._queue.submit([question], deadline()) as (future,):
                replies = await future
        answers = [to_answer(reply) for reply in replies]
        return defender_pb2.AnswerResponse(answers=answers, revision=to_revision(bound.pin))


def to_answer(reply: Reply) -> defender_pb2.Answer:
    return defender_pb2.Answer(
        text=reply.text, tokens=to_proto(reply.tokens), logprobs=to_proto(reply.logprobs), finished=reply.finished
    )
