from __future__ import annotations

import colorsys

import numpy as np

from sparring.attacker.colours import striking
from sparring.samples.sample import Box, Target

GREY = np.full(3, 128, dtype=np.float32)
IMAGE = np.full((40, 40, 3), 128, dtype=np.uint8)


def test_colours_are_vivid_and_far_from_what_is_around():
    distances = []
    for seed in range(200):
        colour = striking(IMAGE, [], [GREY], np.random.default_rng(seed))
        assert colour.dtype == np.float32
        _, saturation, value = colorsys.rgb_to_hsv(*(colour / 255))
        assert saturation > 0.59
        assert value > 0.49
        distances.append(np.linalg.norm(colour - GREY))
    assert min(distances) > 60


def test_half_of_the_colours_that_are_drawn_are_a_targets():
    image = IMAGE.copy()
    image[10:20, 10:20] = (255, 255, 0)
    target = [Target("a lemon", Box(10, 10, 10, 10))]
    borrowed = [
        bool((striking(image, target, [GREY], np.random.default_rng(seed)) == (255, 255, 0)).all())
        for seed in range(300)
    ]
    # Yellow is farther from grey than most, and three colours are drawn.
    assert 0.5 < np.mean(borrowed) < 0.875 + 0.06
    beyond = [Target("a lemon", Box(-30, 35, 20, 20))]
    assert striking(image, beyond, [GREY], np.random.default_rng(1)).shape == (3,)


def test_every_colour_around_counts():
    around = [np.array(colour, dtype=np.float32) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    least = [
        min(np.linalg.norm(striking(IMAGE, [], around, np.random.default_rng(seed)) - other) for other in around)
        for seed in range(100)
    ]
    assert np.mean(least) > 120
