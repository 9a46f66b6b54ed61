"""Work that ends at SIGTERM as it does at Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import TypeVar

ResultT = TypeVar("ResultT")


def run_interruptibly(work: Coroutine[object, object, ResultT]) -> ResultT:
    """Run `work` in a loop of its own.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came; what the work had opened has been closed.
    """

    async def watched() -> ResultT:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error
