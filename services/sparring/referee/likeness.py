"""Whether something elsewhere has come to look like a target, which would make the question ambiguous."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image
from skimage.color import deltaE_ciede2000

from sparring.referee.cielab import cielab
from sparring.referee.correlation import Field, Pattern, Pixels, Scores, Search
from sparring.referee.regions import Region, changed

LARGEST = 384
"""Images with a longer side are reduced to it before they are searched, pixels."""
SMALLEST = 5
"""Least side of what is searched for, pixels; of smaller ones too many things look alike."""
SIZES = (0.73, 0.79, 0.86, 0.93, 1.08, 1.17, 1.27, 1.38)
"""Sizes of a copy beside the target's own, as parts of it; dense enough to hold every whole size from 11 to 15 pixels
for a target that has one of them."""
PROMISING = 0.4
"""Correlation of the target in its own size from which the other sizes are tried."""


@dataclass(frozen=True)
class Model:
    """What is searched for, and the scores that are usual for each pattern: those of the control."""

    search: Search
    usual: list[Scores]


class Scenery:
    """An image in which likenesses are searched for, reduced if it is large.

    Args:
        pixels: uint8 [height, width, 3].
    """

    def __init__(self, pixels: Pixels) -> None:
        self.scale = min(1.0, LARGEST / max(pixels.shape[:2]))
        height, width = (max(1, round(side * self.scale)) for side in pixels.shape[:2])
        self.pixels = pixels if self.scale == 1 else resized(pixels, width, height, Image.Resampling.BOX)

    def since(self, control: Scenery, reach: int) -> Field | None:
        """The part that has changed with so much around it, ready for searching; None if nothing has.

        Elsewhere everything looks as it did.
        """
        part = changed(control.pixels, self.pixels)
        if part.empty:
            return None
        return Field(self.pixels, part.widened(reach).clipped(*self.pixels.shape[:2]))


@dataclass(frozen=True)
class Spot:
    """A place that has come to look like a target.

    Attributes:
        correlation: -1 to 1; 0 if nothing there has come to look like it.
        there: what is there: uint8 [height, width, 3].
        pattern: the target in the size that fits.
    """

    correlation: float
    there: Pixels
    pattern: Pattern

    @cached_property
    def colour(self) -> float:
        """Mean CIEDE2000 distance of the target to what is there."""
        return float(np.mean(deltaE_ciede2000(cielab(self.pattern.pixels), cielab(self.there))))


class Likeness:
    """A target as it might appear again.

    Args:
        control: where it stands.
        part: its place, in the control's full size.
    """

    def __init__(self, control: Scenery, part: Region) -> None:
        self._ground = Field(control.pixels)
        self._home = part.scaled(control.scale).clipped(*control.pixels.shape[:2])
        self._crop = self._home.of(control.pixels)

    @property
    def reach(self) -> int:
        """Longest side of what is searched for, pixels of the reduced image."""
        return max(round(side * max(SIZES)) for side in self._crop.shape[:2])

    def nearest(self, edit: Field, margin: float) -> Spot | None:
        """The place elsewhere that has come to look most like the target, whatever its size there.

        None for a target that can't be searched for.

        Args:
            edit: of the control's size, reduced as it was; see `Scenery.since`.
            margin: places count where the correlation exceeds the control's by this much.
        """
        spots = list(_best(edit, margin, self._own_size))
        if spots and spots[0].correlation >= PROMISING:
            spots += _best(edit, margin, self._other_sizes)
        return max(spots, key=lambda spot: spot.correlation, default=None)

    @cached_property
    def _own_size(self) -> Model:
        return self._model([Pattern(self._crop)])

    @cached_property
    def _other_sizes(self) -> Model:
        height, width = self._crop.shape[:2]
        sizes = dict.fromkeys((round(width * size), round(height * size)) for size in SIZES)
        crops = [resized(self._crop, *size, Image.Resampling.BICUBIC) for size in sizes if size != (width, height)]
        return self._model([Pattern(crop) for crop in crops])

    def _model(self, patterns: list[Pattern]) -> Model:
        """Of those that can be searched for, with their correlation everywhere in the control itself."""
        ground = self._ground
        search = Search(
            [
                pattern
                for pattern in patterns
                if min(pattern.height, pattern.width) >= SMALLEST and pattern.fits(ground) and not pattern.flat
            ]
        )
        scores = zip(search.patterns, search.scores(ground), strict=True)
        return Model(search, [self._usual(pattern, found) for pattern, found in scores])

    def _usual(self, pattern: Pattern, scores: Scores) -> Scores:
        """The pattern's correlation everywhere in the control.

        It is infinite where the place's centre lies in the target's box: what is there is the target itself.
        """
        home = self._home
        rows, columns = (np.arange(side) for side in scores.shape)
        rows = np.abs(2 * rows + pattern.height - home.top - home.bottom) <= home.height
        columns = np.abs(2 * columns + pattern.width - home.left - home.right) <= home.width
        scores[np.ix_(rows, columns)] = np.inf
        return scores


def _best(edit: Field, margin: float, model: Model) -> Iterator[Spot]:
    """For each pattern the best place, of those where it correlates better than usually."""
    top, left = edit.part.top, edit.part.left
    for pattern, usual, scores in zip(model.search.patterns, model.usual, model.search.scores(edit), strict=True):
        rows, columns = scores.shape
        scores[scores <= usual[top : top + rows, left : left + columns] + margin] = 0
        row, column = np.unravel_index(int(scores.argmax()), scores.shape)
        there = edit.part.of(edit.pixels)[row : row + pattern.height, column : column + pattern.width]
        yield Spot(float(scores[row, column]), there, pattern)


def resized(image: Pixels, width: int, height: int, how: Image.Resampling) -> Pixels:
    return np.asarray(Image.fromarray(image).resize((width, height), how))
