"""What an edit lays over an image. All semantic attacks end here, and here alone it is seen to that targets stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparring.attacker.space import Place, apart
from sparring.samples.sample import Target

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """A piece of picture and how much it covers what is under it.

    Attributes:
        place: where, inside the image.
        colours: float32 [place.height, place.width, 3], 0 to 255; what exceeds this is cut.
        cover: float32 [place.height, place.width], 0 to 1.
    """

    place: Place
    colours: Floats
    cover: Floats


def overlaid(image: Pixels, targets: Sequence[Target], *layers: Layer) -> Pixels:
    """A copy of the image with layers over it, the last on top. Nothing closer to a target than the margin changes.

    Args:
        image: uint8 [height, width, 3].
        targets: to keep off.
        layers: from the bottom up.
    """
    edited = image.copy()
    for layer in layers:
        under = edited[layer.place.window]
        cover = (layer.cover * apart(layer.place, targets))[..., None]
        under[...] = (under + cover * (layer.colours - under)).round().clip(0, 255).astype(np.uint8)
    return edited


def strength(image: Pixels, layer: Layer) -> float:
    """Mean distance (RGB, 0 to 255) of a layer from what it covers; 0 if it covers nothing."""
    weight = float(layer.cover.sum())
    if not weight:
        return 0.0
    distance = np.linalg.norm(layer.colours - image[layer.place.window], axis=2)
    return float((layer.cover * distance).sum()) / weight
