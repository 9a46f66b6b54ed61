"""How many requests are in flight, how many begin in a second, and when none begins because the endpoint said so."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Time and chance, so that a test need not wait for either.

    Attributes:
        now: seconds, from any start, never backwards.
        today: seconds since 1970.
        sleep: waits for so many seconds.
        draw: a number from [0, 1).
    """

    now: Callable[[], float] = time.monotonic
    today: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    draw: Callable[[], float] = random.random


class Pacer:
    """Lets requests begin.

    Args:
        concurrency: most in flight.
        per_second: most that begin in a second, evenly spaced; None sets no limit.
        clock: time.
    """

    def __init__(self, concurrency: int, per_second: float | None, clock: Clock) -> None:
        self._places, self._clock = asyncio.Semaphore(concurrency), clock
        self._interval = 1 / per_second if per_second else 0.0
        self._next = self._awake = clock.now()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The time of one request."""
        async with self._places:
            await self._slot()
            yield

    def rest(self, seconds: float) -> None:
        """Begin nothing for so long: who is told to wait is told so for all."""
        self._awake = max(self._awake, self._clock.now() + seconds)

    async def _slot(self) -> None:
        while (wait := self._awake - self._clock.now()) > 0:
            await self._clock.sleep(wait)
        start = max(self._next, self._clock.now())
        self._next = start + self._interval
        if (wait := start - self._clock.now()) > 0:
            await self._clock.sleep(wait)
