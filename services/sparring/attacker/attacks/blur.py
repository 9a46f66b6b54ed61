"""Blur all over, targets too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from sparring.attacker.procedural import Attacked, Pixels
from sparring.samples.sample import Target

DEVIATION = (0.5, 1.5)
"""Least and greatest, pixels of an image of 64 x 64. It grows with the square root of the shorter side: what is asked
about in a larger image has more pixels, but is a smaller part of it."""


def blur(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Gaussian blur, as Pillow does it (by repeated means, whose cost does not depend on the deviation)."""
    deviation = rng.uniform(*DEVIATION) * (min(image.shape[:2]) / 64) ** 0.5
    soft = Image.fromarray(image).filter(ImageFilter.GaussianBlur(deviation))
    return Attacked(np.asarray(soft), "corruption")
