"""The report of a check, and of two models on the same edits, as pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from pydantic import BaseModel

from sparring.ops.check_table import ROWS, contrasts, split, told
from sparring.ops.report.check_charts import attack_chart, curve_chart
from sparring.ops.report.gallery import Exhibit
from sparring.ops.report.page import judge
from sparring.ops.report.template import fill
from sparring.ops.text import interval, percent, points, points_interval, short
from sparring.referee.asked import Asked
from sparring.referee.comparison import Comparison
from sparring.referee.report import CheckReport, Measures, Part

Facts = list[tuple[str, str]]
"""Names and values, as they are told."""


@dataclass(frozen=True)
class Tile:
    """One of the large numbers, with what it is of. `judgement` colours it."""

    name: str
    value: str
    below: str
    range: str
    judgement: str = ""


def render_check(report: CheckReport, exhibits: Sequence[Exhibit]) -> str:
    """The whole page: it needs nothing else, and asks nothing of the network.

    Args:
        report: the check.
        exhibits: its gallery, see `sparring.ops.report.flips.flips`.
    """
    main, what = headline(report)
    return fill(
        "check.html.j2",
        {"short": short},
        r=report,
        verdict=verdict(report, main, what),
        tiles=list(tiles(main)),
        curves=Markup(curve_chart(report.curves)),
        bars=Markup(attack_chart(report.by_attack)),
        rows=ROWS,
        columns=columns(report),
        breakdowns=list(breakdowns(report)),
        exhibits=exhibits,
        wrong=wrong(report),
        dataset=dataset(report),
        asked=asked(report.asked),
    )


def headline(report: CheckReport) -> tuple[Measures, str]:
    """The measures that the page begins with, and what they are over: semantic edits, if there were any."""
    if report.corruption is not None and not report.semantic.validity.n:
        return report.corruption, "corruption"
    return report.semantic, "edit"


def verdict(report: CheckReport, main: Measures, what: str) -> str:
    """The result in a sentence."""
    if main.robust.value is None:
        return f"Right on {percent(main.clean.value)} of samples; no valid {what} was answered."
    return (
        f"Right on {percent(main.clean.value)} of samples as they are, and on {percent(main.robust.value)} "
        f"({interval(main.robust)}) under every valid {what}, of up to {report.asked.budget} by each attack."
    )


def tiles(main: Measures) -> Iterator[Tile]:
    """The headline: robust accuracy first."""
    named = (
        ("Robust accuracy", main.robust, "samples"),
        ("Attack success", main.asr, "edits"),
        ("Clean accuracy", main.clean, "samples"),
        ("Valid edits", main.validity, "edits"),
    )
    for name, share, unit in named:
        yield Tile(name, percent(share.value, 0), f"of {share.n} {unit}", interval(share) if share.n else "")


def columns(report: CheckReport) -> list[tuple[str, Measures]]:
    """What has a column in the table of all measures."""
    both = [("semantic edits", report.semantic)]
    return both if report.corruption is None else [*both, ("corruptions", report.corruption)]


def breakdowns(report: CheckReport) -> Iterator[tuple[str, str, tuple[Part, ...]]]:
    """Tables of parts: title, what it is by, rows."""
    yield "By attack", "attack", report.by_attack
    yield "By what the edit did", "type", report.by_type
    yield "By kind of question", "kind", report.by_category
    yield "By size of what is asked about", "size", report.by_area


def wrong(report: CheckReport) -> Facts:
    """All counts of what went wrong, also of what did not."""
    counts = report.counts
    return [
        ("answers", f"{counts.answers}"),
        ("empty", f"{counts.empty}"),
        ("cut off", f"{counts.truncated}"),
        ("read by the rule", told(counts.by_rule) or "–"),
        ("models that answered", f"{counts.makers}"),
        ("matches without result", told(counts.failed) or "none"),
        ("rejected edits, by objection", told(counts.rejected) or "none"),
    ]


def dataset(report: CheckReport) -> Facts:
    """What was met in the dataset."""
    facts = report.dataset
    return [
        ("rows met", f"{facts.rows}"),
        ("samples", f"{facts.samples}"),
        ("rows that are no samples", told(facts.skipped) or "none"),
        *(("", row) for row in facts.named),
        ("rows merged with others", f"{facts.merged}"),
        ("boxes cut at the border", f"{facts.clipped}"),
        ("samples without boxes", f"{facts.boxless}"),
        (
            "agrees with what was published",
            ", ".join(facts.verified) or ("nothing" if facts.complete else "not verified"),
        ),
        *(("remark", remark) for remark in facts.remarks),
    ]


def asked(given: Asked) -> Facts:
    """Everything that was asked, as it is written in JSON."""
    return [(name, _plain(getattr(given, name))) for name in type(given).model_fields]


def _plain(value: object) -> str:
    match value:
        case BaseModel():
            return ", ".join(f"{name} {_plain(part)}" for name, part in value)
        case Mapping():
            return ", ".join(f"{name}: {_plain(part)}" for name, part in sorted(value.items())) or "–"
        case tuple():
            return ", ".join(map(_plain, value)) or "–"
        case _:
            return str(value)


def render_comparison(comparison: Comparison) -> str:
    """The page of two models; see `render_check`."""
    both = zip(asked(comparison.before), asked(comparison.after), strict=True)
    return fill(
        "comparison.html.j2",
        {"split": split},
        c=comparison,
        verdict=judged(comparison),
        tiles=list(changes(comparison)),
        rows=list(contrasts(comparison)),
        asked=[(name, one, other) for (name, one), (_, other) in both],
    )


def judged(comparison: Comparison) -> str:
    """The result in a sentence."""
    duel = comparison.semantic.robust
    amount = f"{points(duel.difference)} ({points_interval(duel.difference)})"
    if duel.difference.value is None:
        return "No sample has a robust answer of both."
    better = judge(duel.difference, up=True)
    if better:
        return f"{comparison.after.target} is {'more' if better == 'better' else 'less'} robust: {amount}."
    need = f" On {duel.needed} samples one of this size is seen in four of five cases." if duel.needed else ""
    return f"No difference of robust accuracy is shown: {amount}.{need}"


def changes(comparison: Comparison) -> Iterator[Tile]:
    """The headline: each change with its interval."""
    for name, contrast, up in (
        ("Robust accuracy", comparison.semantic.robust, True),
        ("Attack success", comparison.semantic.asr, False),
        ("Clean accuracy", comparison.clean, True),
    ):
        value = f"{percent(contrast.before, 0)} → {percent(contrast.after, 0)}"
        change = contrast.difference
        yield Tile(name, value, points(change), points_interval(change), judge(change, up=up))
    duel = comparison.semantic.robust
    split_up = f"{duel.gained} gained, {duel.lost} lost"
    yield Tile("Disagreements", f"{duel.gained + duel.lost}", split_up, f"p = {duel.p:.2g}")
