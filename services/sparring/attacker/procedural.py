"""Attacks without a model: seeded, of any image size, and away from the targets' boxes.

An attack is a function of an image, the targets to keep off, and a generator. Others join by entry point
`sparring.attacks`. Where the targets leave no room, an attack raises `NoRoom` and the call is refused: an unchanged
image in place of the edit would pass every integrity check and be counted as an attack that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sparring.attacker.space import Place, free_place
from sparring.samples.sample import Target

Pixels = NDArray[np.uint8]
GROUP = "sparring.attacks"


class UnknownAttack(LookupError):
    """No attack of that name."""


@dataclass(frozen=True)
class Attacked:
    """One edit.

    Attributes:
        image: uint8 [height, width, 3], of the original's size.
        kind: whether it changes what is to be seen away from the targets, or degrades all of the image.
        affine: where geometry moved, the 2 x 3 matrix (row-major) from original to edit, pixels.
    """

    image: Pixels
    kind: Literal["semantic", "corruption"]
    affine: tuple[float, float, float, float, float, float] | None = None


Attack = Callable[[Pixels, Sequence[Target], np.random.Generator], Attacked]


def composite(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Put an ellipse or rectangle of one colour, or a patch from elsewhere in the image, at a free place.

    Raises:
        NoRoom: there is none.
    """
    place = free_place(image.shape, targets, rng)
    edited = image.copy()
    form = rng.choice(["ellipse", "rectangle", "patch"])
    edited[place.window] = _patch(image, targets, place, rng) if form == "patch" else _shape(image, place, form, rng)
    return Attacked(edited, "semantic")


def _shape(image: Pixels, place: Place, form: str, rng: np.random.Generator) -> Pixels:
    """The window at `place` with a shape drawn over it."""
    canvas = Image.fromarray(np.ascontiguousarray(image[place.window]))
    pen = ImageDraw.Draw(canvas)
    draw = pen.ellipse if form == "ellipse" else pen.rectangle
    red, green, blue = (int(value) for value in rng.integers(0, 256, size=3))
    draw((0, 0, place.width - 1, place.height - 1), fill=(red, green, blue))
    return np.asarray(canvas)


def _patch(image: Pixels, targets: Sequence[Target], place: Place, rng: np.random.Generator) -> Pixels:
    """What is at another free place, made as large as `place`. A copied target would change the answer."""
    source = free_place(image.shape, targets, rng)
    patch = Image.fromarray(np.ascontiguousarray(image[source.window]))
    return np.asarray(patch.resize((place.width, place.height), Image.Resampling.BICUBIC))


def recolour(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Turn the hue at a free place by a quarter to three quarters of the circle, and strengthen its saturation.

    Raises:
        NoRoom: there is none.
    """
    place = free_place(image.shape, targets, rng)
    window = Image.fromarray(np.ascontiguousarray(image[place.window])).convert("HSV")
    hue, saturation, value = window.split()
    turn = int(rng.integers(64, 193))
    turned = (hue.point(lambda level: (level + turn) % 256), saturation.point(lambda level: min(level + 80, 255)))
    edited = image.copy()
    edited[place.window] = np.asarray(Image.merge("HSV", (*turned, value)).convert("RGB"))
    return Attacked(edited, "semantic")


def noise(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Gaussian noise all over, targets too, deviation 5 to 25 of 255."""
    deviation = rng.uniform(5, 25)
    noisy = image + deviation * rng.standard_normal(image.shape, dtype=np.float32)
    return Attacked(noisy.round().clip(0, 255).astype(np.uint8), "corruption")


def find_attack(name: str) -> Attack:
    """The attack registered under `name`.

    Raises:
        UnknownAttack: there is none; the message lists those that there are.
    """
    registered = entry_points(group=GROUP)
    if name not in registered.names:
        raise UnknownAttack(f"no attack is called {name!r}; there are {sorted(registered.names)}")
    attack: Attack = registered[name].load()
    return attack
