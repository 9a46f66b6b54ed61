"""Curves and bars of a check, as SVG that can stand in a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from sparring.ledgers.entries import Share
from sparring.ledgers.records import Kind
from sparring.ops.report.charts import ASR, CLEAN, INK, ROBUST, STYLE, number, svg
from sparring.ops.text import short
from sparring.referee.report import Part, Rung

COLUMNS = 3
"""Panels side by side."""
MOST = 12
"""Attacks that are drawn; the tables have all."""


def curve_chart(curves: Mapping[str, Sequence[Rung]]) -> str:
    """For each attack what more tries come to: robust accuracy, share beaten, and what chance does; with intervals."""
    shown = [(name, rungs) for name, rungs in curves.items() if len(rungs) > 1][:MOST]
    if not shown:
        return ""
    with matplotlib.rc_context(fname=STYLE):
        columns = min(COLUMNS, len(shown))
        rows = -(-len(shown) // columns)
        figure = Figure(figsize=(10, 2.9 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes, (name, rungs) in zip(panels.flat, shown, strict=False):
            _curves(axes, name, rungs)
        for axes in panels.flat[len(shown) :]:
            axes.set_visible(False)
        return svg(figure, "Robust accuracy, edits that fool and chance, against the number of edits of each sample")


def _curves(axes: Axes, name: str, rungs: Sequence[Rung]) -> None:
    edits = [rung.edits for rung in rungs]
    _line(axes, edits, [rung.robust for rung in rungs], ROBUST)
    _line(axes, edits, [rung.beaten for rung in rungs], ASR)
    if any(rung.chance.n for rung in rungs):
        _line(axes, edits, [rung.chance for rung in rungs], CLEAN, dashed=True)
    axes.set_xscale("log", base=2)
    axes.set_xticks(edits, [str(count) for count in edits])
    axes.minorticks_off()
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_title(short(name), loc="left", fontsize=10, color=INK)
    axes.set_xlabel("edits of each sample", loc="right", fontsize=9)


def _line(axes: Axes, edits: Sequence[int], shares: Sequence[Share], colour: str, *, dashed: bool = False) -> None:
    low, value, high = (
        np.array([number(getattr(share, name)) for share in shares]) for name in ("low", "value", "high")
    )
    axes.plot(edits, value, color=colour, linewidth=1.8, linestyle="--" if dashed else "-", marker="o", markersize=4)
    axes.fill_between(edits, low, high, color=colour, alpha=0.14, linewidth=0)


def attack_chart(parts: Sequence[Part]) -> str:
    """Attack success of each attack, with its interval, the most successful first."""
    known = [part for part in parts if part.measures.asr.value is not None]
    known.sort(key=lambda part: (-number(part.measures.asr.value), part.name))
    if not known:
        return ""
    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=(10, 0.7 + 0.36 * len(known)), layout="constrained")
        axes = figure.subplots()
        for place, part in enumerate(known):
            _bar(axes, place, part.measures.asr, CLEAN if part.kind is Kind.CORRUPTION else ASR)
        axes.set_yticks(range(len(known)), [short(part.name) for part in known], color=INK)
        axes.set_ylim(len(known) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
        return svg(figure, "Attack success by attack, with 95 % intervals")


def _bar(axes: Axes, place: int, share: Share, colour: str) -> None:
    value = number(share.value)
    axes.barh(place, value, height=0.52, color=colour, alpha=0.75, linewidth=0)
    if share.low is not None and share.high is not None:
        axes.plot([share.low, share.high], [place, place], color=INK, linewidth=1.2, alpha=0.7, solid_capstyle="butt")
    end = value if share.high is None else max(value, share.high)
    axes.annotate(f"{100 * value:.0f} %", (end, place), xytext=(6, 0), textcoords="offset points", va="center")
