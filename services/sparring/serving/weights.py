"""The Weights service: what the conductor sees of a reconciler. Only admins get here."""

from __future__ import annotations

from sparring.ledgers.records import RevisionName
from sparring.serving.interceptor import Context
from sparring.serving.reconciler import Phase, Pin, Reconciler
from sparring.v1 import weights_pb2, weights_pb2_grpc
from sparring.v1.revision_pb2 import Revision

SERVICE = weights_pb2.DESCRIPTOR.services_by_name["Weights"]

_PHASES = {
    Phase.READY: weights_pb2.GetStateResponse.PHASE_READY,
    Phase.LOADING: weights_pb2.GetStateResponse.PHASE_LOADING,
    Phase.FAILED: weights_pb2.GetStateResponse.PHASE_FAILED,
}


class WeightsServicer(weights_pb2_grpc.WeightsServicer):
    """Speaks for `reconciler`."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    async def SetTarget(  # noqa: N802  # gRPC's name
        self, request: weights_pb2.SetTargetRequest, context: Context
    ) -> weights_pb2.SetTargetResponse:
        await self._reconciler.aim(_pin(request.active), [_pin(revision) for revision in request.resident])
        return weights_pb2.SetTargetResponse()

    async def GetState(  # noqa: N802  # gRPC's name
        self, request: weights_pb2.GetStateRequest, context: Context
    ) -> weights_pb2.GetStateResponse:
        state = self._reconciler.state
        return weights_pb2.GetStateResponse(
            phase=_PHASES[state.phase],
            active=to_revision(state.active) if state.active else None,
            resident=[to_revision(pin) for pin in state.resident],
            target=to_revision(state.target) if state.target else None,
            error=state.error,
        )


def to_revision(pin: Pin) -> Revision:
    """The message that names `pin`."""
    return Revision(name=pin.name, digest=pin.digest)


def _pin(revision: Revision) -> Pin:
    return Pin(RevisionName(revision.name), revision.digest)
