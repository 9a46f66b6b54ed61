"""Tells one service what to serve and waits until it does; says it again when the service is back from a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
import structlog

from sparring.client.channel import Endpoint
from sparring.ledgers.records import RevisionName
from sparring.ledgers.weights import WeightsLedger
from sparring.ops.errors import OpsError
from sparring.v1 import revision_pb2, weights_pb2, weights_pb2_grpc

_POLL_SECONDS = 0.05
_CALL_SECONDS = 10.0
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_log = structlog.get_logger(__name__)


class TargetFailed(OpsError):
    """A service can't load what it was told to serve."""


def pin(ledger: WeightsLedger, name: RevisionName) -> revision_pb2.Revision:
    """The revision with the digest of its manifest, so that nothing else can be meant."""
    return revision_pb2.Revision(name=name, digest=ledger.digest(name))


class Aim:
    """The target of one service.

    Args:
        service: its name, for messages.
        ledger: has every revision that is ever named.
    """

    def __init__(self, service: str, ledger: WeightsLedger) -> None:
        self._service, self._ledger = service, ledger
        self._channel: grpc.aio.Channel | None = None
        self._weights: weights_pb2_grpc.WeightsStub | None = None
        self._target: weights_pb2.SetTargetRequest | None = None
        self._sending = asyncio.Lock()

    async def connect(self, address: str) -> None:
        """Where the service listens. Called each time it has started; the last target is sent again."""
        if self._channel is None:
            self._channel = Endpoint(address).open_aio()
            self._weights = weights_pb2_grpc.WeightsStub(self._channel)
        if self._target is not None:
            _log.info("target sent again", service=self._service, active=self._target.active.name)
            await self._send()

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close()

    async def set(self, active: RevisionName, resident: Sequence[RevisionName] = ()) -> revision_pb2.Revision:
        """Have the service serve `active` to those who name nothing, and `resident` besides; wait until it does.

        Raises:
            TargetFailed: it says that it can't.
        """
        others = [pin(self._ledger, name) for name in dict.fromkeys(resident) if name != active]
        target = weights_pb2.SetTargetRequest(active=pin(self._ledger, active), resident=others)
        self._target = target
        await self._send()
        await self._arrive(target)
        return target.active

    async def _send(self) -> None:
        """Tell the service its target. One call at a time, and always the latest: an older one must not come after."""
        assert self._weights is not None, f"{self._service} is not connected"
        while True:
            async with self._sending:
                assert self._target is not None
                try:
                    await self._weights.SetTarget(self._target, timeout=_CALL_SECONDS)
                    return
                except grpc.aio.AioRpcError as error:
                    self._pass(error)
            await asyncio.sleep(_POLL_SECONDS)

    async def _arrive(self, target: weights_pb2.SetTargetRequest) -> None:
        wanted = {target.active.digest, *(revision.digest for revision in target.resident)}
        while True:
            state = await self._state()
            if state is not None and state.target == target.active:
                if state.phase == weights_pb2.GetStateResponse.PHASE_FAILED:
                    raise TargetFailed(f"the {self._service} can't serve {target.active.name}: {state.error}")
                held = {state.active.digest, *(revision.digest for revision in state.resident)}
                if state.phase == weights_pb2.GetStateResponse.PHASE_READY and wanted <= held:
                    return
            await asyncio.sleep(_POLL_SECONDS)

    async def _state(self) -> weights_pb2.GetStateResponse | None:
        """What the service says of itself; None while it is away."""
        assert self._weights is not None, f"{self._service} is not connected"
        try:
            return await self._weights.GetState(weights_pb2.GetStateRequest(), timeout=_CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            self._pass(error)
            return None

    def _pass(self, error: grpc.aio.AioRpcError) -> None:
        """A service that is away is waited for: the supervisor decides for how long.

        Raises:
            TargetFailed: it is there and says no.
        """
        if error.code() not in _AWAY:
            raise TargetFailed(f"the {self._service} refuses its target: {error.code().name}: {error.details()}")
