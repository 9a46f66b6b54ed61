"""Runs one check in this process, from its first call to its report."""

from __future__ import annotations

import asyncio

import grpc
from rich.console import Console

from sparring.client.checks import AioChecksClient
from sparring.client.errors import Refused
from sparring.ops.checks.config import UNBOUNDED, CheckConfig
from sparring.ops.checks.estimate import open_data
from sparring.ops.checks.folder import CheckFolder
from sparring.ops.checks.house import CheckHouse
from sparring.ops.checks.loading import attackers_of
from sparring.ops.checks.request import to_spec
from sparring.ops.errors import PlayFailed
from sparring.ops.interruption import run_interruptibly
from sparring.ops.log import logging_to
from sparring.ops.progress import watching
from sparring.ops.status import Status
from sparring.v1 import checks_pb2

_PAUSE_SECONDS = 0.5


def play_check(config: CheckConfig, folder: CheckFolder, console: Console) -> checks_pb2.Check:
    """Play the check in `folder` from where it stands to its end, and fetch `report.json`.

    Returns:
        how it ended.

    Raises:
        UserError: a dataset, a revision or a model is not there.
        OpsError: it can't go on; what has been answered stays.
        KeyboardInterrupt: SIGINT or SIGTERM; the same.
    """
    open_data(config)
    with logging_to(folder.run.log("conductor")):
        return run_interruptibly(_play(config, folder, console))


async def _play(config: CheckConfig, folder: CheckFolder, console: Console) -> checks_pb2.Check:
    attackers = attackers_of(config)
    spec = to_spec(config, attackers)
    async with (
        watching(console, folder.check_id) as status,
        CheckHouse(config, folder, attackers, status).open() as checks,
    ):
        try:
            ended = await _follow(checks, spec, status)
            folder.report.write_text(await checks.report(ended.check_id) + "\n")
        except Refused as refusal:
            raise PlayFailed(f"the referee can't play this check: {refusal}") from refusal
        status.begin("stopping")
    return ended


async def _follow(checks: AioChecksClient, spec: checks_pb2.CheckSpec, status: Status) -> checks_pb2.Check:
    """Submit the check, and watch it to its end."""
    wanted = spec.dataset.limit
    status.begin("the model answers", 0 if wanted == UNBOUNDED else wanted)
    while True:
        try:
            last = await checks.submit(spec)
            async for told in checks.watch(last.check_id):
                last, status.step = told, told.done
            return last
        except Refused as refusal:
            if refusal.code is not grpc.StatusCode.UNAVAILABLE:
                raise
            # The supervisor brings the referee back, which goes on by itself.
            await asyncio.sleep(_PAUSE_SECONDS)
