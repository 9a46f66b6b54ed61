"""Exceptions that end a call become statuses here; unforeseen ones are logged and the process goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import structlog
from grpc_status import rpc_status

from sparring.serving.interceptor import Call, Interceptor
from sparring.serving.statuses import Rules, describe

_log = structlog.get_logger(__name__)


class Mapping(Interceptor):
    """Turns exceptions into statuses by the given rules."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        try:
            yield
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # an RPC boundary: whatever happened, the caller gets a status
            fault = describe(error, self._rules)
            if fault.error_id:
                _log.exception("call failed", method=call.method, error_id=fault.error_id)
            status = rpc_status.to_status(fault.status)
            await call.context.abort(status.code, status.details, status.trailing_metadata)
