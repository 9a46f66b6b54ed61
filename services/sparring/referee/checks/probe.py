"""Asks the attacker for one edit by each attack before anything is asked of a model that may cost money: a name that it
does not know, or a revision that it has not loaded, would fail in every match."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparring.referee.opponents import Attacker
from sparring.referee.terms import Attack, told
from sparring.samples.images import encode_png
from sparring.samples.sample import Sample

SIZE = 64
"""Pixels a side: enough for any attack to find room."""


async def probe(attacker: Attacker, attacks: Sequence[Attack]) -> None:
    """Try each attack on a picture of noise.

    Raises:
        OpponentError: one of them can't be carried out.
    """
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    sample = Sample(encode_png(noise), "What is this?", ("noise", "a signal"), 0, source="probe")
    for attack in attacks:
        await attacker.edit(sample, [0], told(attack.by, sample))
