"""Add a distractor: a form drawn from nothing, or a thing from elsewhere in the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from sparring.attacker.colours import striking
from sparring.attacker.forms import drawn
from sparring.attacker.layers import Layer, Pixels, overlaid, strength
from sparring.attacker.procedural import Attacked
from sparring.attacker.space import NoRoom, Place, free_place
from sparring.attacker.things import pick_thing
from sparring.samples.sample import Target

COPIES = 0.4
"""Probability that a thing from elsewhere is tried first."""
SEEN = 25.0
"""Least mean distance (RGB, 0 to 255) of a copy from what it covers; less would hardly be seen."""


def add(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Put something at a free place.

    Raises:
        NoRoom: there is none.
    """
    place = free_place(image.shape, targets, rng)
    layer = _copy(image, targets, place, rng) if rng.random() < COPIES else None
    if layer is None:
        around = image[place.window].mean(axis=(0, 1), dtype=np.float32)
        layer = drawn(place, striking(image, targets, [around], rng), rng)
    return Attacked(overlaid(image, targets, layer), "semantic")


def _copy(image: Pixels, targets: Sequence[Target], place: Place, rng: np.random.Generator) -> Layer | None:
    """A thing from elsewhere, as large as the place, at times mirrored; None if there is none, or it is not seen."""
    try:
        thing = pick_thing(image, targets, rng)
    except NoRoom:
        return None
    source = thing.place
    rgb = np.ascontiguousarray(image[source.window])
    cover = (thing.cover(source) * 255).astype(np.uint8)
    patch = Image.merge("RGBA", [*Image.fromarray(rgb).split(), Image.fromarray(cover)])
    patch = ImageOps.contain(patch, (place.width, place.height), Image.Resampling.BICUBIC)
    if rng.random() < 0.5:
        patch = ImageOps.mirror(patch)
    pixels = np.asarray(patch, dtype=np.float32)
    layer = Layer(
        Place(place.top, place.left, patch.height, patch.width), pixels[..., :3], pixels[..., 3] / np.float32(255)
    )
    return layer if strength(image, layer) >= SEEN else None
