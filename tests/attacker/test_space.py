from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.attacker.space import MARGIN, SMALLEST, NoRoom, free_corners, free_place
from sparring.samples.sample import Box, Target


def target(x: float, y: float, width: float, height: float) -> Target:
    return Target("a thing", Box(x, y, width, height))


boxes = st.builds(target, st.floats(-20, 60), st.floats(-20, 60), st.floats(0.1, 50), st.floats(0.1, 50))


@settings(deadline=None)
@given(
    shape=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    targets=st.lists(boxes, max_size=4),
)
def test_free_corners_are_those_whose_pixels_all_keep_their_distance(shape, size, targets):
    (rows, columns), (height, width) = shape, size
    free = free_corners(rows, columns, height, width, targets)
    assert free.shape == (max(0, rows - height + 1), max(0, columns - width + 1))
    for (top, left), is_free in np.ndenumerate(free):
        apart = all(
            left + width <= t.box.x - MARGIN
            or left >= t.box.x + t.box.width + MARGIN
            or top + height <= t.box.y - MARGIN
            or top >= t.box.y + t.box.height + MARGIN
            for t in targets
        )
        assert is_free == apart


@settings(deadline=None)
@given(seed=st.integers(0, 2**64 - 1), targets=st.lists(boxes, max_size=4))
def test_a_place_lies_in_the_image_and_off_the_targets(seed, targets):
    mask = np.zeros((40, 50), dtype=bool)
    for t in targets:
        rows = slice(max(0, int(t.box.y)), max(0, int(np.ceil(t.box.y + t.box.height))))
        mask[rows, max(0, int(t.box.x)) : max(0, int(np.ceil(t.box.x + t.box.width)))] = True
    try:
        place = free_place((40, 50, 3), targets, np.random.default_rng(seed))
    except NoRoom:
        assert not free_corners(40, 50, SMALLEST, SMALLEST, targets).any()
        return
    assert mask[place.window].shape == (place.height, place.width)
    assert not mask[place.window].any()


def test_every_free_position_is_as_likely():
    wall = [target(12, 0, 30, 40)]
    lefts = [free_place((24, 60), wall, np.random.default_rng(seed)).left for seed in range(2000)]
    left_of_wall, right_of_wall = np.sum(np.array(lefts) < 12), np.sum(np.array(lefts) >= 44)
    assert left_of_wall + right_of_wall == 2000
    # Sides are 4 to 6 pixels, so 5 to 7 positions are left of the wall and 11 to 13 right of it.
    assert 0.27 < left_of_wall / 2000 < 0.40


def test_a_narrow_image_gets_a_smaller_edit():
    place = free_place((100, 100), [target(0, 0, 100, 88)], np.random.default_rng(0))
    assert (place.top, place.height) == pytest.approx((92, 6), abs=2)


def test_no_room_is_said_with_numbers():
    with pytest.raises(NoRoom, match="1 targets leave no 4 x 4 pixels for an edit in an image of 30 x 20"):
        free_place((20, 30, 3), [target(2, 2, 26, 16)], np.random.default_rng(0))
    with pytest.raises(NoRoom):
        free_place((3, 300), [], np.random.default_rng(0))


def test_a_large_photograph_is_no_burden():
    place = free_place((4096, 4096, 3), [target(100, 100, 3000, 3000)], np.random.default_rng(0))
    assert min(place.height, place.width) > 4096 / 7
