"""Attacks without a model: seeded, of any image size, and away from the targets' boxes.

An attack is a function of an image, the boxes to keep off, and a generator. Others join by entry point
`sparring.attacks`. On an image that leaves no room beside the targets, `NoRoom` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from skimage.color import hsv2rgb, rgb2hsv

from sparring.samples.sample import Box, Target

Pixels = NDArray[np.uint8]

MARGIN = 2
"""Distance that edits keep from targets, pixels."""
TRIES = 200


class NoRoom(ValueError):
    """The targets leave no place for an edit."""


class UnknownAttack(LookupError):
    """No attack of that name."""


@dataclass(frozen=True)
class Attacked:
    """An edited image, uint8 of the original's size, and what kind of edit it is."""

    image: Pixels
    kind: Literal["semantic", "corruption"]


Attack = Callable[[Pixels, Sequence[Target], np.random.Generator], Attacked]


def composite(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Paste a coloured ellipse or rectangle, a quarter to a sixth of the image's shorter side, at a free place."""
    y, x, height, width = free_place(image, targets, rng)
    rows, columns = np.ogrid[:height, :width]
    inside = np.ones((height, width), dtype=bool)
    if rng.random() < 0.5:
        inside = ((rows + 0.5) / height * 2 - 1) ** 2 + ((columns + 0.5) / width * 2 - 1) ** 2 <= 1
    edited = image.copy()
    edited[y : y + height, x : x + width][inside] = rng.integers(0, 256, size=3)
    return Attacked(edited, "semantic")


def recolour(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Turn the hue of a free region, by a quarter to three quarters of the circle, and strengthen its saturation."""
    y, x, height, width = free_place(image, targets, rng)
    edited = image.copy()
    hsv = rgb2hsv(edited[y : y + height, x : x + width])
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(0.25, 0.75)) % 1
    hsv[..., 1] = np.clip(hsv[..., 1] + 0.3, 0, 1)
    edited[y : y + height, x : x + width] = np.round(hsv2rgb(hsv) * 255).astype(np.uint8)
    return Attacked(edited, "semantic")


def noise(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Gaussian noise all over, deviation 5 to 25 of 255."""
    strength = rng.uniform(5, 25)
    noisy = image.astype(np.float32) + rng.normal(0, strength, size=image.shape).astype(np.float32)
    return Attacked(noisy.round().clip(0, 255).astype(np.uint8), "corruption")


def free_place(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random rectangle that keeps off the targets.

    Raises:
        NoRoom: there is none, or it is hard to find.
    """
    rows, columns = image.shape[:2]
    side = min(rows, columns)
    for _ in range(TRIES):
        height, width = (max(2, int(side * rng.uniform(1 / 6, 1 / 4))) for _ in "hw")
        if height > rows or width > columns:
            continue
        y, x = int(rng.integers(0, rows - height + 1)), int(rng.integers(0, columns - width + 1))
        if all(apart(y, x, height, width, target.box) for target in targets):
            return y, x, height, width
    raise NoRoom(f"{len(targets)} targets leave no room for an edit in an image of {columns} x {rows} pixels")


def apart(y: int, x: int, height: int, width: int, box: Box) -> bool:
    """Whether a rectangle keeps its distance from a box."""
    return (
        x + width + MARGIN <= box.x
        or box.x + box.width + MARGIN <= x
        or y + height + MARGIN <= box.y
        or box.y + box.height + MARGIN <= y
    )


def find_attack(name: str) -> Attack:
    """The attack registered under `name`.

    Raises:
        UnknownAttack: there is none; the message lists those that there are.
    """
    registered = entry_points(group="sparring.attacks")
    if name not in registered.names:
        raise UnknownAttack(f"no attack is called {name!r}; there are {sorted(registered.names)}")
    attack: Attack = registered[name].load()
    return attack
