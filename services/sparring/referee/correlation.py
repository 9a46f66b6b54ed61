"""Where a small picture occurs in a large one: normalised cross-correlation.

Each channel is centred on its own mean, so that only what is drawn counts and not in which colours on which ground;
of two coloured shapes on a ground, the plain correlation over all channels would compare little but the colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

Pixels = NDArray[np.uint8]
Scores = NDArray[np.float32]

FLAT = 2.0
"""Standard deviation, of 255 levels, below which there is nothing drawn to be compared."""


def least_energy(height: int, width: int) -> float:
    """Of what is not flat in that size: sum of squared distances from the means of three channels."""
    return 3 * FLAT**2 * height * width


class Field:
    """An image made ready for searching.

    Args:
        pixels: uint8 [height, width, 3].
    """

    def __init__(self, pixels: Pixels) -> None:
        self.height, self.width = pixels.shape[:2]
        self._channels = pixels.transpose(2, 0, 1).astype(np.float32, order="C") - 128
        self._weights: dict[tuple[int, int], Scores] = {}
        self.grid = (next_fast_len(self.height, real=True), next_fast_len(self.width, real=True))

    @cached_property
    def spectrum(self) -> NDArray[np.complex64]:
        return np.asarray(rfft2(self._channels, s=self.grid))

    @cached_property
    def _sums(self) -> NDArray[np.float64]:
        """Integral images of each channel and of the squares of all: float64 [4, height + 1, width + 1]."""
        squares = np.einsum("cij,cij->ij", self._channels, self._channels)[None]
        table = np.zeros((4, self.height + 1, self.width + 1))
        np.concatenate([self._channels, squares]).cumsum(axis=1, dtype=np.float64, out=table[:, 1:, 1:])
        return table.cumsum(axis=2, out=table)

    def weights(self, height: int, width: int) -> Scores:
        """Of each window of that size: 1 / root of its energy, or of the least that is not flat."""
        if (height, width) not in self._weights:
            energy = np.maximum(self._energy(height, width), least_energy(height, width))
            self._weights[height, width] = (1 / np.sqrt(energy)).astype(np.float32)
        return self._weights[height, width]

    def _energy(self, height: int, width: int) -> NDArray[np.float64]:
        """Of each window: the sum of squared distances from the channels' means in it."""
        rows = self._sums[:, height:] - self._sums[:, :-height]
        sums = rows[:, :, width:] - rows[:, :, :-width]
        *channels, squares = sums
        np.square(sums[:3], out=sums[:3])
        channels[0] += channels[1]
        channels[0] += channels[2]
        return np.asarray(squares - channels[0] / (height * width))


class Pattern:
    """What is searched for.

    Args:
        pixels: uint8 [height, width, 3].
    """

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.height, self.width = pixels.shape[:2]
        self.centred = np.moveaxis(pixels - pixels.mean(axis=(0, 1), dtype=np.float32), 2, 0)
        self.energy = float(np.square(self.centred, dtype=np.float64).sum())

    @property
    def flat(self) -> bool:
        """Whether there is nothing to be found by."""
        return self.energy < least_energy(self.height, self.width)

    def fits(self, field: Field) -> bool:
        """Whether the field has a place for it."""
        return self.height <= field.height and self.width <= field.width


class Search:
    """Several patterns, which are searched for at once: of small images each call costs more than its work.

    Args:
        patterns: what is searched for.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self.patterns = tuple(patterns)
        self._spectra: tuple[tuple[int, int], NDArray[np.complex64]] | None = None

    def scores(self, field: Field) -> list[Scores]:
        """For each pattern its correlation at every place where it fits whole, by the place's top left corner: -1 to 1.

        Returns:
            float32 [field.height - height + 1, field.width - width + 1] each.
        """
        if not self.patterns:
            return []
        products = np.einsum("chw,kchw->khw", field.spectrum, self._conjugates(field.grid))
        everywhere = irfft2(products, s=field.grid)
        return [_within(found, pattern, field) for found, pattern in zip(everywhere, self.patterns, strict=True)]

    def _conjugates(self, grid: tuple[int, int]) -> NDArray[np.complex64]:
        """Of the patterns' spectra on a grid; kept, since a group of edits has one."""
        if self._spectra is None or self._spectra[0] != grid:
            padded = np.zeros((len(self.patterns), 3, *grid), dtype=np.float32)
            for place, pattern in zip(padded, self.patterns, strict=True):
                place[:, : pattern.height, : pattern.width] = pattern.centred
            self._spectra = grid, np.conj(rfft2(padded))
        return self._spectra[1]


def _within(found: Scores, pattern: Pattern, field: Field) -> Scores:
    """What was found where the pattern fits whole, by the energy of what is there and of the pattern."""
    weights = field.weights(pattern.height, pattern.width)
    rows, columns = weights.shape
    return found[:rows, :columns] * weights * np.float32(pattern.energy**-0.5)
