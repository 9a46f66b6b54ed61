"""One runner for every service: ports, interceptors, health, metrics, and an end without losing a call.

The product's services, reflection and health are on the main port, encrypted if configured; health is also on a
plaintext port of its own, because Kubernetes' gRPC probes speak no TLS. Callers who speak a standard instead of the
product's contract are served on the main port and on one for HTTP, if that is configured.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry, start_http_server

from sparring.serving.addresses import Addresses
from sparring.serving.authentication import Authentication
from sparring.serving.config import ServingConfig
from sparring.serving.deadlines import Deadlines
from sparring.serving.interceptor import Interceptor
from sparring.serving.logs import CallLog, configure
from sparring.serving.mapping import Mapping
from sparring.serving.metrics import CallMetrics
from sparring.serving.reconciler import Reconciler
from sparring.serving.statuses import RULES, Rules
from sparring.serving.tls import credentials
from sparring.serving.validation import Validation
from sparring.serving.weights import SERVICE as WEIGHTS
from sparring.serving.weights import WeightsServicer
from sparring.v1.weights_pb2_grpc import add_WeightsServicer_to_server

if TYPE_CHECKING:  # KServe takes a second and 40 MB to import: only where its standards are spoken
    from sparring.serving.standards.rest import RestServer
    from sparring.serving.standards.standards import Standards

_log = structlog.get_logger(__name__)

PING_SECONDS = 10
"""Callers may ping this often while they wait; gRPC's default of 5 minutes hangs up on our own client."""
SWITCH_SECONDS = 0.0005
"""How long a thread that computes may keep the loop waiting, which only passes on what has arrived. Python's default is
ten times as long, and the loop wakes for every message."""


@dataclass(frozen=True)
class Service:
    """A service of the contract and how its implementation joins a server."""

    descriptor: ServiceDescriptor
    join: Callable[[grpc.aio.Server], None]


async def serve(
    config: ServingConfig,
    services: Sequence[Service],
    *,
    registry: CollectorRegistry,
    reconciler: Reconciler | None = None,
    rules: Rules | None = None,
    standards: Standards | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then refuse what is new, finish what is in flight, and return.

    Args:
        config: where and how.
        services: the product.
        registry: what /metrics shows.
        reconciler: adds the Weights service; health is NOT_SERVING until it is ready.
        rules: statuses of the room's own exceptions.
        standards: what else is spoken, as far as `config` wants it.
    """
    configure(config.log_level)
    sys.setswitchinterval(SWITCH_SECONDS)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = Runner(config, services, registry=registry, reconciler=reconciler, rules=rules, standards=standards)
    await runner.start()
    await stop.wait()
    await runner.drain()


class Runner:
    """A server with its ports. See `serve` for the arguments."""

    def __init__(
        self,
        config: ServingConfig,
        services: Sequence[Service],
        *,
        registry: CollectorRegistry,
        reconciler: Reconciler | None = None,
        rules: Rules | None = None,
        standards: Standards | None = None,
    ) -> None:
        if config.speaks_standards and standards is None:
            raise ValueError("this service speaks no standards: unset serving.open_inference and serving.rest_port")
        self._credentials = credentials(config.tls) if config.tls else None
        weights = [_weights(reconciler)] if reconciler else []
        spoken = [standards.open_inference()] if standards and config.open_inference else []
        self._config, self._services = config, (*services, *weights, *spoken)
        self._reconciler = reconciler
        self._registry = registry
        self._health = health.aio.HealthServicer()
        around = _Around(config, registry, {**RULES, **(standards.rules if standards else {}), **(rules or {})})
        self._main = _server(config, around.grpc)
        self._rest = around.rest(config, standards) if standards and config.rest_port is not None else None
        self._probes = grpc.aio.server()
        if standards:
            standards.count_in(registry)

    async def start(self) -> Addresses:
        """Listen, and write the address file. Health follows when something is served."""
        await self._report(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._join()
        self._metrics, self._metrics_thread = start_http_server(
            self._config.metrics_port, self._config.host, self._registry
        )
        addresses = Addresses(
            grpc=self._at(self._listen()),
            health=self._at(self._probes.add_insecure_port(self._at(self._config.health_port))),
            metrics=self._at(self._metrics.server_port),
            rest=self._at(await self._rest.start()) if self._rest else None,
        )
        await self._main.start()
        await self._probes.start()
        self._readiness = asyncio.create_task(self._follow_readiness())
        if self._config.address_file is not None:
            addresses.write(Path(self._config.address_file))
        _log.info("listening", **addresses.model_dump())
        return addresses

    def _join(self) -> None:
        for service in self._services:
            service.join(self._main)
        for server in (self._main, self._probes):
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = [service.descriptor.full_name for service in self._services]
        reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._main)

    def _at(self, port: int) -> str:
        host = self._config.host
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _listen(self) -> int:
        address = self._at(self._config.port)
        if self._credentials is None:
            return self._main.add_insecure_port(address)
        return self._main.add_secure_port(address, self._credentials)

    async def _follow_readiness(self) -> None:
        if self._reconciler is not None:
            await self._reconciler.ready.wait()
        await self._report(health_pb2.HealthCheckResponse.SERVING)

    async def _report(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", *(service.descriptor.full_name for service in self._services)):
            await self._health.set(name, status)

    async def drain(self) -> None:
        """Say NOT_SERVING, refuse new calls, let those in flight end within the time for it, and close the ports."""
        _log.info("draining", seconds=self._config.drain_seconds)
        self._readiness.cancel()
        await self._health.enter_graceful_shutdown()
        await asyncio.gather(self._main.stop(self._config.drain_seconds), *([self._rest.stop()] if self._rest else []))
        await self._probes.stop(0)
        await asyncio.to_thread(self._metrics.shutdown)
        self._metrics.server_close()
        self._metrics_thread.join()
        _log.info("stopped")


class _Around:
    """What surrounds every call, over gRPC and HTTP alike."""

    def __init__(self, config: ServingConfig, registry: CollectorRegistry, rules: Rules) -> None:
        self._rules = rules
        self._outer: list[Interceptor] = [CallMetrics(registry), CallLog()]
        self._inner: list[Interceptor] = [
            Authentication(config.callers, administrative=frozenset({WEIGHTS.full_name})),
            Deadlines(config.deadline_seconds),
        ]

    @property
    def grpc(self) -> list[Interceptor]:
        """From the outermost in."""
        return [*self._outer, Mapping(self._rules), *self._inner, Validation()]

    def rest(self, config: ServingConfig, standards: Standards) -> RestServer:
        return standards.rest(config, outer=self._outer, inner=self._inner, rules=self._rules)


def _server(config: ServingConfig, interceptors: Sequence[Interceptor]) -> grpc.aio.Server:
    options: list[tuple[str, int]] = [
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.max_send_message_length", config.max_message_bytes),
        ("grpc.so_reuseport", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_SECONDS * 1000),
    ]
    if config.max_connection_age_seconds is not None:
        options.append(("grpc.max_connection_age_ms", 1000 * config.max_connection_age_seconds))
        options.append(("grpc.max_connection_age_grace_ms", round(1000 * config.deadline_seconds)))
    return grpc.aio.server(interceptors=interceptors, options=options, maximum_concurrent_rpcs=config.max_calls)


def _weights(reconciler: Reconciler) -> Service:
    return Service(WEIGHTS, lambda server: add_WeightsServicer_to_server(WeightsServicer(reconciler), server))
