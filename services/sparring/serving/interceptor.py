"""What all interceptors have in common: each is a context manager around a call, whatever the call's kind.

The first interceptor of a server is the outermost. Calls of the health service go past all of them: probes carry
no credential and are no traffic.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import grpc
from google.protobuf.message import Message

Context: TypeAlias = grpc.aio.ServicerContext
HEALTH = "/grpc.health."
LATE_SECONDS = 0.05
"""gRPC cancels a call at its deadline by a timer of its own, which may be this much early."""


@dataclass
class Call:
    """One call on its way through the server.

    Attributes:
        method: `/package.Service/Method`.
        kind: as grpc-prometheus names it.
        request: the message; None where the caller streams.
        context: gRPC's.
        sent: messages sent so far.
    """

    method: str
    kind: Literal["unary", "client_stream", "server_stream", "bidi_stream"]
    request: Message | None
    context: Context
    sent: int = 0

    @property
    def service(self) -> str:
        return self.method.split("/")[1]

    @property
    def name(self) -> str:
        """The method without its service."""
        return self.method.split("/")[2]


class Interceptor(grpc.aio.ServerInterceptor, ABC):
    """Surrounds every call with `around`."""

    @abstractmethod
    def around(self, call: Call) -> AbstractAsyncContextManager[None]:
        """Entered before the call's method runs; sees, and may replace, the exception that ends it."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        handler = await continuation(details)
        if handler is None or details.method.startswith(HEALTH):
            return handler
        return self._wrapped(handler, details.method)

    def _wrapped(self, handler: grpc.RpcMethodHandler, method: str) -> grpc.RpcMethodHandler:
        kind = _KINDS[handler.request_streaming, handler.response_streaming]
        behaviour = getattr(handler, _BEHAVIOURS[kind])

        def call(request: Any, context: Context) -> Call:
            return Call(method, kind, None if handler.request_streaming else request, context)

        async def single(request: Any, context: Context) -> Any:
            current = call(request, context)
            async with self.around(current):
                response = await behaviour(request, context)
                current.sent = 1
                return response

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            current = call(request, context)
            async with self.around(current), aclosing(behaviour(request, context)) as responses:
                async for response in responses:
                    current.sent += 1
                    yield response

        make = getattr(grpc, f"{_BEHAVIOURS[kind]}_rpc_method_handler")
        wrapped = stream if handler.response_streaming else single
        rewrapped: grpc.RpcMethodHandler = make(
            wrapped,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )
        return rewrapped


_KINDS: dict[tuple[bool, bool], Literal["unary", "client_stream", "server_stream", "bidi_stream"]] = {
    (False, False): "unary",
    (True, False): "client_stream",
    (False, True): "server_stream",
    (True, True): "bidi_stream",
}
_BEHAVIOURS = {
    "unary": "unary_unary",
    "client_stream": "stream_unary",
    "server_stream": "unary_stream",
    "bidi_stream": "stream_stream",
}


def outcome(call: Call, error: BaseException | None) -> grpc.StatusCode:
    """The status that a call ended with; `error` is what ended it, as seen outside the mapping to statuses.

    A call that its caller has left can't be aborted any more, but the code that it should have got is kept.
    """
    code: grpc.StatusCode | None = call.context.code()
    if code is not None:
        return code
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        left = call.context.time_remaining()
        late = left is not None and left < LATE_SECONDS
        return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
    return grpc.StatusCode.OK if error is None else grpc.StatusCode.UNKNOWN
