"""Conducts a campaign in this process, from its lock to its report."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack

from rich.console import Console

from sparring.ledgers.entries import CampaignFinished, CampaignStarted, JournalEntry
from sparring.ledgers.journal import Journal, JournalWriter
from sparring.ops.campaign import Campaign, begin
from sparring.ops.config import CampaignConfig
from sparring.ops.curriculum import open_slice
from sparring.ops.errors import NoCampaign
from sparring.ops.findings import Findings
from sparring.ops.folder import RunFolder
from sparring.ops.interruption import run_interruptibly
from sparring.ops.local import Local
from sparring.ops.log import logging_to
from sparring.ops.memory import MemoryWatch
from sparring.ops.progress import watching
from sparring.ops.publish import write_reports


def conduct(config: CampaignConfig, folder: RunFolder, console: Console) -> Findings:
    """Run the campaign in `folder` from where it stands to its end, and report on it.

    Raises:
        JournalLocked: another process conducts it.
        UserError: a dataset is not there.
        OpsError: it can't go on; what has been done stays done.
        KeyboardInterrupt: SIGINT or SIGTERM; the same.
    """
    for part in (config.data.train, config.data.suite):
        open_slice(part, config.data.roots)
    journal = Journal(folder.root, folder.campaign)
    with ExitStack() as stack:
        writer = stack.enter_context(journal.writer())
        stack.enter_context(logging_to(folder.log("conductor")))
        entries = list(journal.entries())
        if not entries:
            entries = [begin(config)]
            writer.append(entries[0])
        if not any(isinstance(entry, CampaignFinished) for entry in entries):
            run_interruptibly(_run(config, folder, console, writer, entries))
        return write_reports(folder)


def recorded_config(folder: RunFolder) -> CampaignConfig:
    """The configuration that the campaign in `folder` was started with.

    Raises:
        NoCampaign: it died before it had begun.
    """
    entries = Journal(folder.root, folder.campaign).entries()
    started = next((entry for entry in entries if isinstance(entry, CampaignStarted)), None)
    if started is None:
        raise NoCampaign(f"the campaign in {folder.root} died before it had begun; remove the folder and run it again")
    return CampaignConfig.model_validate(started.config)


async def _run(
    config: CampaignConfig,
    folder: RunFolder,
    console: Console,
    writer: JournalWriter,
    entries: Sequence[JournalEntry],
) -> None:
    memory = MemoryWatch()
    watch = asyncio.create_task(memory.run())
    try:
        async with watching(console, config.campaign) as status, Local(config, folder, status).open() as house:
            await Campaign(house, writer, entries, memory).run()
            status.begin("stopping")
    finally:
        watch.cancel()
