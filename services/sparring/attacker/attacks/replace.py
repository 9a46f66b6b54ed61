"""Replace a thing by another: take it out, and put a form of its size in its place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparring.attacker.colours import striking
from sparring.attacker.filling import filled
from sparring.attacker.forms import drawn
from sparring.attacker.layers import Pixels, overlaid
from sparring.attacker.procedural import Attacked
from sparring.attacker.things import pick_thing
from sparring.samples.sample import Target


def replace(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Put a form of another colour in the place of one of the things that stand out most.

    Raises:
        NoRoom: nothing stands out away from the targets.
    """
    thing = pick_thing(image, targets, rng)
    ground = filled(image, thing, targets, rng)
    around = [thing.colour(image), ground.colours.mean(axis=(0, 1))]
    form = drawn(thing.place, striking(image, targets, around, rng), rng)
    return Attacked(overlaid(image, targets, ground, form), "semantic")
