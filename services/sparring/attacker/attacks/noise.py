"""Noise all over, targets too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparring.attacker.procedural import Attacked, Pixels
from sparring.samples.sample import Target

DEVIATION = (5.0, 25.0)
"""Least and greatest standard deviation, of 255 levels."""


def noise(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Gaussian noise, each channel by itself."""
    noisy = rng.standard_normal(image.shape, dtype=np.float32)
    noisy *= np.float32(rng.uniform(*DEVIATION))
    noisy += image
    return Attacked(noisy.round(out=noisy).clip(0, 255, out=noisy).astype(np.uint8), "corruption")
