"""What a server counts about its calls. One registry per server, so that several live in one process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector

from sparring.serving.interceptor import Call, Interceptor, outcome

SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
"""Upper bounds of the buckets of every duration."""
_METHOD = ("grpc_type", "grpc_service", "grpc_method")


def new_registry() -> CollectorRegistry:
    """A registry with the process's own numbers: memory, CPU seconds, open files, garbage collection."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class CallMetrics(Interceptor):
    """Counts calls under the names of grpc-prometheus, so that its dashboards and alerts fit."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._started = Counter("grpc_server_started", "Calls begun.", _METHOD, registry=registry)
        self._handled = Counter("grpc_server_handled", "Calls ended.", (*_METHOD, "grpc_code"), registry=registry)
        self._received = Counter("grpc_server_msg_received", "Messages received.", _METHOD, registry=registry)
        self._sent = Counter("grpc_server_msg_sent", "Messages sent.", _METHOD, registry=registry)
        self._seconds = Histogram(
            "grpc_server_handling_seconds", "Time from start to end.", _METHOD, buckets=SECONDS, registry=registry
        )

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        labels = (call.kind, call.service, call.name)
        start = time.perf_counter()
        self._started.labels(*labels).inc()
        self._received.labels(*labels).inc(0 if call.request is None else 1)
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._handled.labels(*labels, _camel(outcome(call, error).name)).inc()
            self._sent.labels(*labels).inc(call.sent)
            self._seconds.labels(*labels).observe(time.perf_counter() - start)


def _camel(code: str) -> str:
    """`RESOURCE_EXHAUSTED` as grpc-prometheus writes it: `ResourceExhausted`; OK stays OK."""
    return code if code == "OK" else code.title().replace("_", "")
