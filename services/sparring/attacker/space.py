"""Where an edit may go: rectangles that keep off the targets' boxes, found exactly, whatever the image's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparring.samples.sample import Target

Kind = Literal["semantic", "corruption"]
"""Whether an edit changes what is to be seen away from the targets, or degrades all of the image."""
MARGIN = 2
"""Distance that edits keep from targets, pixels."""
SMALLEST = 4
"""Shortest side of an edit, pixels; a smaller one nobody would see."""


class NoRoom(ValueError):
    """An attack finds nothing to do: the targets leave no place for an edit, or there is nothing to change.

    Attributes:
        kind: what the edit would have been.
    """

    def __init__(self, message: str, kind: Kind = "semantic") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Place:
    """A rectangle, pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def window(self) -> tuple[slice, slice]:
        """What to index an image [height, width, ...] with."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def free_place(shape: tuple[int, ...], targets: Sequence[Target], rng: np.random.Generator) -> Place:
    """A place of random size and position, each position as likely as the next.

    Its sides are a sixth to a quarter of the image's shorter one; while nothing so large fits, they are halved.

    Args:
        shape: of the image: height, width, and anything.
        targets: to keep off by `MARGIN`.
        rng: decides.

    Raises:
        NoRoom: not even `SMALLEST` x `SMALLEST` pixels are free.
    """
    rows, columns = shape[:2]
    sides = rng.uniform(1 / 6, 1 / 4, size=2) * min(rows, columns)
    while True:
        height, width = (max(SMALLEST, round(side)) for side in sides)
        free = free_corners(rows, columns, height, width, targets)
        if free.any():
            return Place(*_draw(free, rng), height, width)
        if height == width == SMALLEST:
            break
        sides = sides / 2
    raise NoRoom(
        f"{len(targets)} targets leave no {SMALLEST} x {SMALLEST} pixels for an edit in an image of {columns} x {rows}"
    )


def free_corners(rows: int, columns: int, height: int, width: int, targets: Sequence[Target]) -> NDArray[np.bool_]:
    """Where the top left corner of a `height` x `width` place may be: bool [rows - height + 1, columns - width + 1]."""
    free = np.ones((max(0, rows - height + 1), max(0, columns - width + 1)), dtype=bool)
    for target in targets:
        box = target.box
        free[
            _before(box.y - MARGIN - height) : _after(box.y + box.height + MARGIN),
            _before(box.x - MARGIN - width) : _after(box.x + box.width + MARGIN),
        ] = False
    return free


def apart(place: Place, targets: Sequence[Target]) -> NDArray[np.bool_]:
    """Which pixels of a place keep their distance from the targets: bool [place.height, place.width]."""
    far = np.ones((place.height, place.width), dtype=bool)
    for target in targets:
        box = target.box
        far[
            _inside(np.floor(box.y - MARGIN) - place.top) : _inside(np.ceil(box.y + box.height + MARGIN) - place.top),
            _inside(np.floor(box.x - MARGIN) - place.left) : _inside(np.ceil(box.x + box.width + MARGIN) - place.left),
        ] = False
    return far


def _draw(free: NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int]:
    """Row and column of one of the true elements; a large photograph has millions, so they are not listed."""
    until = free.sum(axis=1).cumsum()
    chosen = int(rng.integers(until[-1]))
    row = int(np.searchsorted(until, chosen, side="right"))
    earlier = int(until[row - 1]) if row else 0
    return row, int(np.flatnonzero(free[row])[chosen - earlier])


def _inside(edge: float) -> int:
    """An edge of a box as an index into a place, whose first row or column has 0."""
    return max(0, int(edge))


def _before(edge: float) -> int:
    """First corner too close to a box whose last free corner is at `edge`."""
    return max(0, int(np.floor(edge)) + 1)


def _after(edge: float) -> int:
    """First corner that is free again after `edge`."""
    return max(0, int(np.ceil(edge)))
