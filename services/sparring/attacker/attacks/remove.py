"""Remove a thing: what is around it closes over it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparring.attacker.filling import filled
from sparring.attacker.layers import Pixels, overlaid
from sparring.attacker.procedural import Attacked
from sparring.attacker.things import pick_thing
from sparring.samples.sample import Target


def remove(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Take one of the things out that stand out most.

    Raises:
        NoRoom: nothing stands out away from the targets.
    """
    thing = pick_thing(image, targets, rng)
    return Attacked(overlaid(image, targets, filled(image, thing, targets, rng)), "semantic")
