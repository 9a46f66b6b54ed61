"""The standards that are spoken over HTTP: KServe's endpoints and further dialects, by uvicorn in the runner's loop.

uvicorn would take the process's signals and end when it likes; here the runner says when.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from sparring.serving.config import ServingConfig, Tls
from sparring.serving.errors import InvalidRequest, Violation
from sparring.serving.interceptor import Interceptor
from sparring.serving.standards.dialect import Dialect
from sparring.serving.standards.endpoints import register
from sparring.serving.standards.gateway import Gateway
from sparring.serving.standards.plane import Plane
from sparring.serving.standards.violations import to_violation
from sparring.serving.statuses import Rules
from sparring.serving.tls import context

_BODY = {(0, "body"), (1, "InferenceRequest")}


def application(
    plane: Plane,
    dialects: Sequence[Dialect],
    *,
    config: ServingConfig,
    outer: Sequence[Interceptor],
    inner: Sequence[Interceptor],
    rules: Rules,
) -> FastAPI:
    """The app that speaks `dialects`; see `Gateway` for the arguments."""
    app = _Flat(openapi_url=None)
    register(app, plane)
    for dialect in dialects:
        if dialect.router is not None:
            app.include_router(dialect.router)
    app.add_exception_handler(RequestValidationError, _refuse_fields)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_middleware(Gateway, config=config, outer=outer, inner=inner, rules=rules, dialects=dialects)
    return app


class _Flat(FastAPI):
    """An app that shows its routes, for the gateway to know which one a request will take.

    FastAPI's own keeps the routers that are included, and their routes to itself.
    """

    def include_router(self, router: APIRouter, **settings: object) -> None:
        assert not settings, "routers are taken as they are"
        self.router.routes.extend(router.routes)


def _refuse_fields(request: Request, error: Exception) -> NoReturn:
    """Bad fields, for the gateway to tell. Where a body may also be bytes, that it is none is no news."""
    assert isinstance(error, RequestValidationError)
    raise InvalidRequest(
        [
            Violation("", f"it is not JSON: {one['ctx']['error']} at character {one['loc'][1]}", one["type"])
            if one["type"] == "json_invalid"
            else to_violation({**one, "loc": _location(one["loc"])})
            for one in error.errors()
            if one["loc"] != ("body", "bytes")
        ]
    ) from error


def _location(location: Sequence[int | str]) -> list[int | str]:
    """Of a field, without what FastAPI puts before it."""
    return [part for index, part in enumerate(location) if (index, part) not in _BODY]


def _refuse(request: Request, error: Exception) -> NoReturn:
    assert isinstance(error, HTTPException)
    raise InvalidRequest([Violation("", str(error.detail), "http")]) from error


class RestServer:
    """Serves an app on a port of its own.

    Args:
        app: what to serve.
        config: where, how encrypted, and how long requests in flight may go on at the end.
    """

    def __init__(self, app: FastAPI, config: ServingConfig) -> None:
        self._config = config
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=math.ceil(config.drain_seconds),
                ssl_context_factory=_factory(config.tls) if config.tls else None,
            )
        )

    async def start(self) -> int:
        """Listen; the port."""
        listener = listen(self._config.host, self._config.rest_port or 0)
        self._task = asyncio.create_task(self._server.serve([listener]), name="rest")
        await self._server.listening.wait()
        return int(listener.getsockname()[1])

    async def stop(self) -> None:
        """Refuse new connections, let requests in flight end within the time for it, and close the port."""
        self._server.should_exit = True
        await self._task


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; its connections send what they have at once.

    Responses are written in two parts, and asyncio sees no TCP in a socket that Python made: the second part would wait
    until the caller acknowledges the first, 40 ms later.

    Raises:
        OSError: the port is taken.
    """
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class _Server(uvicorn.Server):
    """uvicorn, which leaves signals to others and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _factory(tls: Tls) -> Callable[[uvicorn.Config, Callable[[], ssl.SSLContext]], ssl.SSLContext]:
    """uvicorn's way to take a context that is made already."""
    made = context(tls)
    return lambda config, default: made
