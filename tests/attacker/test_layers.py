from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparring.attacker.layers import Layer, overlaid, strength
from sparring.attacker.space import MARGIN, Place
from sparring.samples.sample import Box, Target

PLACE = Place(4, 6, 10, 12)


def painted(colour: float, cover: np.ndarray | float, place: Place = PLACE) -> Layer:
    size = place.height, place.width
    return Layer(place, np.full((*size, 3), colour, np.float32), np.broadcast_to(np.float32(cover), size))


def test_a_layer_covers_by_its_share_and_leaves_the_image_alone():
    image = np.full((30, 40, 3), 100, dtype=np.uint8)
    image.setflags(write=False)
    edited = overlaid(image, [], painted(200, 0.25))
    assert (edited[PLACE.window] == 125).all()
    edited[PLACE.window] = 100
    np.testing.assert_array_equal(edited, image)


def test_the_last_layer_is_on_top_and_colours_are_cut():
    image = np.zeros((30, 40, 3), dtype=np.uint8)
    assert (overlaid(image, [], painted(50, 1), painted(300, 1))[PLACE.window] == 255).all()
    assert (overlaid(image, [], painted(50, 1), painted(-300, 1))[PLACE.window] == 0).all()


@given(box=st.builds(Box, st.floats(-9, 50), st.floats(-9, 40), st.floats(0.1, 40), st.floats(0.1, 40)))
def test_nothing_within_the_margin_of_a_target_changes(box):
    image = np.zeros((30, 40, 3), dtype=np.uint8)
    changed = overlaid(image, [Target("it", box)], painted(200, 1)).any(axis=2)
    for (row, column), is_changed in np.ndenumerate(changed):
        away = (
            column + 1 <= box.x - MARGIN
            or column >= box.x + box.width + MARGIN
            or row + 1 <= box.y - MARGIN
            or row >= box.y + box.height + MARGIN
        )
        assert is_changed == (away and 4 <= row < 14 and 6 <= column < 18)


@given(cover=arrays(np.float32, (10, 12), elements=st.floats(0, 1, width=32)))
def test_strength_is_the_mean_distance_by_cover(cover):
    image = np.full((30, 40, 3), 100, dtype=np.uint8)
    expected = np.sqrt(3) * 40 if cover.sum() else 0
    assert strength(image, painted(140, cover)) == pytest.approx(expected, rel=1e-4)
