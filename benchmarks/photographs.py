"""Photographs to measure on: those that scikit-image brings along, with boxes of what a question might be about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from sparring.samples.sample import Box, Target

BOXES = {
    "astronaut": {"the face": (190, 70, 80, 100), "the badge": (133, 350, 72, 70)},
    "camera": {"the camera": (250, 130, 80, 80), "the tower": (405, 115, 32, 66)},
    "chelsea": {"the left eye": (132, 83, 84, 72), "the nose": (238, 215, 50, 50)},
    "coffee": {"the spoon": (324, 233, 80, 100), "the handle": (190, 232, 68, 80)},
    "coins": {"the first coin": (18, 32, 50, 46), "the largest coin": (313, 154, 68, 68)},
    "rocket": {"the rocket": (302, 125, 40, 290), "the white lamp": (530, 378, 44, 48)},
    "hubble_deep_field": {"the red star": (697, 446, 54, 56), "the orange star": (270, 80, 50, 48)},
    "moon": {"the crater": (90, 55, 60, 64)},
    "stereo_motorcycle": {"the front wheel": (514, 270, 146, 186), "the headlight": (520, 115, 56, 66)},
}
"""By name: x, y, width, height in pixels of the original size."""


@dataclass(frozen=True)
class Photograph:
    """A photograph, uint8 [height, width, 3], and what is not to be touched."""

    name: str
    image: NDArray[np.uint8]
    targets: tuple[Target, ...]


def photographs(pixels: int) -> Iterator[Photograph]:
    """All of them, resized to about so many pixels, their proportions kept."""
    for name, boxes in BOXES.items():
        loaded = getattr(data, name)()
        picture = Image.fromarray(loaded[0] if isinstance(loaded, tuple) else loaded).convert("RGB")
        scale = (pixels / (picture.width * picture.height)) ** 0.5
        width, height = round(picture.width * scale), round(picture.height * scale)
        across, down = width / picture.width, height / picture.height
        targets = (
            Target(what, Box(x * across, y * down, w * across, h * down)) for what, (x, y, w, h) in boxes.items()
        )
        resized = picture.resize((width, height), Image.Resampling.BICUBIC)
        yield Photograph(name, np.asarray(resized), tuple(targets))
