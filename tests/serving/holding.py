"""A service that holds a call until it is told to let it go."""

from __future__ import annotations

import asyncio


class Holding:
    """Events for whoever calls: `entered` when a call is held, `release` to let it go, `cancelled` if it was."""

    def __init__(self) -> None:
        self.entered, self.release, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hold(self) -> None:
        self.entered.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
