"""A real referee between an attacker and a defender that follow simple rules, all three as servers on free ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from sparring.client import channel as client_channel
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EpisodeRecord, GroupId
from sparring.ledgers.storage import Storage
from sparring.referee.config import Opponent, RefereeConfig
from sparring.referee.opening import open_referee
from sparring.referee.service import RULES
from sparring.samples.images import decode, encode_png
from sparring.samples.sample import Sample
from sparring.samples.shapes import Shapes, World
from sparring.serving import statuses
from sparring.serving.deadlines import Deadlines
from sparring.serving.errors import QueueFull
from sparring.serving.interceptor import Interceptor
from sparring.serving.mapping import Mapping
from sparring.serving.metrics import CallMetrics
from sparring.serving.tensors import to_proto
from sparring.serving.validation import Validation
from sparring.v1 import (
    attacker_pb2,
    attacker_pb2_grpc,
    defender_pb2,
    defender_pb2_grpc,
    referee_pb2,
    referee_pb2_grpc,
    revision_pb2,
    sample_pb2,
)

MARK = (255, 0, 255)
"""Colour of what confuses the defender."""
ATTACKER, DEFENDER = "c/attacker/000001", "c/defender/000002"
DIGEST = "ab" * 32
SAMPLE = Shapes(World(bystanders=(1, 1)), 0, "referee").sample(0)
KNOWN = SAMPLE.options[SAMPLE.answer]
FLOATS = np.linspace(0, 1, 3 * 4 * 2, dtype=np.float32)


def pixels(image: bytes) -> NDArray[np.uint8]:
    return decode(image, max_pixels=1 << 20, max_bytes=1 << 20)


class Painter(attacker_pb2_grpc.AttackerServicer):
    """Paints as told, one word of the instruction for each edit: `mark` a place without target, `cover` the first
    target, leave it `plain`. Its control is the original."""

    def __init__(self) -> None:
        self.calls = 0
        self.spoil: Callable[[attacker_pb2.EditResponse], bool] = lambda response: True
        """Changes a reply; False keeps it back."""
        self.status: grpc.StatusCode | None = None
        self.kind = attacker_pb2.EDIT_KIND_SEMANTIC

    async def Edit(  # noqa: N802  # gRPC's name
        self, request: attacker_pb2.EditRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[attacker_pb2.EditResponse]:
        self.calls += 1
        if self.status is not None:
            await context.abort(self.status, "the painter is away")
        for response in self._responses(request):
            if self.spoil(response):
                yield response

    def _responses(self, request: attacker_pb2.EditRequest) -> Iterator[attacker_pb2.EditResponse]:
        learned = request.HasField("learned")
        words = (request.learned.instruction if learned else request.procedural.name).split()
        yield attacker_pb2.EditResponse(control=attacker_pb2.Control(image=request.image))
        for index, seed in enumerate(request.seeds):
            image = self._paint(request, words[index % len(words)], seed)
            edit = attacker_pb2.Edit(index=index, image=image, kind=self.kind)
            if learned:
                edit.revision.CopyFrom(request.learned.revision)
            if learned and request.learned.trajectory:
                edit.trajectory.CopyFrom(trajectory())
            yield attacker_pb2.EditResponse(edit=edit)

    def _paint(self, request: attacker_pb2.EditRequest, word: str, seed: int) -> bytes:
        canvas = pixels(request.image).copy()
        boxes = [target.box for target in request.targets]
        if word == "cover":
            box = boxes[0]
            canvas[int(box.y) : int(box.y + box.height), int(box.x) : int(box.x + box.width)] = 128
        if word == "mark":
            places = np.random.default_rng(seed).integers(0, canvas.shape[0] - 4, (100, 2))
            x, y = next(place for place in places.tolist() if not any(near(*place, box) for box in boxes))
            canvas[y : y + 4, x : x + 4] = MARK
        return encode_png(canvas)


def near(x: int, y: int, box: sample_pb2.Box) -> bool:
    return abs(x - box.x - box.width / 2) < 16 and abs(y - box.y - box.height / 2) < 16


def trajectory() -> attacker_pb2.Trajectory:
    return attacker_pb2.Trajectory(
        sigmas=to_proto(np.linspace(1, 0, 7, dtype=np.float32)),
        start=1,
        latents=to_proto(FLOATS.reshape(3, 4, 2)),
        final=to_proto(FLOATS[:8].reshape(4, 2)),
        logprobs=to_proto(FLOATS[:2]),
    )


class Pupil(defender_pb2_grpc.DefenderServicer):
    """Knows every answer, but errs `slips` times where it sees a mark, and always on questions in `baffled`."""

    def __init__(self) -> None:
        self.key: dict[str, str] = {}
        """The right option, by question; by default that of the fixture `sample`."""
        self.asked: list[tuple[str, bool]] = []
        """Of each call, the question and whether a mark was seen."""
        self.slips = 1 << 30
        self.baffled: set[str] = set()
        self.unheard: set[str] = set()
        self.spoil: Callable[[defender_pb2.AnswerResponse], object] = lambda response: None
        self.status: grpc.StatusCode | None = None
        self.error: Exception | None = None
        """What its server turns into a status with details."""
        self.full = 0
        """How many calls are refused for lack of room."""
        self.release = asyncio.Event()
        self.release.set()
        self.entered = asyncio.Event()

    async def Answer(  # noqa: N802  # gRPC's name
        self, request: defender_pb2.AnswerRequest, context: grpc.aio.ServicerContext
    ) -> defender_pb2.AnswerResponse:
        question, *lines = request.prompt.splitlines()
        marked = bool((pixels(request.image) == MARK).all(axis=2).any())
        self.asked.append((question, marked))
        if self.full:
            self.full -= 1
            raise QueueFull("no room", retry_seconds=0.01)
        if self.error is not None:
            raise self.error
        if self.status is not None or question in self.unheard:
            await context.abort(self.status or grpc.StatusCode.INTERNAL, "the pupil is away")
        self.entered.set()
        await self.release.wait()
        letters = {line[4:]: line[1] for line in lines if line.startswith("(")}
        right = letters.pop(self.key.get(question, KNOWN))
        wrong = next(iter(letters.values()))
        errors = request.count if question in self.baffled else self.slips if marked else 0
        answers = [answer(wrong if index < errors else right) for index in range(request.count)]
        response = defender_pb2.AnswerResponse(answers=answers, revision=request.revision)
        self.spoil(response)
        return response


def answer(letter: str) -> defender_pb2.Answer:
    return defender_pb2.Answer(
        text=f"It is \\boxed{{{letter}}}",
        tokens=to_proto(np.arange(3, dtype=np.int32)),
        logprobs=to_proto(-FLOATS[:3]),
        finished=True,
    )


@dataclass
class Ring:
    """A referee that runs, its opponents, and what it wrote."""

    painter: Painter
    pupil: Pupil
    ledger: EpisodeLedger
    referee: referee_pb2_grpc.RefereeStub
    registry: CollectorRegistry

    async def play(self, request: referee_pb2.PlayRequest) -> list[referee_pb2.PlayResponse]:
        return [event async for event in self.referee.Play(request)]

    async def check(self, request: referee_pb2.CheckRequest) -> list[referee_pb2.CheckResponse]:
        return [event async for event in self.referee.Check(request)]

    def group(self, name: str) -> tuple[EpisodeRecord, ...]:
        return self.ledger.get_groups([GroupId(name)])[GroupId(name)]

    @property
    def episodes(self) -> list[EpisodeRecord]:
        return list(self.ledger.scan())

    def value(self, name: str, **labels: str) -> float:
        """A metric's value; 0 if it was never touched."""
        return self.registry.get_sample_value(name, labels) or 0.0


Open = Callable[..., AbstractAsyncContextManager[Ring]]


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Start all three: `async with ring(call_seconds=0.5) as it`."""
    impatient = {**client_channel.RETRY_POLICY, "initialBackoff": "0.02s", "maxBackoff": "0.05s"}
    monkeypatch.setattr(client_channel, "RETRY_POLICY", impatient)

    @asynccontextmanager
    async def start(**settings: object) -> AsyncIterator[Ring]:
        painter, pupil, registry = Painter(), Pupil(), CollectorRegistry()
        async with AsyncExitStack() as stack:
            mapping = Mapping({**statuses.RULES, **RULES})
            attacker = await stack.enter_async_context(
                serving(lambda server: attacker_pb2_grpc.add_AttackerServicer_to_server(painter, server))
            )
            defender = await stack.enter_async_context(
                serving(lambda server: defender_pb2_grpc.add_DefenderServicer_to_server(pupil, server), mapping)
            )
            storage = Storage(root=str(tmp_path))
            sides = {"attacker": Opponent(address=attacker), "defender": Opponent(address=defender)}
            config = RefereeConfig(storage=storage, **{**sides, **settings})  # type: ignore[arg-type]
            service = await stack.enter_async_context(open_referee(config, registry))
            around = (CallMetrics(registry), mapping, Deadlines(300), Validation())
            address = await stack.enter_async_context(serving(service.join, *around))
            stack.callback(pupil.release.set)
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
            stub = referee_pb2_grpc.RefereeStub(channel)
            yield Ring(painter, pupil, EpisodeLedger(tmp_path), stub, registry)

    return start


@asynccontextmanager
async def serving(join: Callable[[grpc.aio.Server], None], *interceptors: Interceptor) -> AsyncIterator[str]:
    """The address of a server, which has no ports but this one."""
    server = grpc.aio.server(interceptors=interceptors, options=[("grpc.so_reuseport", 0)])
    join(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


@pytest.fixture
def sample() -> Sample:
    return SAMPLE


@pytest.fixture
def request_of(sample: Sample) -> Callable[..., referee_pb2.PlayRequest]:
    """A valid request; the instruction is the painter's words."""

    def make(
        words: str = "", *, learner: str = "NONE", answers: int = 1, match: str = "c/p/000007", of: Sample = sample
    ) -> referee_pb2.PlayRequest:
        request = referee_pb2.PlayRequest(
            key=referee_pb2.MatchKey(match_id=match, campaign="c", phase="p"),
            sample=to_message(of),
            learner=getattr(referee_pb2, f"LEARNER_{learner}"),
            seed=5,
            defender=revision_pb2.Revision(name=DEFENDER, digest=DIGEST),
            answers=answers,
            sampling=defender_pb2.AnswerSampling(temperature=1, max_tokens=9),
        )
        if words:
            request.fresh.CopyFrom(
                referee_pb2.FreshEdits(
                    count=len(words.split()), learned=learned(words, trajectory=learner == "ATTACKER")
                )
            )
        else:
            request.original.SetInParent()
        return request

    return make


def learned(words: str, *, attacker: str = ATTACKER, trajectory: bool = False) -> attacker_pb2.LearnedAttack:
    return attacker_pb2.LearnedAttack(
        revision=revision_pb2.Revision(name=attacker, digest=DIGEST),
        instruction=words,
        sampling=attacker_pb2.EditSampling(
            steps=6,
            variant=attacker_pb2.SDE_VARIANT_CPS,
            noise_level=0.7,
            window=2,
            window_first=1,
            window_last=1,
            guidance=1,
        ),
        trajectory=trajectory,
    )


def to_message(of: Sample) -> sample_pb2.Sample:
    targets = [
        sample_pb2.Target(name=t.name, box=sample_pb2.Box(x=t.box.x, y=t.box.y, width=t.box.width, height=t.box.height))
        for t in of.targets
    ]
    return sample_pb2.Sample(
        image=of.image,
        question=of.question,
        options=of.options,
        answer=of.answer,
        targets=targets,
        category=of.category,
        source=of.source,
    )
