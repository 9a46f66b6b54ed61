"""A real referee between an attacker and a defender that follow simple rules, all three as servers on free ports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry

from sparring.client import channel as client_channel
from sparring.client.errors import Refused, refused
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EpisodeRecord, GroupId
from sparring.ledgers.storage import Storage
from sparring.referee.config import Opponent, RefereeConfig
from sparring.referee.opening import open_referee
from sparring.referee.service import RULES
from sparring.samples.sample import Sample
from sparring.serving import statuses
from sparring.serving.authentication import Authentication
from sparring.serving.deadlines import Deadlines
from sparring.serving.interceptor import Interceptor
from sparring.serving.mapping import Mapping
from sparring.serving.metrics import CallMetrics
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

from .players import SAMPLE, Painter, Pupil

ATTACKER, DEFENDER = "c/attacker/000001", "c/defender/000002"
DIGEST = "ab" * 32
MATCH = "c/p/000007"
Requests = Callable[..., referee_pb2.PlayRequest]


@dataclass
class Ring:
    """A referee that runs, its opponents, and what it wrote."""

    painter: Painter
    pupil: Pupil
    ledger: EpisodeLedger
    referee: referee_pb2_grpc.RefereeStub
    registry: CollectorRegistry
    address: str

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
            services = await stack.enter_async_context(open_referee(config, registry))
            guard = Authentication(config.serving.callers, frozenset())
            around = (CallMetrics(registry), mapping, guard, Deadlines(300), Validation())
            address = await stack.enter_async_context(
                serving(lambda server: [service.join(server) for service in services], *around)
            )
            stack.callback(pupil.release.set)
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
            stub = referee_pb2_grpc.RefereeStub(channel)
            yield Ring(painter, pupil, EpisodeLedger(tmp_path), stub, registry, address)

    return start


@asynccontextmanager
async def serving(join: Callable[[grpc.aio.Server], object], *interceptors: Interceptor) -> AsyncIterator[str]:
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
def request_of(sample: Sample) -> Requests:
    """A valid request; the instruction is the painter's words."""

    def make(
        words: str = "", *, learner: str = "NONE", answers: int = 1, match: str = MATCH, of: Sample = sample
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


async def refusal(it: Ring, request: referee_pb2.PlayRequest, *, seconds: float = 30) -> Refused:
    """What a match is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in it.referee.Play(request, timeout=seconds):
            pass
    return refused(caught.value)
