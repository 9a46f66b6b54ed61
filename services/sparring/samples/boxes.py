"""Boxes from outside: whole pixels, inside the image, never empty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sparring.samples.sample import Box


class BadBox(ValueError):
    """A box that means nothing in its image."""


@dataclass(frozen=True)
class Clipped:
    """A box inside the image, and whether it had to be cut to be."""

    box: Box
    cut: bool


def clip(values: Sequence[float], width: int, height: int) -> Clipped:
    """Make [x, y, width, height] in pixels a box of an image of `width` x `height` pixels.

    The edges move outwards to whole pixels, then inwards to the image.

    Raises:
        BadBox: not four finite numbers, no area, or no pixel inside the image.
    """
    if len(values) != 4 or not all(math.isfinite(value) for value in values):
        raise BadBox(f"box {list(values)}: expected four finite numbers: x, y, width, height")
    x, y, across, down = values
    if across <= 0 or down <= 0:
        raise BadBox(f"box {list(values)} has no area")
    left, top, right, bottom = math.floor(x), math.floor(y), math.ceil(x + across), math.ceil(y + down)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if x0 >= x1 or y0 >= y1:
        raise BadBox(f"box {list(values)} lies outside of the image, {width} x {height} pixels")
    return Clipped(Box(x0, y0, x1 - x0, y1 - y0), (x0, y0, x1, y1) != (left, top, right, bottom))
