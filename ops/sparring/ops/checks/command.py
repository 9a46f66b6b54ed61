"""What `sparring check` does, once it is known what was typed."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from sparring.ops.check_table import print_check, print_comparison
from sparring.ops.checks.config import CheckConfig
from sparring.ops.checks.folder import CheckFolder
from sparring.ops.checks.publish import publish, publish_comparison
from sparring.ops.checks.running import play_check
from sparring.ops.errors import PlayFailed
from sparring.referee.leaderboard import line
from sparring.v1 import checks_pb2


def run_check(config: CheckConfig, folder: CheckFolder, console: Console) -> None:
    """Play a check to its end, and show what it found.

    Raises:
        PlayFailed: it could not go on; what was answered before is in the report.
    """
    ended = play_check(config, folder, console)
    report = publish(folder)
    print_check(console, report)
    console.print(line(report), highlight=False, markup=False, soft_wrap=True)
    console.print(f"{folder.report}\n{folder.page}", highlight=False, soft_wrap=True)
    if ended.state == checks_pb2.CHECK_STATE_FAILED:
        raise PlayFailed(f"{ended.error}\ngo on with `sparring check --resume {folder.root}`")


def compare_checks(before: Path, after: Path, out: Path | None, console: Console) -> None:
    """Show two models side by side.

    Raises:
        NoCampaign, UserError: see `publish_comparison`.
    """
    print_comparison(console, publish_comparison(CheckFolder(before), CheckFolder(after), out))
