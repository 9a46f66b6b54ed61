"""What a service says to callers who speak a standard instead of our contract."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady
from kserve.metrics import POST_HIST_TIME, PRE_HIST_TIME, PREDICT_HIST_TIME
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from prometheus_client import CollectorRegistry

from sparring.serving.config import ServingConfig
from sparring.serving.interceptor import Interceptor
from sparring.serving.runner import Service
from sparring.serving.standards.dialect import OPEN_INFERENCE, Dialect
from sparring.serving.standards.model import StandardModel
from sparring.serving.standards.plane import Plane
from sparring.serving.standards.rest import RestServer, application
from sparring.serving.standards.servicer import DESCRIPTOR, Servicer
from sparring.serving.statuses import Rule, Rules

RULES: Rules = {
    InvalidInput: Rule(grpc.StatusCode.INVALID_ARGUMENT),
    ModelNotFound: Rule(grpc.StatusCode.NOT_FOUND),
    ModelNotReady: Rule(grpc.StatusCode.UNAVAILABLE),
    ServerNotReady: Rule(grpc.StatusCode.UNAVAILABLE),
    # JSON can hold half of a character (`"\ud800"`), and nothing that we say does.
    UnicodeEncodeError: Rule(grpc.StatusCode.INVALID_ARGUMENT),
}
"""How KServe's exceptions are told, and what comes of its taking any JSON."""


class Standards:
    """One model in the terms of KServe, and what else it speaks over HTTP.

    Args:
        model: answers.
        dialects: beside the Open Inference Protocol.
    """

    rules = RULES

    def __init__(self, model: StandardModel, dialects: Sequence[Dialect] = ()) -> None:
        self._plane = Plane(model)
        self._dialects = (OPEN_INFERENCE, *dialects)

    def count_in(self, registry: CollectorRegistry) -> None:
        """Show KServe's own durations beside ours; they belong to the process."""
        for histogram in (PRE_HIST_TIME, PREDICT_HIST_TIME, POST_HIST_TIME):
            registry.register(histogram)

    def open_inference(self) -> Service:
        """The Open Inference Protocol over gRPC."""
        servicer = Servicer(self._plane)
        return Service(DESCRIPTOR, lambda server: add_GRPCInferenceServiceServicer_to_server(servicer, server))

    def rest(
        self, config: ServingConfig, *, outer: Sequence[Interceptor], inner: Sequence[Interceptor], rules: Rules
    ) -> RestServer:
        """What is spoken over HTTP; see `Gateway` for the arguments."""
        app = application(self._plane, self._dialects, config=config, outer=outer, inner=inner, rules=rules)
        return RestServer(app, config)
