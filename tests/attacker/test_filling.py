from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sparring.attacker.filling import filled, harmonic
from sparring.attacker.layers import overlaid
from sparring.attacker.things import Thing
from sparring.samples.sample import Box, Target


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), rows=st.integers(3, 12), columns=st.integers(3, 12))
def test_each_pixel_of_a_closed_hole_is_the_mean_of_its_neighbours(seed, rows, columns):
    pictures = np.random.default_rng(seed).uniform(0, 255, (2, rows, columns, 3)).astype(np.float32)
    gone = np.random.default_rng(seed).random((rows, columns)) < 0.6
    assume(gone.any() and not gone.all())
    closed = harmonic(pictures, gone)
    np.testing.assert_array_equal(closed[:, ~gone], pictures[:, ~gone])
    padded = np.pad(closed, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=np.nan)
    around = [padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]]
    np.testing.assert_allclose(closed[:, gone], np.nanmean(around, axis=0)[:, gone], atol=0.01)


def test_a_slope_goes_on_through_a_hole():
    y, x = np.mgrid[:20, :30].astype(np.float32)
    slope = np.stack([3 * x, 100 - 2 * y, 5 + x + y], axis=2)[None]
    gone = np.zeros((20, 30), dtype=bool)
    gone[4:15, 8:25] = True
    spoilt = np.where(gone[..., None], 255, slope)
    np.testing.assert_allclose(harmonic(spoilt, gone), slope, atol=1e-3)


def grass(height: int, width: int) -> np.ndarray:
    """A ground with a slope and a texture of its own."""
    y, x = np.mgrid[:height, :width]
    slope = 60 + 60 * x / width + 40 * y / height
    texture = np.random.default_rng(1).normal(0, 8, (height, width))
    return np.repeat((slope + texture)[..., None], 3, axis=2)


@pytest.mark.parametrize("scale", [1, 8])
def test_a_filled_place_has_the_ground_and_the_texture_around(scale):
    outline = np.zeros((64, 64), dtype=bool)
    outline[25:37, 20:34] = True
    ground = grass(64 * scale, 64 * scale)
    image = ground.clip(0, 255).astype(np.uint8)
    image[25 * scale : 37 * scale, 20 * scale : 34 * scale] = (230, 30, 30)
    thing = Thing(outline, *image.shape[:2])
    edited = overlaid(image, [], filled(image, thing, [], np.random.default_rng(0))).astype(float)
    window = slice(25 * scale, 37 * scale), slice(20 * scale, 34 * scale)
    rest = edited[window] - ground[window]
    assert abs(rest.mean()) < 6
    assert 6 < edited[window].std() < 16
    far = np.ones(image.shape[:2], dtype=bool)
    far[20 * scale : 42 * scale, 15 * scale : 39 * scale] = False
    np.testing.assert_array_equal(edited[far], image[far])


def test_no_detail_is_taken_from_a_target():
    outline = np.zeros((64, 64), dtype=bool)
    outline[5:15, 5:15] = True
    image = np.full((64, 64, 3), 100, dtype=np.uint8)
    image[5:15, 5:15] = 255
    image[30:, :] = np.random.default_rng(0).integers(0, 256, (34, 64, 3))
    for seed in range(20):
        targets = [Target("a crowd", Box(0, 30, 64, 34))]
        edited = overlaid(image, targets, filled(image, Thing(outline, 64, 64), targets, np.random.default_rng(seed)))
        assert (edited[:30] == 100).all()
