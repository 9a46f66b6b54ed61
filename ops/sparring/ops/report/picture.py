"""One match as a picture: for a README, a slide, a chat."""

from __future__ import annotations

import base64
import io
from textwrap import shorten

import matplotlib.image as image
from matplotlib.figure import Figure

from sparring.ops.report.gallery import Answered, Exhibit

GOOD, BAD, INK = "#1a7f4e", "#b3261e", "#222222"


def draw(shown: Exhibit) -> bytes:
    """PNG: original, control, edit and difference in a row, the question above, both answers below."""
    figure = Figure(figsize=(9, 3.6), dpi=110, facecolor="white")
    figure.text(0.5, 0.95, shorten(shown.question, 110), ha="center", va="top", fontsize=12, color=INK)
    names = ("original", "control", "edit", "change")
    panels = zip(names, (shown.original, shown.control, shown.edit, shown.difference), strict=True)
    for place, (name, uri) in enumerate(panels):
        axes = figure.add_axes((0.02 + 0.245 * place, 0.22, 0.225, 0.62))
        pixels = image.imread(io.BytesIO(base64.b64decode(uri.partition(",")[2])), format="png")
        axes.imshow(pixels, interpolation="nearest")
        axes.set_title(name, fontsize=10, color=INK)
        axes.axis("off")
    for middle, answered in ((0.27, shown.before), (0.73, shown.after)):
        colour = GOOD if answered.correct else BAD
        figure.text(middle, 0.1, said(answered), ha="center", va="center", fontsize=11, color=colour)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def said(answered: Answered) -> str:
    """A defender's answer to the edit on one line."""
    option = answered.option or shorten(answered.text, 40)
    return f"{answered.defender} says “{option}”, which is {'true' if answered.correct else 'false'}"
