"""A check as one line of a table, to stand under others in a README."""

from __future__ import annotations

from sparring.referee.report import CheckReport

COLUMNS = (
    "target", "dataset", "n", "clean", "robust [95 %]", "ASR", "valid", "attacks", "edits by each", "options", "seed",
    "schema", "reliable",
)  # fmt: skip
HEADER = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"
"""The first two lines of the table, in Markdown."""


def line(report: CheckReport) -> str:
    """One line of Markdown. Lines are alike only where dataset, n, attacks and seed are."""
    asked, found = report.asked, report.semantic
    low, high = (percent(bound) for bound in (found.robust.low, found.robust.high))
    cells = (
        asked.target,
        asked.dataset,
        f"{report.samples}",
        percent(found.clean.value),
        f"{percent(found.robust.value)} [{low}, {high}]",
        percent(found.asr.value),
        percent(found.validity.value),
        ", ".join(asked.attacks) or "none",
        f"{asked.budget}",
        asked.options,
        f"{asked.seed}",
        f"{report.schema_} ({version(report)})",
        "no" if report.unreliable else "yes",
    )
    return f"| {' | '.join(escaped(cell) for cell in cells)} |"


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def version(report: CheckReport) -> str:
    """Of Sparring."""
    return report.asked.versions.get("sparring", "unknown version")


def escaped(cell: str) -> str:
    """The cell's text, with nothing in it that would end it."""
    return " ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|")
