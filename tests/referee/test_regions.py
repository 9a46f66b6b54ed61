"""Boxes in pixels, and under an affine map."""

import numpy as np
import pytest

from sparring.referee.regions import Region, changed, region, visible
from sparring.samples.sample import Box

STILL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def test_a_region_holds_every_pixel_that_the_box_touches() -> None:
    assert region(Box(1.5, 2.0, 3.0, 0.25)) == Region(1, 2, 5, 3)


def test_clipping_and_emptiness() -> None:
    part = Region(-3, 2, 5, 20)
    assert part.clipped(10, 4) == Region(0, 2, 4, 10)
    assert not part.empty
    assert Region(9, 0, 12, 3).clipped(10, 4).empty


def test_scaling_covers_at_least_the_same() -> None:
    assert Region(3, 5, 10, 11).scaled(0.5) == Region(1, 2, 5, 6)


def test_of_takes_rows_before_columns() -> None:
    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    np.testing.assert_array_equal(Region(2, 1, 4, 3).of(image), image[1:3, 2:4])


def test_within_shows_the_same_pixels() -> None:
    image = np.arange(9 * 7 * 3, dtype=np.uint8).reshape(9, 7, 3)
    outer, inner = Region(1, 2, 6, 9), Region(2, 4, 5, 8)
    np.testing.assert_array_equal(inner.within(outer).of(outer.of(image)), inner.of(image))


@pytest.mark.parametrize("seed", range(5))
def test_what_changed_is_the_least_rectangle_around_all_pixels_that_differ(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 255, (13, 17, 3), dtype=np.uint8)
    after = before.copy()
    places = [(int(rng.integers(13)), int(rng.integers(17))) for _ in range(seed + 1)]
    for row, column in places:
        after[row, column, int(rng.integers(3))] += 1
    rows, columns = zip(*places, strict=True)
    assert changed(before, after) == Region(min(columns), min(rows), max(columns) + 1, max(rows) + 1)


def test_nothing_changed_in_equal_images() -> None:
    image = np.full((4, 5, 3), 7, dtype=np.uint8)
    assert changed(image, image.copy()).empty


@pytest.mark.parametrize(
    ("affine", "expected"),
    [
        (STILL, 1.0),
        ((1.0, 0.0, -15.0, 0.0, 1.0, 0.0), 0.5),
        ((1.0, 0.0, 0.0, 0.0, 1.0, 95.0), 0.5),
        ((1.0, 0.0, 100.0, 0.0, 1.0, 0.0), 0.0),
        ((2.0, 0.0, 0.0, 0.0, 2.0, 0.0), 1.0),
        ((0.0, 1.0, 0.0, 1.0, 0.0, 0.0), 1.0),
        ((0.0, 0.0, 5.0, 0.0, 0.0, 5.0), 0.0),
    ],
    ids=["still", "half out left", "half out below", "gone", "zoomed", "transposed", "collapsed"],
)
def test_how_much_of_a_box_is_left_in_the_picture(affine: tuple[float, ...], expected: float) -> None:
    assert visible(Box(10, 0, 10, 10), affine, 100, 100) == pytest.approx(expected)
