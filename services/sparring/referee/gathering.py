"""Waiting for several things at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

ResultT = TypeVar("ResultT")


async def gather_all(parts: Iterable[Coroutine[object, object, ResultT]]) -> list[ResultT]:
    """Every result, in order. When one part fails, the others are cancelled; `asyncio.gather` leaves them running."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
