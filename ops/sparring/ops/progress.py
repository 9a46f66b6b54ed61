"""What the terminal shows while a campaign runs: a few living lines, or plain ones where there is no terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sparring.ops.status import Status
from sparring.ops.text import duration, percent

_PLAIN_SECONDS = 30.0


@asynccontextmanager
async def watching(console: Console, campaign: str) -> AsyncIterator[Status]:
    """A status that is shown for the time of the block."""
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(
            f"[dim]{duration(time.monotonic() - began):>8}[/dim]  {escape(line)}", highlight=False, soft_wrap=True
        )

    status = Status(campaign, say)
    task = asyncio.create_task(_show(console, status))
    try:
        yield status
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _show(console: Console, status: Status) -> None:
    if not console.is_terminal:
        while True:
            await asyncio.sleep(_PLAIN_SECONDS)
            console.print(
                f"{duration(_age(status)):>8}  {plain(status)}", highlight=False, markup=False, soft_wrap=True
            )
    with Live(console=console, get_renderable=lambda: lively(status), refresh_per_second=4, transient=True):
        await asyncio.Event().wait()


def plain(status: Status) -> str:
    """The moment in one line."""
    return " · ".join(part for part in (status.doing, *_facts(status), _waits(status)) if part)


def lively(status: Status) -> RenderableType:
    """The moment in a few lines."""
    grid = Table.grid(padding=(0, 2))
    bar: RenderableType = ""
    if status.steps:
        bar = ProgressBar(total=status.steps, completed=status.step, width=32)
    grid.add_row(Text(duration(_age(status)).rjust(8), style="dim"), Text(status.doing, style="bold"), bar)
    facts = " · ".join(_facts(status))
    lines = [Text(line, style="dim") for line in (facts, _waits(status)) if line]
    return Group("", grid, *(Text.assemble(" " * 10, line) for line in lines))


def _age(status: Status) -> float:
    return time.monotonic() - status.began


def _facts(status: Status) -> list[str]:
    facts: list[str] = []
    if status.steps or status.step:
        facts.append(f"{status.step}/{status.steps}" if status.steps else f"{status.step}")
    if status.reward is not None:
        facts.append(f"reward {status.reward:.3f}")
    if status.asr is not None:
        facts.append(f"wrong answers {percent(status.asr, 0)}")
    if status.measures is not None:
        measures = status.measures
        facts.append(
            f"robust {percent(measures.robust.value)}, clean {percent(measures.clean.value)} at the last check"
        )
    if status.episodes:
        facts.append(f"{status.rate:.1f} episodes/s")
    if status.outcomes:
        facts.append(", ".join(f"{count} {name}" for name, count in status.outcomes.most_common()))
    return facts


def _waits(status: Status) -> str:
    return f"waiting for {status.waiting}" if status.waiting else ""
