"""What JPEG leaves of an image."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from sparring.attacker.procedural import Attacked, Pixels
from sparring.samples.sample import Target

QUALITY = (5, 50)
"""Lowest and highest, on the scale of the Independent JPEG Group."""


def jpeg(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Encode and decode, colour at half the resolution."""
    file, quality = io.BytesIO(), int(rng.integers(QUALITY[0], QUALITY[1] + 1))
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file) as decoded:
        return Attacked(np.asarray(decoded), "corruption")
