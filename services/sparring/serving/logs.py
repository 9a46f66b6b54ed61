"""Structured logs: one JSON object per line on standard error, one line per call, nothing of what was asked."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import structlog
from structlog.tracebacks import ExceptionDictTransformer

from sparring.serving.authentication import caller
from sparring.serving.interceptor import Call, Interceptor, outcome

_log = structlog.get_logger(__name__)


def configure(level: str) -> None:
    """Make every structlog logger of the process write JSON from `level` (a name of `logging`, lower case) on."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        # Not kept by the loggers of modules: whoever configures again, as tests do, must reach them.
        cache_logger_on_first_use=False,
    )


class CallLog(Interceptor):
    """One line per call: method, caller, code, seconds."""

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        # Asked now: once the call is over the address lies in freed memory, and asking for it ends the process.
        peer = call.context.peer()
        start = time.perf_counter()
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            _write(call, peer, outcome(call, error), time.perf_counter() - start)


def _write(call: Call, peer: str, code: grpc.StatusCode, seconds: float) -> None:
    write = _log.info if code is grpc.StatusCode.OK else _log.warning
    write(
        "call",
        method=call.method,
        caller=caller(),
        peer=peer,
        code=code.name,
        details=call.context.details() or "",
        seconds=round(seconds, 6),
    )
