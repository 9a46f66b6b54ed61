from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.samples.boxes import BadBox, clip

NUMBERS = st.floats(-50, 50, width=32)


@pytest.mark.parametrize(
    ("values", "box", "cut"),
    [
        ((3, 4, 5, 6), (3, 4, 5, 6), False),
        ((0, 0, 20, 10), (0, 0, 20, 10), False),
        ((3.2, 4.9, 1.0, 1.0), (3, 4, 2, 2), False),
        ((-2, 5, 10, 10), (0, 5, 8, 5), True),
        ((19.5, 9.5, 0.1, 0.1), (19, 9, 1, 1), False),
    ],
)
def test_known_boxes(values: tuple[float, ...], box: tuple[float, ...], cut: bool) -> None:
    clipped = clip(values, 20, 10)
    found = clipped.box
    assert (found.x, found.y, found.width, found.height) == box
    assert clipped.cut == cut


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 0, 0, 5), "no area"),
        ((0, 0, 5, -1), "no area"),
        ((20, 0, 5, 5), "outside"),
        ((0, -5, 5, 5), "outside"),
        ((math.nan, 0, 5, 5), "finite"),
        ((0, 0, math.inf, 5), "finite"),
        ((0, 0, 5), "four"),
    ],
)
def test_bad_boxes(values: tuple[float, ...], message: str) -> None:
    with pytest.raises(BadBox, match=message):
        clip(values, 20, 10)


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
def test_covers_every_pixel_that_the_box_touches(x: float, y: float, width: float, height: float) -> None:
    def touched(start: float, length: float, size: int) -> list[int]:
        return [pixel for pixel in range(size) if pixel < start + length and pixel + 1 > start]

    columns, rows = touched(x, width, 20), touched(y, height, 10)
    if width <= 0 or height <= 0 or not columns or not rows:
        with pytest.raises(BadBox):
            clip((x, y, width, height), 20, 10)
        return
    box = clip((x, y, width, height), 20, 10).box
    assert (box.x, box.x + box.width) == (columns[0], columns[-1] + 1)
    assert (box.y, box.y + box.height) == (rows[0], rows[-1] + 1)
