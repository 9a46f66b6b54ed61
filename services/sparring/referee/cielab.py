"""From sRGB to CIELAB, fast enough for small images: the same numbers as scikit-image's, without its preparations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparring.referee.correlation import Pixels

Lab = NDArray[np.float32]

_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS > 0.04045, ((_LEVELS + 0.055) / 1.055) ** 2.4, _LEVELS / 12.92).astype(np.float32)
_WHITE = np.array([0.95047, 1.0, 1.08883])
"""XYZ of D65, for an observer of 2 degrees."""
_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_TO_RATIOS = (_TO_XYZ / _WHITE[:, None]).astype(np.float32)
"""From linear RGB to XYZ as parts of white's."""
_DARK = np.float32(0.008856)
"""Ratio below which the cube root gives way to a line."""


def cielab(pixels: Pixels) -> Lab:
    """CIELAB of uint8 [..., 3] in sRGB (IEC 61966-2-1): float32 [..., 3], L from 0 to 100.

    Channel by channel: a product of matrices would wake the threads of the linear algebra library.
    """
    red, green, blue = _LINEAR[np.moveaxis(pixels, -1, 0)]
    x, y, z = (_root(row[0] * red + row[1] * green + row[2] * blue) for row in _TO_RATIOS)
    lab = np.empty(pixels.shape, dtype=np.float32)
    lab[..., 0] = 116 * y - 16
    lab[..., 1] = 500 * (x - y)
    lab[..., 2] = 200 * (y - z)
    return lab


def _root(ratios: NDArray[np.float32]) -> NDArray[np.float32]:
    """CIE's cube root."""
    roots = np.cbrt(ratios)
    np.copyto(roots, 7.787 * ratios + np.float32(16 / 116), where=ratios <= _DARK)
    return roots
