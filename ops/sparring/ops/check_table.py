"""The result of a check, and of two, in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table

from sparring.ledgers.entries import Share
from sparring.ops.text import interval, percent, points, points_interval, short
from sparring.referee.comparison import Comparison, Contrast, Duel
from sparring.referee.report import CheckReport, Measures, Part


def print_check(console: Console, report: CheckReport) -> None:
    """What was asked, all measures, each attack, what went wrong, and what speaks against the numbers."""
    asked = report.asked
    _say(console, f"{asked.target} on {asked.dataset}: {report.samples} samples about {report.images} images")
    console.print(_measures(report))
    if report.by_attack:
        console.print(_attacks(report.by_attack))
    if report.scores:
        console.print(_scores(report))
    for text in (*wrong(report), *report.remarks):
        _say(console, text)
    _doubts(console, report.unreliable)


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Both models on the same edits, and whether the difference can be seen."""
    _say(console, f"{comparison.before.target} → {comparison.after.target}: {comparison.samples} samples, same edits")
    table = _table("", "before", "after", "difference", "gained, lost", "p", "needed")
    for name, contrast in contrasts(comparison):
        change = f"{points(contrast.difference)} ({points_interval(contrast.difference)})"
        table.add_row(name, percent(contrast.before), percent(contrast.after), change, *split(contrast))
    console.print(table)
    _doubts(console, comparison.unreliable)


def contrasts(comparison: Comparison) -> Iterator[tuple[str, Contrast]]:
    """Everything that is compared, with a name."""
    yield "clean accuracy", comparison.clean
    yield "robust accuracy", comparison.semantic.robust
    yield "attack success", comparison.semantic.asr
    if comparison.corruption is not None:
        yield "robust accuracy, corruptions", comparison.corruption.robust
        yield "attack success, corruptions", comparison.corruption.asr
    for attack in comparison.by_attack:
        yield f"robust accuracy, {short(attack.name)}", attack.robust
        yield f"attack success, {short(attack.name)}", attack.asr


def split(contrast: Contrast) -> tuple[str, str, str]:
    """Of a duel what McNemar's test says, and on how many samples the difference would be seen."""
    if not isinstance(contrast, Duel):
        return "", "", ""
    needed = "–" if contrast.needed is None else f"{contrast.needed}"
    return f"{contrast.gained}, {contrast.lost}", f"{contrast.p:.2g}", needed


def wrong(report: CheckReport) -> Iterator[str]:
    """What went wrong, a line for each kind; nothing of what did not."""
    counts, dataset = report.counts, report.dataset
    if counts.failed:
        yield f"matches without result: {told(counts.failed)}"
    if counts.rejected:
        yield f"rejected edits: {told(counts.rejected)}"
    if counts.empty or counts.truncated:
        yield f"of {counts.answers} answers {counts.empty} were empty and {counts.truncated} cut off"
    if dataset.skipped:
        yield f"rows that are no samples: {told(dataset.skipped)} of {dataset.rows}"


def told(counts: Mapping[str, int]) -> str:
    """Counts in a row, the largest first."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _measures(report: CheckReport) -> Table:
    columns = [("semantic edits", report.semantic)]
    if report.corruption is not None:
        columns.append(("corruptions", report.corruption))
    table = _table("", *(column for name, _ in columns for column in (name, "n")))
    for label, name in ROWS:
        shares: list[Share] = [getattr(measures, name) for _, measures in columns]
        table.add_row(label, *(cell for share in shares for cell in (_share(share), f"{share.n}")))
    table.add_row("robust, bounds", *(cell for _, measures in columns for cell in (_bounds(measures), "")))
    return table


ROWS = (
    ("robust accuracy", "robust"),
    ("attack success", "asr"),
    ("mean accuracy", "mean"),
    ("clean accuracy", "clean"),
    ("control accuracy", "control"),
    ("consistency", "consistency"),
    ("valid edits", "validity"),
    ("unreadable answers", "unscored"),
)
"""Labels of the measures that are shares, with their names in `Measures`."""


def _attacks(parts: tuple[Part, ...]) -> Table:
    table = _table("attack", "valid / edits", "attack success", "robust accuracy", "samples")
    for part in parts:
        found = part.measures
        valid = 0 if found.validity.value is None else round(found.validity.value * found.validity.n)
        table.add_row(
            short(part.name), f"{valid} / {part.edits}", _share(found.asr), _share(found.robust), f"{part.samples}"
        )
    return table


def _scores(report: CheckReport) -> Table:
    table = _table("benchmark's own", "clean", "robust")
    for score in report.scores:
        table.add_row(f"{score.benchmark}: {score.name}", _share(score.clean), _share(score.robust))
    return table


def _bounds(measures: Measures) -> str:
    return f"{percent(measures.robust_low)} to {percent(measures.robust_high)}"


def _share(share: Share) -> str:
    return f"{percent(share.value)} ({interval(share)})"


def _table(*columns: str) -> Table:
    """A table without lines, its first column to the left."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _doubts(console: Console, doubts: tuple[str, ...]) -> None:
    for doubt in doubts:
        console.print(f"[red]unreliable:[/red] {_plain(doubt)}", highlight=False, soft_wrap=True)


def _say(console: Console, text: str) -> None:
    console.print(_plain(text), highlight=False, soft_wrap=True)


def _plain(text: str) -> str:
    """Text in which brackets are brackets."""
    return text.replace("[", "\\[")
