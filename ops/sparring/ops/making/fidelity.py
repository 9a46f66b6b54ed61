"""What an edit left and what it brought: objects' similarity by the referee's measure, and new objects by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from sparring.referee.similarity import similarity
from sparring.samples.sample import Box
from sparring.samples.shapes import COLOURS, SHAPES, Colour, Item, sprite


def resemblance(one: NDArray[np.uint8], other: NDArray[np.uint8], box: Box) -> float:
    """The referee's similarity of `box` in two images of one size; 1 means equal."""
    left, top, right, bottom = int(box.x), int(box.y), int(box.x + box.width), int(box.y + box.height)
    return similarity(one[top:bottom, left:right], other[top:bottom, left:right])


LARGEST = 20
"""Sides of a changed part beyond which it is no single object, pixels."""


@dataclass(frozen=True)
class New:
    """Something that an edit shows and its control does not.

    Attributes:
        box: where it is.
        item: the object of the shapes world that it looks like; None if it looks like none.
        error: mean absolute difference from that object, 0 to 255, inside its box.
    """

    box: Box
    item: Item | None
    error: float


def added(
    control: NDArray[np.uint8], edit: NDArray[np.uint8], targets: tuple[Item, ...], *, tolerance: float = 24
) -> list[New]:
    """What is new in an edit, outside the targets' boxes; specks under 12 pixels do not count.

    An object is recognised if it differs from a perfectly drawn one by at most `tolerance` on average.
    """
    difference = np.abs(edit.astype(np.int16) - control).max(axis=2) > 40
    for target in targets:
        difference[target.y : target.y + target.size, target.x : target.x + target.size] = False
    parts, _ = label(difference, structure=np.ones((3, 3)))
    return [
        recognised(control, edit, part[0], part[1], tolerance)
        for index, part in enumerate(find_objects(parts), start=1)
        if (parts[part] == index).sum() >= 12
    ]


def recognised(
    control: NDArray[np.uint8], edit: NDArray[np.uint8], rows: slice, columns: slice, tolerance: float
) -> New:
    """The object of the shapes world that fits best near the box `rows` x `columns`."""
    best, found = np.inf, None
    box = Box(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
    if max(box.width, box.height) > LARGEST:
        return New(box, None, best)
    for size in range(10, 17):
        for y in range(rows.start - 1, rows.stop - size + 2):
            for x in range(columns.start - 1, columns.stop - size + 2):
                if min(x, y) >= 0 and max(x, y) + size <= len(edit):
                    shown = edit[y : y + size, x : x + size].astype(np.float32)
                    ground = control[y : y + size, x : x + size]
                    for shape in SHAPES:
                        cover = sprite(shape, size)
                        colour = nearest((shown * cover).sum((0, 1)) / cover.sum())
                        drawn = ground + cover * (np.array(COLOURS[colour], dtype=np.float32) - ground)
                        error = float(np.abs(drawn - shown).mean())
                        if error < best:
                            best, found = error, Item(shape, colour, x, y, size)
    return New(box, found if best <= tolerance else None, best)


def nearest(colour: NDArray[np.float32]) -> Colour:
    """The world's colour that is nearest to an RGB value, 0 to 255."""
    return min(COLOURS, key=lambda name: float(np.abs(np.array(COLOURS[name]) - colour).sum()))
