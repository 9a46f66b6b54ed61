"""Corruptions that move geometry. They say how, so that targets can be followed, and every target stays in sight."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor

import numpy as np
from PIL import Image

from sparring.attacker.procedural import Attacked, Pixels
from sparring.attacker.space import NoRoom
from sparring.samples.sample import Target

KEPT = (0.6, 0.95)
"""Least and most of the image's width and height that a crop keeps."""
FARTHEST = 0.15
"""Of a shift, as a part of the width and of the height."""

Span = tuple[int, int]
"""First pixel along an axis, and the one after the last."""


def crop(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Cut the image down, its proportions kept, and enlarge what is left to its size.

    Raises:
        NoRoom: the targets reach across the whole image.
    """
    height, width = image.shape[:2]
    rows, columns = _spans(targets, height, width)
    least = max((rows[1] - rows[0]) / height, (columns[1] - columns[0]) / width, KEPT[0])
    if ceil(least * height) >= height or ceil(least * width) >= width:
        raise NoRoom(f"{len(targets)} targets leave nothing to cut off an image of {width} x {height}", "corruption")
    part = rng.uniform(least, max(least, KEPT[1]))
    down, across = min(height - 1, ceil(part * height)), min(width - 1, ceil(part * width))
    top, left = _start(rows, down, height, rng), _start(columns, across, width, rng)
    box = (left, top, left + across, top + down)
    larger = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC, box)
    x, y = width / across, height / down
    return Attacked(np.asarray(larger), "corruption", (x, 0.0, -left * x, 0.0, y, -top * y))


def shift(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Move the image by whole pixels. What comes into sight has its mean colour: a mirrored rim might show a target.

    Raises:
        NoRoom: there is a target at every edge.
    """
    height, width = image.shape[:2]
    rows, columns = (_reach(*side) for side in zip(_spans(targets, height, width), (height, width), strict=True))
    if rows == columns == (0, 0):
        raise NoRoom(f"{len(targets)} targets leave no way to shift an image of {width} x {height}", "corruption")
    down = across = 0
    while not (down or across):
        down, across = (int(rng.integers(least, most + 1)) for least, most in (rows, columns))
    mean = Image.fromarray(image).resize((1, 1), Image.Resampling.BOX)
    moved = np.tile(np.asarray(mean), (height, width, 1))
    moved[max(0, down) : height + down, max(0, across) : width + across] = image[
        max(0, -down) : height - down, max(0, -across) : width - across
    ]
    return Attacked(moved, "corruption", (1.0, 0.0, float(across), 0.0, 1.0, float(down)))


def _spans(targets: Sequence[Target], height: int, width: int) -> tuple[Span, Span]:
    """Rows and columns that the targets take up together; without any, the point in the middle."""
    boxes = [target.box for target in targets]
    if not boxes:
        return (height // 2, height // 2), (width // 2, width // 2)
    rows = min(floor(box.y) for box in boxes), max(ceil(box.y + box.height) for box in boxes)
    columns = min(floor(box.x) for box in boxes), max(ceil(box.x + box.width) for box in boxes)
    return (max(0, rows[0]), min(height, rows[1])), (max(0, columns[0]), min(width, columns[1]))


def _start(span: Span, kept: int, side: int, rng: np.random.Generator) -> int:
    """First of `kept` pixels that hold the span."""
    return int(rng.integers(max(0, span[1] - kept), min(side - kept, span[0]) + 1))


def _reach(span: Span, side: int) -> Span:
    """Least and most that a span may move within a side."""
    farthest = int(FARTHEST * side)
    return -min(farthest, span[0]), min(farthest, side - span[1])
