"""How a protocol over HTTP tells what went wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from fastapi import APIRouter, Response

from sparring.serving.statuses import Fault

_STATUSES = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    # What a caller can ask for over HTTP has one precondition: that its revision is here.
    grpc.StatusCode.FAILED_PRECONDITION: 404,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
}
"""HTTP statuses; of all other codes it is 500."""
_TOO_LARGE = 413


@dataclass(frozen=True)
class Dialect:
    """A protocol over HTTP.

    Attributes:
        name: in metrics and logs, where a gRPC service's would be.
        prefix: of its paths.
        body: what it answers in place of a result, as JSON.
        router: its routes, where KServe does not bring them.
    """

    name: str
    prefix: str
    body: Callable[[Fault], Mapping[str, Any]]
    router: APIRouter | None = None

    def tell(self, fault: Fault) -> Response:
        """The response that says so; in ASCII, because it may quote what no other encoding holds."""
        body = json.dumps(self.body(fault))
        return Response(body, http_status(fault), dict(_headers(fault)), media_type="application/json")


OPEN_INFERENCE = Dialect("rest.v2", "/v2", lambda fault: {"error": fault.message})
"""The Open Inference Protocol."""


def http_status(fault: Fault) -> int:
    """The HTTP status that says the same as a gRPC code."""
    return _TOO_LARGE if fault.reason == "TOO_LARGE" else _STATUSES.get(fault.code, 500)


def _headers(fault: Fault) -> Mapping[str, str]:
    if fault.code is grpc.StatusCode.UNAUTHENTICATED:
        return {"WWW-Authenticate": "Bearer"}
    if fault.retry_seconds is not None:
        return {"Retry-After": str(math.ceil(fault.retry_seconds))}
    return {}
