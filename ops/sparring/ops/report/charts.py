"""Curves as SVG that can stand in a page: text stays text, in the page's own font."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from importlib.resources import files

import matplotlib

matplotlib.use("svg")

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from sparring.ledgers.entries import Measures, Share
from sparring.ops.findings import Phase, Side

INK = "#1f2328"
ROBUST, CLEAN, ASR = "#0f766e", "#94a3b8", "#b4472b"
ROLE = {"attacker": ASR, "defender": ROBUST}
_NOT_FOR_PAGES = (
    r"(?<=<svg)[^>]*?(?= viewBox)",
    r"<metadata>.*?</metadata>",
    r"<style.*?</style>",
    r' id="[A-Za-z0-9.]+_[0-9]+"',
    r"font-family: [^;\"]*;? ?",
)
"""Fixed sizes and fonts, ids that nothing refers to and that two drawings would share."""
STYLE = str(files("sparring.ops.report") / "templates" / "report.mplstyle")


def progress_chart(defenders: Sequence[tuple[Side, Measures]]) -> str:
    """Robust accuracy, clean accuracy and attack success of each defender on the whole suite, with intervals."""
    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        axes = figure.subplots()
        places = np.arange(len(defenders), dtype=float)
        lines = (
            ("robust accuracy", "robust", ROBUST),
            ("clean accuracy", "clean", CLEAN),
            ("attack success", "asr", ASR),
        )
        for shift, (_, name, colour) in zip((0.0, -0.04, 0.04), lines, strict=True):
            _whiskers(axes, places + shift, [getattr(measures, name) for _, measures in defenders], colour)
        ends = [(getattr(defenders[-1][1], name).value, title, colour) for title, name, colour in lines]
        _label(axes, places[-1] + 0.12, ends)
        axes.set_xticks(places, [side.label for side, _ in defenders])
        axes.set_xlim(-0.25, places[-1] + 0.3 + 0.26 * max(1.0, places[-1]))
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        return svg(figure, "Accuracy and attack success of each defender, with 95 % intervals")


def _whiskers(axes: Axes, places: NDArray[np.float64], shares: Sequence[Share], colour: str) -> None:
    values = np.array([number(share.value) for share in shares])
    low = np.array([number(share.low) for share in shares])
    high = np.array([number(share.high) for share in shares])
    axes.plot(places, values, color=colour, linewidth=1.8, marker="o", markersize=5, zorder=3)
    axes.vlines(places, low, high, color=colour, linewidth=5, alpha=0.3, zorder=2)


def _label(axes: Axes, place: float, ends: Sequence[tuple[float | None, str, str]]) -> None:
    """Name the lines where they end, as far apart as their letters need."""
    known = [(value, f"{title} {100 * value:.0f} %", colour) for value, title, colour in ends if value is not None]
    heights = spread_apart([value for value, _, _ in known], 0.065)
    for height, (_, text, colour) in zip(heights, known, strict=True):
        axes.annotate(text, (place, height), color=colour, va="center", fontsize=10)


def spread_apart(values: Sequence[float], gap: float) -> list[float]:
    """The values, moved so little that any two lie `gap` apart; their order stays."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    placed = [values[index] for index in order]
    for _ in range(len(placed)):
        for low, high in zip(range(len(placed)), range(1, len(placed)), strict=False):
            lack = max(0.0, gap - (placed[high] - placed[low]))
            placed[low], placed[high] = placed[low] - lack / 2, placed[high] + lack / 2
    found = dict(zip(order, placed, strict=True))
    return [found[index] for index in range(len(values))]


def training_chart(phases: Sequence[Phase]) -> str:
    """Reward of each training step, and its running mean with a 95 % band, one panel per phase."""
    trained = [phase for phase in phases if len(phase.steps) > 1]
    if not trained:
        return ""
    with matplotlib.rc_context(fname=STYLE):
        columns = min(2, len(trained))
        rows = -(-len(trained) // columns)
        figure = Figure(figsize=(10, 2.6 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False)
        for axes, phase in zip(panels.flat, trained, strict=False):
            _panel(axes, phase)
        for axes in panels.flat[len(trained) :]:
            axes.set_visible(False)
        return svg(figure, "Reward per training step of each phase")


def _panel(axes: Axes, phase: Phase) -> None:
    colour = ROLE[phase.role]
    steps = np.array([step.number for step in phase.steps])
    rewards = np.array([number(step.reward) for step in phase.steps])
    mean, half = running_mean(rewards, max(3, len(steps) // 10))
    axes.plot(steps, rewards, ".", color=colour, markersize=4, alpha=0.4)
    axes.fill_between(steps, mean - half, mean + half, color=colour, alpha=0.16, linewidth=0)
    axes.plot(steps, mean, color=colour, linewidth=1.8)
    axes.set_title(f"Iteration {phase.iteration}: {phase.role}", loc="left", fontsize=10, color=INK)
    axes.set_xlabel("step", loc="right", fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def running_mean(values: NDArray[np.float64], width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean over the last `width` values and 1.96 standard errors of it: float64 [values] each. NaN is left out."""
    means, halves = np.full(len(values), np.nan), np.full(len(values), np.nan)
    for index in range(len(values)):
        window = values[max(0, index + 1 - width) : index + 1]
        window = window[np.isfinite(window)]
        if len(window):
            means[index] = window.mean()
            halves[index] = 1.96 * window.std(ddof=1) / np.sqrt(len(window)) if len(window) > 1 else 0.0
    return means, halves


def number(value: float | None) -> float:
    """The value, NaN for none: what is not drawn."""
    return float("nan") if value is None else value


def svg(figure: Figure, title: str) -> str:
    """The drawing alone, scaling with the page, with a title for those who can't see it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    for pattern in _NOT_FOR_PAGES:
        drawing = re.sub(pattern, "", drawing, flags=re.DOTALL)
    return re.sub(r"(<svg[^>]*>)", rf"\1<title>{title}</title>", drawing, count=1)
