"""Whether something elsewhere has come to look like a target, which would make the question ambiguous."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from sparring.referee.correlation import Field, Pattern, Pixels, Scores
from sparring.referee.regions import Region

LARGEST = 384
"""Images with a longer side are reduced to it before they are searched, pixels."""
SMALLEST = 5
"""Least side of what is searched for, pixels; of smaller ones too many things look alike."""
SIZES = (0.73, 0.79, 0.86, 0.93, 1.08, 1.17, 1.27, 1.38)
"""Sizes of a copy beside the target's own, as parts of it; dense enough to hold every whole size from 11 to 15 pixels
for a target that has one of them."""
PROMISING = 0.4
"""Correlation of the target in its own size from which the other sizes are tried."""


class Scenery:
    """An image in which likenesses are searched for, reduced if it is large.

    Args:
        pixels: uint8 [height, width, 3].
    """

    def __init__(self, pixels: Pixels) -> None:
        self.scale = min(1.0, LARGEST / max(pixels.shape[:2]))
        height, width = (max(1, round(side * self.scale)) for side in pixels.shape[:2])
        self.pixels = pixels if self.scale == 1 else resized(pixels, width, height, Image.Resampling.BOX)
        self.field = Field(self.pixels)


@dataclass(frozen=True)
class Match:
    """The place that has come to look most like a target.

    Attributes:
        correlation: -1 to 1; 0 if there is no such place.
        colour: mean CIEDE2000 distance to the target.
    """

    correlation: float = 0.0
    colour: float = float("inf")


@dataclass(frozen=True)
class Spot:
    """A place that a pattern fits, by its top left corner."""

    score: float
    row: int
    column: int
    pattern: Pattern

    def colour(self, image: Pixels) -> float:
        """Mean CIEDE2000 distance of the pattern to what is there."""
        there = image[self.row : self.row + self.pattern.height, self.column : self.column + self.pattern.width]
        return float(np.mean(deltaE_ciede2000(rgb2lab(self.pattern.pixels), rgb2lab(there))))


class Likeness:
    """A target as it might appear again.

    Args:
        control: where it stands.
        part: its place, in the control's full size.
    """

    def __init__(self, control: Scenery, part: Region) -> None:
        self._control = control
        self._home = part.scaled(control.scale).clipped(*control.pixels.shape[:2])
        self._crop = self._home.of(control.pixels)

    def nearest(self, edit: Scenery, margin: float) -> Match:
        """The place elsewhere that has come to look most like the target, whatever its size there.

        Args:
            edit: of the control's size.
            margin: places count where the correlation exceeds the control's by this much.
        """
        spots = [self._spot(edit, margin, *model) for model in self._own_size]
        if spots and spots[0].score >= PROMISING:
            spots += [self._spot(edit, margin, *model) for model in self._other_sizes]
        best = max(spots, key=lambda spot: spot.score, default=None)
        return Match(best.score, best.colour(edit.pixels)) if best and best.score > 0 else Match()

    @cached_property
    def _own_size(self) -> list[tuple[Pattern, Scores]]:
        return self._models([Pattern(self._crop)])

    @cached_property
    def _other_sizes(self) -> list[tuple[Pattern, Scores]]:
        height, width = self._crop.shape[:2]
        sizes = dict.fromkeys((round(width * size), round(height * size)) for size in SIZES)
        crops = [resized(self._crop, *size, Image.Resampling.BICUBIC) for size in sizes if size != (width, height)]
        return self._models([Pattern(crop) for crop in crops])

    def _models(self, patterns: list[Pattern]) -> list[tuple[Pattern, Scores]]:
        """Those that can be searched for, with their correlation everywhere in the control itself."""
        ground = self._control.field
        return [
            (pattern, pattern.scores(ground))
            for pattern in patterns
            if min(pattern.height, pattern.width) >= SMALLEST and pattern.fits(ground) and not pattern.flat
        ]

    def _spot(self, edit: Scenery, margin: float, pattern: Pattern, usual: Scores) -> Spot:
        """The best place for the pattern. One whose centre lies in the target's box is the target itself."""
        scores = pattern.scores(edit.field)
        scores[scores <= usual + margin] = 0
        home, (rows, columns) = self._home, (np.arange(side) for side in scores.shape)
        rows = np.abs(2 * rows + pattern.height - home.top - home.bottom) <= home.height
        columns = np.abs(2 * columns + pattern.width - home.left - home.right) <= home.width
        scores[np.ix_(rows, columns)] = 0
        row, column = np.unravel_index(int(scores.argmax()), scores.shape)
        return Spot(float(scores[row, column]), int(row), int(column), pattern)


def resized(image: Pixels, width: int, height: int, how: Image.Resampling) -> Pixels:
    return np.asarray(Image.fromarray(image).resize((width, height), how))
