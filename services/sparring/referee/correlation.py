"""Where a small picture occurs in a large one: normalised cross-correlation.

Each channel is centred on its own mean, so that only what is drawn counts and not in which colours on which ground;
of two coloured shapes on a ground, the plain correlation over all channels would compare little but the colours.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

Pixels = NDArray[np.uint8]
Scores = NDArray[np.float32]

FLAT = 2.0
"""Standard deviation, of 255 levels, below which there is nothing drawn to be compared."""


class Field:
    """An image made ready for searching.

    Args:
        pixels: uint8 [height, width, 3].
    """

    def __init__(self, pixels: Pixels) -> None:
        self.height, self.width = pixels.shape[:2]
        self._channels = np.moveaxis(pixels.astype(np.float32) - 128, 2, 0)
        self._energies: dict[tuple[int, int], NDArray[np.float64]] = {}
        self.grid = (next_fast_len(self.height, real=True), next_fast_len(self.width, real=True))

    @cached_property
    def spectrum(self) -> NDArray[np.complex64]:
        return np.asarray(rfft2(self._channels, s=self.grid))

    @cached_property
    def _sums(self) -> NDArray[np.float64]:
        """Integral images of each channel and of the squares of all: float64 [4, height + 1, width + 1]."""
        squares = np.square(self._channels).sum(axis=0, keepdims=True)
        table = np.zeros((4, self.height + 1, self.width + 1))
        np.concatenate([self._channels, squares]).cumsum(axis=1, dtype=np.float64, out=table[:, 1:, 1:])
        return table.cumsum(axis=2, out=table)

    def energy(self, height: int, width: int) -> NDArray[np.float64]:
        """Of each window of that size: the sum of squared distances from the channels' means in the window."""
        if (height, width) not in self._energies:
            self._energies[height, width] = self._energy(height, width)
        return self._energies[height, width]

    def _energy(self, height: int, width: int) -> NDArray[np.float64]:
        table = self._sums
        sums = table[:, height:, width:] - table[:, :-height, width:]
        sums -= table[:, height:, :-width]
        sums += table[:, :-height, :-width]
        return np.asarray(sums[3] - np.square(sums[:3]).sum(axis=0) / (height * width))


class Pattern:
    """What is searched for.

    Args:
        pixels: uint8 [height, width, 3].
    """

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.height, self.width = pixels.shape[:2]
        self._centred = np.moveaxis(pixels - pixels.mean(axis=(0, 1), dtype=np.float32), 2, 0)
        self.energy = float(np.square(self._centred, dtype=np.float64).sum())
        self._spectrum: tuple[tuple[int, int], NDArray[np.complex64]] | None = None

    @property
    def flat(self) -> bool:
        """Whether there is nothing to be found by."""
        return self.energy < self._least

    @property
    def _least(self) -> float:
        return 3 * FLAT**2 * self.height * self.width

    def fits(self, field: Field) -> bool:
        """Whether the field has a place for it."""
        return self.height <= field.height and self.width <= field.width

    def scores(self, field: Field) -> Scores:
        """Correlation at every place where the pattern fits whole, by the place's top left corner: -1 to 1.

        Returns:
            float32 [field.height - height + 1, field.width - width + 1].
        """
        product = (field.spectrum * self._conjugate(field.grid)).sum(axis=0)
        rows, columns = field.height - self.height + 1, field.width - self.width + 1
        numerator = irfft2(product, s=field.grid)[:rows, :columns]
        energy = np.maximum(field.energy(self.height, self.width), self._least)
        return np.asarray(numerator / np.sqrt(energy * self.energy), dtype=np.float32)

    def _conjugate(self, grid: tuple[int, int]) -> NDArray[np.complex64]:
        """Of the pattern's spectrum on a grid; kept, since a group of edits has one."""
        if self._spectrum is None or self._spectrum[0] != grid:
            self._spectrum = grid, np.conj(rfft2(self._centred, s=grid))
        return self._spectrum[1]
