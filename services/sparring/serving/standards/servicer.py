"""The Open Inference Protocol over gRPC, beside the product's own services and behind the same interceptors."""

from __future__ import annotations

from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.servicer import InferenceServicer

from sparring.serving.interceptor import Context
from sparring.serving.standards.plane import Fixed, Plane

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]


class Servicer(InferenceServicer):
    """KServe's, with versions."""

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane, Fixed(plane.model_registry))
        self._plane = plane

    async def ModelReady(  # noqa: N802  # gRPC's name
        self, request: pb.ModelReadyRequest, context: Context
    ) -> pb.ModelReadyResponse:
        if request.version:
            self._plane.require(request.name, request.version)
        return await super().ModelReady(request, context)

    async def ModelMetadata(  # noqa: N802  # gRPC's name
        self, request: pb.ModelMetadataRequest, context: Context
    ) -> pb.ModelMetadataResponse:
        if request.version:
            self._plane.require(request.name, request.version)
        response = await super().ModelMetadata(request, context)
        response.versions.extend((await self._plane.model_metadata(request.name))["versions"])
        return response
