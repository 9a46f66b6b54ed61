"""KServe's endpoints of the Open Inference Protocol over HTTP, with versions.

KServe's own refuse a version; ours come first under the paths that have one. The name of a revision has slashes, which
may be written as they are.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request, Response
from kserve.constants.constants import V2_ROUTE_PREFIX, PredictorProtocol
from kserve.protocol.rest.v2_datamodels import (
    InferenceRequest,
    InferenceResponse,
    ModelMetadataResponse,
    ModelReadyResponse,
)
from kserve.protocol.rest.v2_endpoints import V2Endpoints, register_v2_endpoints

from sparring.serving.standards.plane import Fixed, Plane

_VERSION = "/models/{model_name}/versions/{model_version:path}"


class VersionedEndpoints(V2Endpoints):
    """What may be asked of one version."""

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane)
        self._plane = plane

    async def model_metadata(self, model_name: str, model_version: str | None = None) -> ModelMetadataResponse:
        self._plane.require(model_name, model_version or "")
        return await super().model_metadata(model_name)

    async def model_ready(self, model_name: str, model_version: str | None = None) -> ModelReadyResponse:
        self._plane.require(model_name, model_version or "")
        return await super().model_ready(model_name)

    async def infer(
        self,
        raw_request: Request,
        raw_response: Response,
        model_name: str,
        request_body: InferenceRequest | bytes,
        model_version: str | None = None,
    ) -> InferenceResponse | Response:
        protocol, headers = PredictorProtocol.REST_V2.value, dict(raw_request.headers)
        request, _ = self._plane.decode(request_body, headers, protocol, model_name)
        request.model_version = model_version
        return await super().infer(raw_request, raw_response, model_name, request)


def register(app: FastAPI, plane: Plane) -> None:
    """Add the endpoints to `app`."""
    versioned = VersionedEndpoints(plane)
    router = APIRouter(prefix=V2_ROUTE_PREFIX)
    router.add_api_route(f"{_VERSION}/ready", versioned.model_ready, response_model=ModelReadyResponse)
    router.add_api_route(f"{_VERSION}/infer", versioned.infer, response_model=None, methods=["POST"])
    router.add_api_route(_VERSION, versioned.model_metadata, response_model=ModelMetadataResponse)
    app.include_router(router)
    register_v2_endpoints(app, plane, Fixed(plane.model_registry))
