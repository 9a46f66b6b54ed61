"""Recolour a thing: its own light and shade, in another colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparring.attacker.colours import striking
from sparring.attacker.layers import Layer, Pixels, overlaid
from sparring.attacker.procedural import Attacked
from sparring.attacker.things import pick_thing
from sparring.samples.sample import Target


def recolour(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Move the mean colour of one of the things that stand out most to another, which is far from the first.

    Raises:
        NoRoom: nothing stands out away from the targets.
    """
    thing = pick_thing(image, targets, rng)
    place, mean = thing.place, thing.colour(image)
    colours = image[place.window] + (striking(image, targets, [mean], rng) - mean)
    return Attacked(overlaid(image, targets, Layer(place, colours, thing.cover(place))), "semantic")
