"""HTTP requests go the way of gRPC calls: counted, logged, known, in time, and told in full what was wrong.

The interceptors are the gRPC server's own, so that both count in the same metrics and log the same lines. A request is
read whole before it is looked at, and given up when its caller leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import structlog
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparring.serving.config import ServingConfig
from sparring.serving.errors import CallerGone, QueueFull, ShuttingDown, TooLarge, UnknownPath
from sparring.serving.interceptor import Call, Interceptor
from sparring.serving.standards.dialect import OPEN_INFERENCE, Dialect
from sparring.serving.statuses import Fault, Rules, describe

PROBES = "/v2/health/"
"""As with gRPC, probes carry no credential and are no traffic."""
_FULL_SECONDS = 1.0
"""When to come again if the server is busy with as many requests as it takes."""

_log = structlog.get_logger(__name__)


class HttpContext:
    """What the interceptors ask of a gRPC call's context, for an HTTP request."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.fault: Fault | None = None

    def peer(self) -> str:
        return "http:{}:{}".format(*self._scope.get("client") or ("?", "?"))

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._scope["headers"]]

    def auth_context(self) -> dict[str, list[bytes]]:
        """No names: certificates are checked, but uvicorn does not pass on whose they are."""
        return {}

    def time_remaining(self) -> float | None:
        """HTTP has no deadlines, so the server's holds."""
        return None

    def code(self) -> grpc.StatusCode | None:
        return self.fault.code if self.fault else None

    def details(self) -> str:
        return self.fault.message if self.fault else ""


class Gateway:
    """ASGI middleware.

    Args:
        app: what is behind it. It must let exceptions through.
        config: the limits.
        outer: interceptors that see what a request ended with.
        inner: interceptors whose exceptions the caller is told.
        rules: statuses of exceptions.
        dialects: all that are spoken.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        config: ServingConfig,
        outer: Sequence[Interceptor],
        inner: Sequence[Interceptor],
        rules: Rules,
        dialects: Sequence[Dialect],
    ) -> None:
        self._app, self._most_bytes, self._rules, self._dialects = app, config.max_message_bytes, rules, dialects
        self._outer, self._inner = outer, (*inner, Capacity(config.max_calls))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        probe = scope["path"].startswith(PROBES)
        dialect = next((one for one in self._dialects if scope["path"].startswith(one.prefix)), OPEN_INFERENCE)
        route = _route(scope)
        context = HttpContext(scope)
        call = Call(f"/{dialect.name}/{route.name if route else 'unknown'}", "unary", None, context)
        async with _inside(() if probe else self._outer, call):
            try:
                async with _inside(() if probe else self._inner, call):
                    await self._serve(route, scope, receive, send)
                call.sent = 1
            except Exception as error:  # an RPC boundary: whatever happened, the caller gets a status
                context.fault = self._describe(error, call)
            except asyncio.CancelledError:  # by uvicorn, and no one else
                context.fault = describe(ShuttingDown("the server ends; ask again"), self._rules)
            if context.fault is not None:
                await dialect.tell(context.fault)(scope, receive, send)

    def _describe(self, error: Exception, call: Call) -> Fault:
        fault = describe(error, self._rules)
        if fault.error_id:
            _log.exception("call failed", method=call.method, error_id=fault.error_id)
        return fault

    async def _serve(self, route: Route | None, scope: Scope, receive: Receive, send: Send) -> None:
        if route is None:
            raise UnknownPath(f"there is no {scope['method']} {scope['path']}")
        body = await _read(receive, self._most_bytes)
        await _attended(self._app(scope, _replay(body), send), receive)


class Capacity(Interceptor):
    """Refuses requests beyond so many in flight, as gRPC's server does its calls.

    Args:
        most: of them.
    """

    def __init__(self, most: int) -> None:
        self._most, self._running = most, 0

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        if self._running >= self._most:
            raise QueueFull(f"{self._running} requests are in flight already", _FULL_SECONDS)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


@asynccontextmanager
async def _inside(interceptors: Sequence[Interceptor], call: Call) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for interceptor in interceptors:
            await stack.enter_async_context(interceptor.around(call))
        yield


def _route(scope: Scope) -> Route | None:
    """The route that a request will take; its name is that of the endpoint."""
    routes: Sequence[BaseRoute] = scope["app"].routes
    return next((r for r in routes if isinstance(r, Route) and r.matches(scope)[0] is Match.FULL), None)


async def _read(receive: Receive, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone("the caller left before its request was read")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise TooLarge(f"the body has more than {most} bytes")
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes) -> Receive:
    """What has been read, for an app that wants to read it; it never learns that the caller left."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    return receive


async def _attended(work: Awaitable[None], receive: Receive) -> None:
    """Do `work`, for as long as its caller stays.

    Raises:
        CallerGone: it did not.
    """
    task, left = asyncio.ensure_future(work), asyncio.ensure_future(_departure(receive))
    try:
        await asyncio.wait((task, left), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise CallerGone("the caller left before it had its answer")
        await task
    finally:
        left.cancel()
        if task.cancel():
            await asyncio.wait((task,))


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
