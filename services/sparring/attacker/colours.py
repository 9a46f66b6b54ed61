"""Colours for what an edit adds or paints: such that it is seen, and at times that of a target, to confuse."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparring.attacker.layers import Floats, Pixels
from sparring.samples.sample import Target

TRIES = 3
"""Colours that are drawn; the one that stands out most is taken."""
BORROWED = 0.5
"""Probability that a colour is one of a target's, where there are targets."""


def striking(
    image: Pixels, targets: Sequence[Target], around: Sequence[Floats], rng: np.random.Generator
) -> NDArray[np.float32]:
    """A colour far from others.

    Args:
        image: uint8 [height, width, 3].
        targets: whose colours may be borrowed.
        around: the colours to stand out from, each float32 [3], 0 to 255.
        rng: decides.

    Returns:
        float32 [3], 0 to 255.
    """
    drawn = [_borrowed(image, targets, rng) if rng.random() < BORROWED else _vivid(rng) for _ in range(TRIES)]
    return max(drawn, key=lambda colour: min(float(np.linalg.norm(colour - other)) for other in around))


def _vivid(rng: np.random.Generator) -> NDArray[np.float32]:
    hue, saturation, value = rng.uniform([0, 0.6, 0.5], 1)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), dtype=np.float32) * np.float32(255)


def _borrowed(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> NDArray[np.float32]:
    """The colour of some point of a target."""
    if not targets:
        return _vivid(rng)
    box = targets[int(rng.integers(len(targets)))].box
    x, y = box.x + rng.random() * box.width, box.y + rng.random() * box.height
    height, width = image.shape[:2]
    return image[int(np.clip(y, 0, height - 1)), int(np.clip(x, 0, width - 1))].astype(np.float32)
