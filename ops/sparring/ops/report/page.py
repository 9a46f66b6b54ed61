"""The report of a campaign."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from sparring.ledgers.entries import Share
from sparring.ops.findings import Change, Findings
from sparring.ops.report.charts import progress_chart, training_chart
from sparring.ops.report.gallery import Exhibit
from sparring.ops.report.template import fill
from sparring.ops.text import percent, points, points_interval

HEAT = (180, 71, 43)


@dataclass(frozen=True)
class Tile:
    """One of the large numbers. `change` is None where there is nothing to compare with."""

    name: str
    before: float | None
    after: Share
    change: Share | None
    judgement: str


def render(findings: Findings, exhibits: Sequence[Exhibit]) -> str:
    """The whole page."""
    return fill(
        "report.html.j2",
        {"change": change_cell, "heat": heat},
        f=findings,
        after=findings.after if findings.defenders else None,
        verdict=verdict(findings),
        tiles=tiles(findings),
        progress=Markup(progress_chart(findings.defenders)) if len(findings.defenders) > 1 else "",
        training=Markup(training_chart(findings.phases)),
        exhibits=exhibits,
        config=json.dumps(findings.config, indent=2, ensure_ascii=False),
    )


def tiles(findings: Findings) -> list[Tile]:
    """The headline: robust accuracy first."""
    if not findings.defenders:
        return []
    before, after = findings.before, findings.after
    return [
        _tile("Robust accuracy", before.robust, after.robust, findings.robust, up=True),
        _tile("Attack success", before.asr, after.asr, findings.asr, up=False),
        _tile("Clean accuracy", before.clean, after.clean, findings.clean, up=True),
        Tile("Valid edits", before.validity.value, after.validity, None, ""),
    ]


def _tile(name: str, before: Share, after: Share, change: Share | None, *, up: bool) -> Tile:
    return Tile(name, before.value, after, change, judge(change, up=up))


def judge(change: Share | None, *, up: bool) -> str:
    """`better` or `worse` if the interval of the change says so, else nothing."""
    if change is None or change.low is None or change.high is None:
        return ""
    if change.low > 0:
        return "better" if up else "worse"
    if change.high < 0:
        return "worse" if up else "better"
    return ""


def verdict(findings: Findings) -> str:
    """The result in a sentence."""
    change = findings.robust
    if change is None or change.value is None:
        return ""
    if findings.last == findings.defenders[0][0].label:
        refused = [phase for phase in findings.phases if phase.role == "defender" and phase.promoted is False]
        reasons = "; ".join(refused[-1].reasons) if refused else ""
        return f"No new defender was released{f': {reasons}' if reasons else ''}."
    amount = f"{points(change)} ({points_interval(change)})"
    if change.low is not None and change.low > 0:
        return f"The defender became more robust: robust accuracy rose by {amount.removeprefix('+')}."
    if change.high is not None and change.high < 0:
        return f"The defender became less robust: robust accuracy changed by {amount}."
    return f"No change of robust accuracy is shown: {amount}."


def change_cell(change: Change | None) -> str | Markup:
    """Before and after, with the paired difference below."""
    if change is None:
        return "–"
    text = f"{percent(change.before.value, 1)} → {percent(change.after.value, 1)}"
    below = f"{points(change.difference)} ({points_interval(change.difference)})"
    return Markup('{}<span class="range">{}</span>').format(text, below)


def heat(value: float | None) -> str:
    """Background and ink for a rate from 0 to 1."""
    if value is None or math.isnan(value):
        return ""
    red, green, blue = HEAT
    ink = "#fff" if value > 0.72 else "inherit"
    return f"background: rgba({red}, {green}, {blue}, {0.06 + 0.84 * value:.3f}); color: {ink}"
