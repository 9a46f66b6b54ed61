"""Talk to a referee. Needs neither torch nor numpy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Protocol, TypeVar

import grpc

from sparring.client.channel import Endpoint
from sparring.client.errors import told
from sparring.v1 import referee_pb2, referee_pb2_grpc

EventT_co = TypeVar("EventT_co", covariant=True)


class Call(Protocol[EventT_co]):
    """What gRPC's blocking stub returns for a stream of events."""

    def __iter__(self) -> Iterator[EventT_co]: ...

    def cancel(self) -> bool: ...


class Client:
    """A blocking client; use it in a `with` block.

    Every method raises `Refused` where the service says no. Who stops listening cancels the call.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._metadata = endpoint.metadata
        self._channel = endpoint.open()
        self._referee = referee_pb2_grpc.RefereeStub(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._channel.close()

    def play(self, request: referee_pb2.PlayRequest, *, seconds: float) -> Iterator[referee_pb2.PlayResponse]:
        """Play one match within `seconds`; the last event is `played`."""
        return _listen(self._referee.Play(request, timeout=seconds, metadata=self._metadata))

    def check(self, request: referee_pb2.CheckRequest, *, seconds: float) -> Iterator[referee_pb2.CheckResponse]:
        """Measure a defender within `seconds`; the last event is `report`."""
        return _listen(self._referee.Check(request, timeout=seconds, metadata=self._metadata))


class AioClient:
    """The same for asyncio; use it in an `async with` block."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._metadata = endpoint.metadata
        self._channel = endpoint.open_aio()
        self._referee = referee_pb2_grpc.RefereeStub(self._channel)

    async def __aenter__(self) -> AioClient:
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._channel.close()

    def play(self, request: referee_pb2.PlayRequest, *, seconds: float) -> AsyncIterator[referee_pb2.PlayResponse]:
        """Play one match within `seconds`; the last event is `played`."""
        return _listen_aio(self._referee.Play(request, timeout=seconds, metadata=self._metadata))

    def check(self, request: referee_pb2.CheckRequest, *, seconds: float) -> AsyncIterator[referee_pb2.CheckResponse]:
        """Measure a defender within `seconds`; the last event is `report`."""
        return _listen_aio(self._referee.Check(request, timeout=seconds, metadata=self._metadata))


def _listen(call: Call[EventT_co]) -> Iterator[EventT_co]:
    try:
        with told():
            yield from call
    finally:
        call.cancel()


async def _listen_aio(call: grpc.aio.UnaryStreamCall[object, EventT_co]) -> AsyncIterator[EventT_co]:
    try:
        with told():
            async for event in call:
                yield event
    finally:
        call.cancel()
