"""Another exposure, another development, another white balance: each pixel changes by its own value alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparring.attacker.procedural import Attacked, Pixels
from sparring.samples.sample import Target

SEVERITY = (0.4, 1.0)
"""Least and greatest; 0 would change nothing."""

Floats = NDArray[np.float64]
Curve = Callable[[Floats, float, np.random.Generator], Floats]
"""From levels, 0 to 1, and a severity to new levels [levels, 1 or 3], beyond 0 to 1 cut."""


def brightness(levels: Floats, severity: float, rng: np.random.Generator) -> Floats:
    """Add or take away up to 0.3."""
    return levels + 0.3 * severity * _sign(rng)


def contrast(levels: Floats, severity: float, rng: np.random.Generator) -> Floats:
    """Up to twice or half the distance from the middle grey."""
    return 0.5 + (levels - 0.5) * 2 ** (severity * _sign(rng))


def gamma(levels: Floats, severity: float, rng: np.random.Generator) -> Floats:
    """The power of up to 2 or 1/2."""
    return levels**2 ** (severity * _sign(rng))


def balance(levels: Floats, severity: float, rng: np.random.Generator) -> Floats:
    """Channels stronger or weaker against each other, by gains whose logarithms (base 2) have a norm of up to 0.6."""
    gains = rng.standard_normal(3)
    gains -= gains.mean()
    return levels * 2 ** (0.6 * severity * gains / np.linalg.norm(gains))


CURVES: tuple[Curve, ...] = (brightness, contrast, gamma, balance)


def photometric(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Attacked:
    """Change brightness, contrast, gamma or the balance of colours."""
    curve = CURVES[rng.integers(len(CURVES))]
    levels = np.arange(256)[:, None] / 255
    new = np.broadcast_to(curve(levels, rng.uniform(*SEVERITY), rng), (256, 3))
    table = (new * 255).round().clip(0, 255).astype(np.uint8)
    return Attacked(np.asarray(Image.fromarray(image).point(table.T.ravel().tolist())), "corruption")


def _sign(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1
