"""Every call has a deadline: the caller's, or the server's if it set none or a later one.

What a call asks of others must be answered before that, so `remaining` is what it passes on.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from sparring.serving.errors import DeadlinePassed
from sparring.serving.interceptor import Call, Interceptor

_DEADLINE: ContextVar[float] = ContextVar("deadline")


class Deadlines(Interceptor):
    """Ends calls that take longer than they may.

    Args:
        most_seconds: of calls without a deadline, and at most.
    """

    def __init__(self, most_seconds: float) -> None:
        self._most = most_seconds

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        asked = call.context.time_remaining()
        seconds = self._most if asked is None else min(asked, self._most)
        _DEADLINE.set(time.monotonic() + seconds)
        try:
            async with asyncio.timeout(seconds) as scope:
                yield
        except TimeoutError as error:
            if scope.expired():
                raise DeadlinePassed(f"{call.name} took longer than its {seconds:.3f} s") from error
            raise


def deadline() -> float:
    """When the current call must have ended, on the clock of `time.monotonic`, seconds; infinity outside of calls."""
    return _DEADLINE.get(math.inf)


def remaining(margin: float = 0.0) -> float:
    """Seconds that the current call may still spend on others, if it wants `margin` for itself; never negative.
    Infinity outside of calls."""
    return max(0.0, deadline() - time.monotonic() - margin)
