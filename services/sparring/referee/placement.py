"""Whether a target still stands where it stood, and whether its form is still its own."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from sparring.referee.correlation import Field, Pattern, Pixels, Scores, Search
from sparring.referee.regions import Region

REACH = 32
"""Farthest that a moved target is followed, pixels; and no farther than half its shorter side."""
BETTER = 0.01
"""By how much another place must fit better for a target to have moved there."""


class Placement:
    """A target of the control as it stands in its surroundings.

    Args:
        control: uint8 [height, width, 3].
        part: the target's place.
    """

    def __init__(self, control: Pixels, part: Region) -> None:
        self._search = Search([Pattern(part.of(control))])
        reach = max(2, min(REACH, min(part.height, part.width) // 2))
        self._around = part.widened(reach).clipped(*control.shape[:2])
        self._ground = self._around.of(control)
        self._here = (part.top - self._around.top, part.left - self._around.left)

    def find(self, edit: Pixels, tolerance: int) -> tuple[float, int]:
        """How well the target fits in its place, -1 to 1, and how far off it fits best, pixels.

        A target without contrast can't be located; it counts as being where it was.

        Args:
            edit: of the control's size.
            tolerance: offset, in pixels along either axis, that is as good as none for the fit.
        """
        if self._search.patterns[0].flat:
            return 1.0, 0
        ground = self._around.of(edit)
        scores = self._usual if np.array_equal(ground, self._ground) else self._scores(ground)
        rows, columns = (np.abs(np.arange(side) - here) for side, here in zip(scores.shape, self._here, strict=True))
        fit = float(scores[np.ix_(rows <= tolerance, columns <= tolerance)].max())
        row, column = np.unravel_index(int(scores.argmax()), scores.shape)
        if scores[row, column] <= scores[self._here] + BETTER:
            return fit, 0
        return fit, int(max(rows[row], columns[column]))

    @cached_property
    def _usual(self) -> Scores:
        """Of the control, and so of every edit that left these surroundings alone."""
        return self._scores(self._ground)

    def _scores(self, ground: Pixels) -> Scores:
        (scores,) = self._search.scores(Field(ground))
        return scores
