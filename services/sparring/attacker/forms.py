"""Things drawn from nothing: solid, shaded, with soft edges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sparring.attacker.layers import Floats, Layer
from sparring.attacker.space import Place

SOFTNESS = 0.02
"""Half the width of the soft edge, as a part of a form's shorter side; at least half a pixel."""
SHADE = 0.25
"""By what part of its brightness a form is lighter towards the light and darker away from it."""
GLOSS = 0.5
"""Strength of the highlight, 0 to 1."""

Form = Callable[[Floats, Floats, np.random.Generator], Floats]
"""From coordinates, -1 to 1 over the place, to signed distances from the outline in the same units, negative inside."""


def ellipse(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    """As large as its place."""
    return np.hypot(x, y) - 1


def block(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    """As large as its place, its corners rounded."""
    radius = rng.uniform(0.05, 0.4)
    across, down = abs(x) - (1 - radius), abs(y) - (1 - radius)
    return np.hypot(across.clip(0), down.clip(0)) + np.maximum(across, down).clip(None, 0) - radius


def polygon(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    """Regular but for the place's proportions, with three to six corners, turned at random."""
    corners, turn = int(rng.integers(3, 7)), rng.uniform(0, 2 * np.pi)
    normals = turn + 2 * np.pi * np.arange(corners, dtype=np.float32) / corners
    sides = [x * np.cos(angle) + y * np.sin(angle) for angle in normals.astype(np.float32)]
    return np.max(sides, axis=0) - np.float32(np.cos(np.pi / corners))


FORMS: tuple[Form, ...] = (ellipse, block, polygon)


def drawn(place: Place, colour: NDArray[np.float32], rng: np.random.Generator) -> Layer:
    """One of the forms, of one colour, lit from a random side.

    Args:
        place: what it fills.
        colour: float32 [3], 0 to 255.
        rng: decides on form and light.
    """
    y, x = (np.linspace(-1 + 1 / side, 1 - 1 / side, side, dtype=np.float32) for side in (place.height, place.width))
    form = FORMS[rng.integers(len(FORMS))]
    distance = form(x[None, :], y[:, None], rng)
    soft = max(2 * SOFTNESS, 1 / min(place.height, place.width))
    cover = (0.5 - distance / (2 * soft)).clip(0, 1).astype(np.float32)
    return Layer(place, _lit(colour, x[None, :], y[:, None], rng), cover)


def _lit(colour: NDArray[np.float32], x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    """A colour under a light: float32 [rows, columns, 3]."""
    angle = rng.uniform(0, 2 * np.pi)
    along, up = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    shaded = colour * (1 + SHADE * (x * along + y * up))[..., None]
    gloss = GLOSS * np.exp(-(np.square(x - along / 2) + np.square(y - up / 2)) / np.float32(0.1))
    return np.asarray(shaded + gloss[..., None] * (255 - shaded), dtype=np.float32)
