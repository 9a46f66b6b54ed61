"""Attacker and defender as the referee sees them: calls with deadlines, and plain values in return.

What they send is not trusted: a reply that is not what was asked for is no reply.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import grpc
import numpy as np
from numpy.typing import NDArray

from sparring.client.channel import Endpoint
from sparring.client.errors import Refused, refused
from sparring.ledgers.records import Kind
from sparring.referee.errors import OpponentError, nonsense, plain
from sparring.samples.sample import Sample
from sparring.serving.deadlines import remaining
from sparring.serving.errors import BadTensor
from sparring.serving.tensors import from_proto
from sparring.v1 import attacker_pb2, defender_pb2, revision_pb2, sample_pb2
from sparring.v1.attacker_pb2_grpc import AttackerStub
from sparring.v1.defender_pb2_grpc import DefenderStub

MAX_LATENTS = 2**26
MAX_TOKENS = 2**16
PATIENCE = 0.25
"""First wait after a full queue that named no time, seconds; it doubles."""
ResultT = TypeVar("ResultT")

KINDS = {
    attacker_pb2.EDIT_KIND_SEMANTIC: Kind.SEMANTIC,
    attacker_pb2.EDIT_KIND_CORRUPTION: Kind.CORRUPTION,
    attacker_pb2.EDIT_KIND_CONTROL: Kind.CONTROL,
}


@dataclass(frozen=True)
class Path:
    """A trajectory as it came: arrays as in `sparring.ledgers.records.TrajectoryRecord`."""

    sigmas: NDArray[np.float32]
    start: int
    latents: NDArray[np.float32]
    final: NDArray[np.float32]
    logprobs: NDArray[np.float32]


@dataclass(frozen=True)
class Edited:
    """One edit as it came. `image` is PNG; `path` is None unless it was asked for.

    `idle` is whether the attack found nothing to do; `image` is then the original, encoded as it was.
    """

    image: bytes
    kind: Kind
    revision: str
    digest: str
    affine: tuple[float, ...] | None
    path: Path | None
    idle: bool = False


@dataclass(frozen=True)
class Edits:
    """A group of edits, in the order of the seeds, and the control (PNG)."""

    control: bytes
    edits: tuple[Edited, ...]


@dataclass(frozen=True)
class Answer:
    """One answer as it came. `finished` is whether it came to its end before the longest that was asked for."""

    text: str
    tokens: NDArray[np.int32]
    logprobs: NDArray[np.float32]
    finished: bool


@dataclass(frozen=True)
class Answers:
    """Answers to one image, and who gave them."""

    answers: tuple[Answer, ...]
    revision: str
    digest: str


class Attacker:
    """Asks for edits.

    Args:
        endpoint: where.
        seconds: longest that one call may take.
    """

    def __init__(self, endpoint: Endpoint, seconds: float) -> None:
        self._channel = endpoint.open_aio()
        self._stub, self._endpoint, self._seconds = AttackerStub(self._channel), endpoint, seconds

    async def edit(
        self,
        sample: Sample,
        seeds: Sequence[int],
        attack: attacker_pb2.LearnedAttack | attacker_pb2.ProceduralAttack,
    ) -> Edits:
        """One edit for each seed, with the control.

        Raises:
            OpponentError: there was no whole group.
        """
        request = attacker_pb2.EditRequest(
            image=sample.image, targets=to_targets(sample), seeds=list(seeds), control=True
        )
        if isinstance(attack, attacker_pb2.LearnedAttack):
            request.learned.CopyFrom(attack)
        else:
            request.procedural.CopyFrom(attack)

        async def call(seconds: float) -> Edits:
            return await to_edits(self._stub.Edit(request, timeout=seconds, metadata=self._endpoint.metadata), request)

        return await patiently("attacker", self._endpoint.address, call, self._seconds)

    async def close(self) -> None:
        await self._channel.close()


class Defender:
    """Asks for answers; the arguments are those of `Attacker`."""

    def __init__(self, endpoint: Endpoint, seconds: float) -> None:
        self._channel = endpoint.open_aio()
        self._stub, self._endpoint, self._seconds = DefenderStub(self._channel), endpoint, seconds

    async def answer(
        self,
        image: bytes,
        prompt: str,
        revision: revision_pb2.Revision,
        count: int,
        seed: int,
        sampling: defender_pb2.AnswerSampling,
    ) -> Answers:
        """`count` answers about an encoded image.

        Raises:
            OpponentError: there were none.
        """
        request = defender_pb2.AnswerRequest(
            image=image, prompt=prompt, revision=revision, count=count, seed=seed, sampling=sampling
        )

        async def call(seconds: float) -> Answers:
            response = await self._stub.Answer(request, timeout=seconds, metadata=self._endpoint.metadata)
            answers = tuple(
                Answer(
                    answer.text,
                    from_proto(answer.tokens, MAX_TOKENS, dtype=np.int32, field="answers.tokens"),
                    from_proto(answer.logprobs, MAX_TOKENS, field="answers.logprobs"),
                    answer.finished,
                )
                for answer in response.answers
            )
            if len(answers) != count:
                raise nonsense("defender", f"{len(answers)} answers instead of {count}")
            check_revision("defender", revision, [(response.revision.name, response.revision.digest)])
            return Answers(answers, response.revision.name, response.revision.digest)

        return await patiently("defender", self._endpoint.address, call, self._seconds)

    async def close(self) -> None:
        await self._channel.close()


class Absent:
    """Stands for a defender where none is configured."""

    async def answer(
        self,
        image: bytes,
        prompt: str,
        revision: revision_pb2.Revision,
        count: int,
        seed: int,
        sampling: defender_pb2.AnswerSampling,
    ) -> Answers:
        """Raises: OpponentError, always."""
        missing = "this referee has none; set `defender` in its configuration, or name an endpoint to be checked"
        raise OpponentError("defender", Refused(grpc.StatusCode.FAILED_PRECONDITION, missing))

    async def close(self) -> None:
        """There is nothing to let go."""


async def patiently(who: str, address: str, call: Callable[[float], Awaitable[ResultT]], most: float) -> ResultT:
    """Call, and call again after a full queue, for as long as there is time.

    Raises:
        OpponentError: there was no result.
    """
    end = time.monotonic() + min(most, remaining(margin=0.05))
    pause = PATIENCE
    while True:
        try:
            return await call(max(0.001, end - time.monotonic()))
        except BadTensor as error:
            raise nonsense(who, str(error)) from error
        except grpc.RpcError as error:
            failure = plain(refused(error))
            wait = failure.retry_seconds if failure.retry_seconds is not None else pause
            full = failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            if not full or time.monotonic() + wait >= end:
                raise OpponentError(who, failure, address) from error
            await asyncio.sleep(wait)
            pause *= 2


def check_revision(who: str, asked: revision_pb2.Revision, acted: Iterable[tuple[str, str]]) -> None:
    """Raises: OpponentError if another revision acted than the one that was asked for."""
    for name, digest in acted:
        if asked.name not in ("", name) or asked.digest not in ("", digest):
            raise nonsense(who, f"the work of {name!r} ({digest[:12]}), not of {asked.name!r} ({asked.digest[:12]})")


def to_targets(sample: Sample) -> list[sample_pb2.Target]:
    return [
        sample_pb2.Target(
            name=target.name,
            box=sample_pb2.Box(x=target.box.x, y=target.box.y, width=target.box.width, height=target.box.height),
        )
        for target in sample.targets
    ]


async def to_edits(replies: AsyncIterable[attacker_pb2.EditResponse], request: attacker_pb2.EditRequest) -> Edits:
    """The group that the replies to `request` are.

    Raises:
        BadTensor, OpponentError: it is not whole, or not what was asked for.
    """
    control, edits = b"", {}
    async for reply in replies:
        match reply.WhichOneof("result"):
            case "control":
                control = reply.control.image
            case "no_edit":
                edits[reply.no_edit.index] = to_idle(reply.no_edit, request)
            case _:
                edits[reply.edit.index] = to_edited(reply.edit)
    wanted = range(len(request.seeds))
    if not control or edits.keys() != set(wanted):
        had = f"edits {sorted(edits)} and {len(control)} bytes of control"
        raise nonsense("attacker", f"{had} for {len(wanted)} seeds")
    check_revision("attacker", request.learned.revision, [(e.revision, e.digest) for e in edits.values()])
    return Edits(control, tuple(edits[index] for index in wanted))


def to_edited(edit: attacker_pb2.Edit) -> Edited:
    path = to_path(edit.trajectory) if edit.HasField("trajectory") else None
    affine = tuple(edit.affine) or None
    return Edited(edit.image, to_kind(edit.kind), edit.revision.name, edit.revision.digest, affine, path)


def to_idle(message: attacker_pb2.NoEdit, request: attacker_pb2.EditRequest) -> Edited:
    if request.HasField("learned"):
        raise nonsense("attacker", f"no edit {message.index} by an editor: {message.reason!r}")
    return Edited(request.image, to_kind(message.kind), "", "", None, None, idle=True)


def to_kind(kind: attacker_pb2.EditKind) -> Kind:
    if kind not in KINDS:
        raise nonsense("attacker", f"an edit of kind {kind}")
    return KINDS[kind]


def to_path(message: attacker_pb2.Trajectory) -> Path:
    """Raises: BadTensor, or OpponentError if the tensors do not belong together."""
    path = Path(
        sigmas=from_proto(message.sigmas, MAX_TOKENS, field="trajectory.sigmas"),
        start=message.start,
        latents=from_proto(message.latents, MAX_LATENTS, field="trajectory.latents"),
        final=from_proto(message.final, MAX_LATENTS, field="trajectory.final"),
        logprobs=from_proto(message.logprobs, MAX_TOKENS, field="trajectory.logprobs"),
    )
    window, steps = path.logprobs.size, path.sigmas.size - 1
    fits = path.latents.shape == (window + 1, *path.final.shape) and path.start + window <= steps
    if not fits or path.final.ndim != 2 or path.logprobs.ndim != 1 or path.sigmas.ndim != 1:
        shapes = {name: getattr(path, name).shape for name in ("sigmas", "latents", "final", "logprobs")}
        raise nonsense("attacker", f"a trajectory of shapes {shapes} from step {path.start}")
    return path
