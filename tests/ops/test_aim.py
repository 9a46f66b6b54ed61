"""A service is told its target until it has it, and told again when it has lost it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from sparring.ledgers.weights import WeightsLedger
from sparring.ops.aim import Aim, TargetFailed
from sparring.ops.folder import RunFolder
from sparring.v1 import weights_pb2, weights_pb2_grpc

from .conftest import A0, A1, D0

State = weights_pb2.GetStateResponse


@dataclass
class Service(weights_pb2_grpc.WeightsServicer):
    """Says LOADING some times, then what `ends` says."""

    ends: State.Phase = State.PHASE_READY
    loading: int = 2
    refuse: grpc.StatusCode | None = None
    told: list[weights_pb2.SetTargetRequest] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    called: int = 0

    def __post_init__(self) -> None:
        self.open.set()

    async def SetTarget(  # noqa: N802  # gRPC's name
        self, request: weights_pb2.SetTargetRequest, context: Any
    ) -> weights_pb2.SetTargetResponse:
        if self.refuse is not None:
            await context.abort(self.refuse, "no")
        self.called += 1
        await self.open.wait()
        self.told.append(request)
        return weights_pb2.SetTargetResponse()

    async def GetState(  # noqa: N802  # gRPC's name
        self, request: weights_pb2.GetStateRequest, context: Any
    ) -> State:
        if not self.told:
            return State(phase=State.PHASE_LOADING)
        self.loading -= 1
        target = self.told[-1]
        if self.loading >= 0:
            return State(phase=State.PHASE_LOADING, target=target.active)
        return State(
            phase=self.ends, active=target.active, resident=target.resident, target=target.active, error="no room"
        )


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[str]:
    server = grpc.aio.server()
    weights_pb2_grpc.add_WeightsServicer_to_server(service, server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@pytest.fixture
async def aim(toy: RunFolder) -> AsyncIterator[Aim]:
    made = Aim("attacker", WeightsLedger(toy.root))
    yield made
    await made.close()


async def test_it_waits_until_the_service_has_it(aim: Aim, toy: RunFolder) -> None:
    service = Service()
    async with serving(service) as address:
        await aim.connect(address)
        active = await aim.set(A1, [A0, A1, A0])
    assert active.digest == WeightsLedger(toy.root).digest(A1)
    (target,) = service.told
    assert [revision.name for revision in target.resident] == [A0]
    assert service.loading < 0


async def test_a_failure_is_told_with_its_reason(aim: Aim) -> None:
    async with serving(Service(ends=State.PHASE_FAILED)) as address:
        await aim.connect(address)
        with pytest.raises(TargetFailed, match="the attacker can't serve toy/attacker/000000: no room"):
            await aim.set(A0)


async def test_a_refusal_is_told(aim: Aim) -> None:
    async with serving(Service(refuse=grpc.StatusCode.INVALID_ARGUMENT)) as address:
        await aim.connect(address)
        with pytest.raises(TargetFailed, match="the attacker refuses its target: INVALID_ARGUMENT: no"):
            await aim.set(D0)


async def test_a_service_that_comes_back_is_told_again(aim: Aim) -> None:
    """It forgot its target while it was loading: whoever waits goes on waiting, and gets it."""
    service = Service(loading=10**6)
    async with serving(service) as address:
        await aim.connect(address)
        waiting = asyncio.create_task(aim.set(A0))
        while not service.told:
            await asyncio.sleep(0)
        service.told.clear()
        service.loading = 0
        await aim.connect(address)
        await waiting
    assert [target.active.name for target in service.told] == [A0]


async def test_an_old_target_never_comes_after_a_new_one(aim: Aim) -> None:
    """The service is back and is just being told its old target when the next revision is there."""
    service = Service(loading=0)
    async with serving(service) as address:
        await aim.connect(address)
        await aim.set(A0)
        service.open.clear()
        again = asyncio.create_task(aim.connect(address))
        while service.called < 2:
            await asyncio.sleep(0.001)
        newer = asyncio.create_task(aim.set(A1))
        await asyncio.sleep(0)
        service.open.set()
        await asyncio.gather(again, newer)
    assert [target.active.name for target in service.told] == [A0, A0, A1]
