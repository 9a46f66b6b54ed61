"""Attacks without a model: seeded, and of any image size.

An attack is a function of an image, the targets to keep off, and a generator; each of ours has a file in `attacks`, and
others join by entry point `sparring.attacks`. A semantic one leaves the targets' boxes as they are, to the last pixel.
Where it finds nothing to do, it raises `NoRoom` and there is no edit under that seed: an unchanged image in its place
would pass every integrity check and be counted as an attack that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoints, entry_points

import numpy as np
from numpy.typing import NDArray

from sparring.attacker.space import Kind
from sparring.samples.sample import Target

Pixels = NDArray[np.uint8]
GROUP = "sparring.attacks"


class UnknownAttack(LookupError):
    """No attack of that name."""


@dataclass(frozen=True)
class Attacked:
    """One edit.

    Attributes:
        image: uint8 [height, width, 3], of the original's size; never to be written to.
        kind: what it does.
        affine: where geometry moved, the 2 x 3 matrix (row-major) from original to edit, pixels.
    """

    image: Pixels
    kind: Kind
    affine: tuple[float, float, float, float, float, float] | None = None


Attack = Callable[[Pixels, Sequence[Target], np.random.Generator], Attacked]


def find_attack(name: str) -> Attack:
    """The attack registered under `name`.

    Raises:
        UnknownAttack: there is none; the message lists those that there are.
    """
    if name not in _registered().names:
        raise UnknownAttack(f"no attack is called {name!r}; there are {sorted(_registered().names)}")
    attack: Attack = _registered()[name].load()
    return attack


@cache
def _registered() -> EntryPoints:
    return entry_points(group=GROUP)
