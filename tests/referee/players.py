"""An attacker and a defender that follow simple rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import grpc
import numpy as np
from numpy.typing import NDArray

from sparring.samples.images import decode, encode_png
from sparring.samples.shapes import Shapes, World
from sparring.serving.errors import QueueFull
from sparring.serving.tensors import to_proto
from sparring.v1 import attacker_pb2, attacker_pb2_grpc, defender_pb2, defender_pb2_grpc, sample_pb2

MARK = (255, 0, 255)
"""Colour of what confuses the defender."""
SAMPLE = Shapes(World(bystanders=(1, 1)), 0, "referee").sample(0)
KNOWN = SAMPLE.options[SAMPLE.answer]
FLOATS = np.linspace(0, 1, 3 * 4 * 2, dtype=np.float32)


def pixels(image: bytes) -> NDArray[np.uint8]:
    return decode(image, max_pixels=1 << 20, max_bytes=1 << 20)


class Painter(attacker_pb2_grpc.AttackerServicer):
    """Paints as told, one word of the instruction for each edit: `mark` a place without target, `cover` the first
    target, leave it `plain`, or find nothing to do and be `idle`. Its control is the original."""

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
            word = words[index % len(words)]
            if word == "idle":
                yield attacker_pb2.EditResponse(no_edit=attacker_pb2.NoEdit(index=index, kind=self.kind, reason=word))
                continue
            image = self._paint(request, word, seed)
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
