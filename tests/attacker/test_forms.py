from __future__ import annotations

import numpy as np
import pytest

from sparring.attacker.forms import block, drawn, ellipse, polygon
from sparring.attacker.space import Place

RED = np.array([200, 40, 40], dtype=np.float32)


def grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    axis = np.linspace(-1 + 1 / side, 1 - 1 / side, side, dtype=np.float32)
    return axis[None, :], axis[:, None]


def test_an_ellipse_and_a_block_fill_their_share_of_the_place():
    x, y = grid(400)
    assert (ellipse(x, y, np.random.default_rng(0)) < 0).mean() == pytest.approx(np.pi / 4, abs=0.003)
    for seed in range(10):
        radius = np.random.default_rng(seed).uniform(0.05, 0.4)
        inside = (block(x, y, np.random.default_rng(seed)) < 0).mean()
        assert inside == pytest.approx(1 - (4 - np.pi) * radius**2 / 4, abs=0.003)


def test_polygons_have_three_to_six_corners():
    x, y = grid(400)
    areas = [(polygon(x, y, np.random.default_rng(seed)) < 0).mean() * 4 for seed in range(60)]
    regular = [corners / 2 * np.sin(2 * np.pi / corners) for corners in (3, 4, 5, 6)]
    nearest = [int(np.argmin(np.abs(np.array(regular) - area))) for area in areas]
    assert set(nearest) == {0, 1, 2, 3}
    np.testing.assert_allclose(areas, [regular[index] for index in nearest], atol=0.02)


@pytest.mark.parametrize("side", [4, 14, 360])
def test_forms_are_solid_soft_at_the_edge_and_lit(side):
    for seed in range(30):
        layer = drawn(Place(0, 0, side, side + 3), RED, np.random.default_rng(seed))
        assert layer.cover.shape == layer.colours.shape[:2] == (side, side + 3)
        assert layer.cover.dtype == layer.colours.dtype == np.float32
        assert layer.cover.min() >= 0
        assert layer.cover.max() == 1
        assert layer.cover.mean() > 0.25
        solid = layer.colours[layer.cover == 1]
        assert np.ptp(layer.colours.sum(axis=2)) > 100
        np.testing.assert_allclose(np.median(solid, axis=0), RED, atol=70)
        steps = np.abs(np.diff(layer.cover, axis=1)).max()
        assert steps <= (0.1 if side > 100 else 1)
