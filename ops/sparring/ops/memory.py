"""How much memory a campaign takes, its processes together.

Proportional set sizes add up: a page that several processes share counts in parts. Resident set sizes would count
the libraries once per process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psutil


def family() -> Iterator[psutil.Process]:
    """This process and all that descend from it."""
    own = psutil.Process()
    yield own
    yield from own.children(recursive=True)


def family_pss() -> int:
    """Sum of proportional set sizes over this process and its descendants, bytes."""
    total = 0
    for process in family():
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # It ended while we looked.
    return total


class MemoryWatch:
    """Keeps the largest `family_pss` seen since the last `take`."""

    def __init__(self, every_seconds: float = 2.0) -> None:
        self._every = every_seconds
        self._peak = 0

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            self._peak = max(self._peak, await asyncio.to_thread(family_pss))
            await asyncio.sleep(self._every)

    def take(self) -> int:
        """The peak in bytes, at least what is in use now; starts anew."""
        peak, self._peak = max(self._peak, family_pss()), 0
        return peak
