"""Where the objects of a question are, in whole pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sparring.samples.sample import Box

DTypeT = TypeVar("DTypeT", bound=np.generic)


@dataclass(frozen=True)
class Region:
    """A rectangle of pixels: rows `top` to `bottom`, columns `left` to `right`, the ends left out."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def empty(self) -> bool:
        return self.height <= 0 or self.width <= 0

    def of(self, image: NDArray[DTypeT]) -> NDArray[DTypeT]:
        """This part of an image."""
        return image[self.top : self.bottom, self.left : self.right]

    def clipped(self, height: int, width: int) -> Region:
        """What of it lies inside an image."""
        return Region(max(0, self.left), max(0, self.top), min(width, self.right), min(height, self.bottom))

    def within(self, other: Region) -> Region:
        """Its place in what another shows of the image."""
        return Region(self.left - other.left, self.top - other.top, self.right - other.left, self.bottom - other.top)

    def widened(self, pixels: int) -> Region:
        """The same with so much more on each side."""
        return Region(self.left - pixels, self.top - pixels, self.right + pixels, self.bottom + pixels)

    def scaled(self, factor: float) -> Region:
        """Its place in an image that was resized by `factor`."""
        return Region(
            math.floor(self.left * factor),
            math.floor(self.top * factor),
            math.ceil(self.right * factor),
            math.ceil(self.bottom * factor),
        )


def changed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Region:
    """The least rectangle with all pixels in which two images of one size differ; empty if there are none.

    Args:
        before, after: [height, width, 3].
    """
    height, width, channels = before.shape
    differs = (before != after).reshape(height, width * channels)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0)) // channels
    if not rows.size:
        return Region(0, 0, 0, 0)
    return Region(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def region(box: Box) -> Region:
    """The pixels that a box touches."""
    return Region(math.floor(box.x), math.floor(box.y), math.ceil(box.x + box.width), math.ceil(box.y + box.height))


def visible(box: Box, affine: tuple[float, ...], height: int, width: int) -> float:
    """How much of a box an image of that size still shows after its geometry moved: 0 to 1.

    Args:
        box: in the original.
        affine: 2 x 3, row-major, from a point of the original to its place in the edit, pixels.
        height, width: of the edit.
    """
    a, b, c, d, e, f = affine
    corners = [(box.x + i * box.width, box.y + j * box.height) for i in (0, 1) for j in (0, 1)]
    xs = [a * x + b * y + c for x, y in corners]
    ys = [d * x + e * y + f for x, y in corners]
    across = min(width, max(xs)) - max(0.0, min(xs))
    down = min(height, max(ys)) - max(0.0, min(ys))
    area = (max(xs) - min(xs)) * (max(ys) - min(ys))
    return max(0.0, across) * max(0.0, down) / area if area > 0 else 0.0
