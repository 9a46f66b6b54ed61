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

from sparring.referee.regions import Region

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
        part: where is searched, not empty; all of it by default.
    """

    def __init__(self, pixels: Pixels, part: Region | None = None) -> None:
        self.pixels = pixels
        self.height, self.width = pixels.shape[:2]
        self.part = part or Region(0, 0, self.width, self.height)
        self._channels = pixels.transpose(2, 0, 1).astype(np.float32, order="C") - 128
        self._weights: dict[tuple[int, int], Scores] = {}
        self.grid = (next_fast_len(self.height, real=True), next_fast_len(self.width, real=True))

    @cached_property
    def spectrum(self) -> NDArray[np.complex64]:
        return np.asarray(rfft2(self._channels, s=self.grid))

    @cached_property
    def _sums(self) -> NDArray[np.float64]:
        """Integral images, of the part, of each channel and of the squares of all: float64 [4, height + 1, width + 1].

        They are sums of whole numbers, and so exact.
        """
        part = self.part
        channels = self._channels[:, part.top : part.bottom, part.left : part.right]
        squares = np.einsum("cij,cij->ij", channels, channels)[None]
        table = np.zeros((4, part.height + 1, part.width + 1))
        np.concatenate([channels, squares]).cumsum(axis=1, dtype=np.float64, out=table[:, 1:, 1:])
        return table.cumsum(axis=2, out=table)

    def weights(self, height: int, width: int) -> Scores:
        """Of each window of that size in the part: 1 / root of its energy, or of the least that is not flat."""
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
        """For each pattern its correlation at every place of the field's part where it fits whole: -1 to 1.

        Returns:
            float32 [field.part.height - height + 1, field.part.width - width + 1] each, by the place's top left corner.
        """
        if not self.patterns:
            return []
        ours, theirs = self._conjugates(field.grid), field.spectrum
        products = theirs[0] * ours[:, 0]
        for channel in (1, 2):
            products += theirs[channel] * ours[:, channel]
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
    top, left, (rows, columns) = field.part.top, field.part.left, weights.shape
    return found[top : top + rows, left : left + columns] * weights * np.float32(pattern.energy**-0.5)
