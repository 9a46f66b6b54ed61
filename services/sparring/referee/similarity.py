"""Structural similarity of a target before and after, as Wang et al. 2004 define it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import correlate1d

Pixels = NDArray[np.uint8]
Planes = NDArray[np.float64]

SIGMA = 1.5
RADIUS = 5
"""Of the Gaussian window, pixels; it has 11 x 11 taps."""
SMALLEST_CROP = 24
"""Crops with a shorter side are enlarged to it, since a window that hangs over the edge is left out."""
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

_TAPS = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
_TAPS /= _TAPS.sum()


def similarity(before: Pixels, after: Pixels) -> float:
    """SSIM of two crops of one size, -1 to 1; see `Structure`."""
    return Structure(before).similarity(after)


class Structure:
    """A crop that others are compared with: what can be computed without them is, once.

    Args:
        before: uint8 [height, width, 3].
    """

    def __init__(self, before: Pixels) -> None:
        self._before, self._pixels = before, _channels(before)
        self._means, self._squares = _filtered(self._pixels, self._pixels**2)

    def similarity(self, after: Pixels) -> float:
        """SSIM, -1 to 1: the mean over all whole windows and the three channels.

        The same number as scikit-image's `structural_similarity` with Wang's settings, in less than a fifth of the
        time: all channels and moments are filtered at once. Crops with a side below 24 pixels are first enlarged
        (Lanczos).

        Args:
            after: uint8, of the same size.
        """
        return self._same if np.array_equal(after, self._before) else self._of(_channels(after))

    @cached_property
    def _same(self) -> float:
        """What most edits that no model made leave alone need not be computed for each: 1, but for rounding."""
        return self._of(self._pixels)

    def _of(self, y: Planes) -> float:
        x = self._pixels
        ux, xx = self._means, self._squares
        uy, yy, xy = _filtered(y, y * y, x * y)
        luminance = (2 * ux * uy + C1) / (ux * ux + uy * uy + C1)
        structure = (2 * (xy - ux * uy) + C2) / (xx - ux * ux + yy - uy * uy + C2)
        return float((luminance * structure).mean())


def _channels(crop: Pixels) -> Planes:
    return enlarged(crop).transpose(2, 0, 1).astype(np.float64)


def _filtered(*planes: Planes) -> Planes:
    """Weighted means within all whole windows: float64 [len(planes), 3, height - 10, width - 10]."""
    means = np.concatenate(planes)
    for axis in (1, 2):
        means = correlate1d(means, _TAPS, axis=axis)
    whole = means[:, RADIUS:-RADIUS, RADIUS:-RADIUS]
    return whole.reshape(len(planes), 3, *whole.shape[1:])


def enlarged(crop: Pixels) -> Pixels:
    """The crop, its shorter side at least `SMALLEST_CROP` pixels."""
    height, width = crop.shape[:2]
    scale = SMALLEST_CROP / min(height, width)
    if scale <= 1:
        return crop
    size = (round(width * scale), round(height * scale))
    return np.asarray(Image.fromarray(crop).resize(size, Image.Resampling.LANCZOS))
