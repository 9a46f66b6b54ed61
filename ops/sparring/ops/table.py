"""The result of a campaign in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from sparring.ledgers.entries import Share
from sparring.ops.findings import Findings, Phase
from sparring.ops.folder import RunFolder
from sparring.ops.text import duration, gibibytes, interval, percent, points, points_interval


def print_findings(console: Console, found: Findings, folder: RunFolder) -> None:
    """What changed, phase by phase, and where the reports are."""
    if found.defenders:
        console.print(_measures(found))
    if found.phases:
        console.print(_phases(found))
    for phase in found.phases:
        for reason in phase.reasons:
            console.print(f"{phase.name} refused: {reason}", highlight=False, markup=False)
    state = "finished" if found.finished else f"unfinished: go on with `sparring resume {folder.root}`"
    console.print(
        f"{state} · {duration(found.wall_seconds)} · {gibibytes(found.peak_pss_bytes)} at most\n"
        f"{folder.summary}\n{folder.report}",
        highlight=False,
        soft_wrap=True,
    )


def _measures(found: Findings) -> Table:
    """First and last defender on the same suite."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "before", "after", "difference", "n"):
        table.add_column(column, justify="left" if not column else "right")
    before, after = found.before, found.after
    rows: list[tuple[str, Share, Share, Share | None]] = [
        ("robust accuracy", before.robust, after.robust, found.robust),
        ("attack success", before.asr, after.asr, found.asr),
        ("clean accuracy", before.clean, after.clean, found.clean),
        ("control accuracy", before.control, after.control, None),
        ("valid edits", before.validity, after.validity, None),
    ]
    for name, first, last, change in rows:
        told = f"{points(change)} ({points_interval(change)})" if change else ""
        table.add_row(name, _share(first), _share(last), told, str(last.n))
    return table


def _share(share: Share) -> str:
    return f"{percent(share.value)} ({interval(share)})"


def _phases(found: Findings) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("phase", "steps", "attack success", "robust accuracy", "time", "outcome"):
        table.add_column(column)
    for phase in found.phases:
        table.add_row(
            phase.name, str(len(phase.steps)), *_changes(phase), duration(phase.seconds), _outcome(phase.promoted)
        )
    return table


def _changes(phase: Phase) -> list[str]:
    return [
        f"{percent(change.before.value)} → {percent(change.after.value)}" if change else "–"
        for change in (phase.asr, phase.robust)
    ]


def _outcome(promoted: bool | None) -> str:
    return "open" if promoted is None else "released" if promoted else "refused"
