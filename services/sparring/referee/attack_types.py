"""What an edit did to the picture: added, removed or replaced something, several of these, or nothing that one sees.

Told from the images alone, so that edits of any attacker fall under the same names. A place that changed is looked at
before and after: what was not there, or is gone, does not stand out from what is around the place.
Definition and confusion matrix: docs/formulas.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import correlate1d, find_objects, label

from sparring.referee.cielab import Lab, cielab
from sparring.referee.correlation import Pixels
from sparring.referee.regions import Region, changed, region
from sparring.samples.sample import Target

Mask = NDArray[np.bool_]

LARGEST = 256
"""Images with a longer side are reduced to it, pixels."""
SOFTNESS = 0.7
"""Deviation of the Gaussian blur before anything is compared, reduced pixels: it takes away noise."""
RADIUS = 3
"""How far the blur reaches, reduced pixels."""
_TAPS = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SOFTNESS) ** 2)
_TAPS /= _TAPS.sum()
VISIBLE = 10.0
"""Distance in CIELAB (CIE76) from which a pixel has changed."""
SURROUNDINGS = 12
"""Fewest unchanged pixels around a place, targets left out, that it can be compared with."""
LEAST = 0.001
"""Smallest place that counts, as a part of the image, and at least six reduced pixels."""
STANDS_OUT = 0.7
"""Distance of the mean colour at a place from the one around, in units of how far the colours around are spread, from
which there is something."""
EVEN = 4.0
"""Added to that spread (CIE76): ground without any texture spreads by nothing."""
CLEARLY = 2.0
"""If nothing stands out before nor after: how many times more it does on one side for this to decide."""
SHARE = 0.1
"""Least part of all that changed for a second type to make the edit a hybrid."""


class AttackType(StrEnum):
    """What an edit did."""

    IMPERCEPTIBLE = "imperceptible"
    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"
    HYBRID = "hybrid"


@dataclass(frozen=True)
class Change:
    """A place that changed.

    Attributes:
        area: part of the image, 0 to 1.
        before, after: how much it stands out; see `STANDS_OUT`.
    """

    area: float
    before: float
    after: float

    @property
    def type(self) -> AttackType:
        """Add, remove or replace."""
        was, now = self.before >= STANDS_OUT, self.after >= STANDS_OUT
        if not was and not now:
            was, now = self.after < CLEARLY * self.before, self.before < CLEARLY * self.after
        if was == now:
            return AttackType.REPLACE
        return AttackType.ADD if now else AttackType.REMOVE


class Before:
    """An image as it was, with what is computed of it once for all edits.

    Args:
        image: uint8 [height, width, 3]: the control if the edits are an editor's, the original if no model made them.
            Else what an autoencoder does to a picture would count as the attacker's doing.
        targets: their boxes are left out; what happens there is for the integrity check.
    """

    def __init__(self, image: Pixels, targets: Sequence[Target]) -> None:
        self._shape, self._small = image.shape, _reduced(image)
        self._lab = _softened(cielab(self._small))
        rows, columns = self._lab.shape[:2]
        self._free = ~_boxes(targets, rows / image.shape[0], (rows, columns))

    def type_of(self, edit: Pixels) -> AttackType:
        """The type of an edit.

        Args:
            edit: uint8, of the image's size.

        Raises:
            ValueError: it is of another size.
        """
        areas: dict[AttackType, float] = defaultdict(float)
        for change in self.changes(edit):
            areas[change.type] += change.area
        least = SHARE * sum(areas.values())
        types = [kind for kind, area in areas.items() if area >= least]
        if not types:
            return AttackType.IMPERCEPTIBLE
        return types[0] if len(types) == 1 else AttackType.HYBRID

    def changes(self, edit: Pixels) -> Iterator[Change]:
        """The places that changed visibly; see `type_of`."""
        if edit.shape != self._shape:
            raise ValueError(f"an edit of shape {edit.shape} can't be compared with an image of shape {self._shape}")
        small = _reduced(edit)
        shape = small.shape[:2]
        touched = changed(self._small, small)
        if touched.empty:
            return
        gap = max(1, round(min(shape) / 64))
        # No farther off is anything looked at, so an image of which little was touched is not looked at whole.
        part = touched.widened(RADIUS + 4 * gap + 1).clipped(*shape)
        labs = part.of(self._lab), part.of(self._after(small, touched))
        free = part.of(self._free)
        visibly = _changed(*labs) & free
        # What lies closer together than twice the gap is one place.
        places = label(grown(visibly, gap))[0] * visibly
        calm = free & ~grown(visibly, 1)
        for number, window in enumerate(find_objects(places), start=1):
            wide = tuple(slice(max(0, part.start - 4 * gap), part.stop + 4 * gap) for part in window)
            place = places[wide] == number
            size = np.count_nonzero(place)
            if size >= max(6, LEAST * self._free.size):
                around = grown(place, 1 + 3 * gap) & calm[wide]
                yield Change(size / self._free.size, *(_standing_out(lab[wide], place, around) for lab in labs))

    def _after(self, small: Pixels, touched: Region) -> Lab:
        """A reduced edit in CIELAB, softened; computed anew only where it can differ from the image."""
        news = touched.widened(RADIUS).clipped(*small.shape[:2])
        around = news.widened(RADIUS).clipped(*small.shape[:2])
        lab = self._lab.copy()
        news.of(lab)[...] = news.within(around).of(_softened(cielab(around.of(small))))
        return lab


def grown(mask: Mask, steps: int) -> Mask:
    """A mask with all that lies within so many steps, up, down or sideways, of what is in it."""
    wider = mask.copy()
    for _ in range(steps):
        narrow = wider.copy()
        wider[1:] |= narrow[:-1]
        wider[:-1] |= narrow[1:]
        wider[:, 1:] |= narrow[:, :-1]
        wider[:, :-1] |= narrow[:, 1:]
    return wider


def _reduced(image: Pixels) -> Pixels:
    """The image in the size in which it is looked at: uint8 [rows, columns, 3]."""
    height, width = image.shape[:2]
    scale = min(1.0, LARGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return image if scale == 1 else np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _softened(lab: Lab) -> Lab:
    """An image in CIELAB, blurred: float32 [rows, columns, 3]."""
    return np.asarray(correlate1d(correlate1d(lab, _TAPS, axis=0), _TAPS, axis=1))


def _boxes(targets: Sequence[Target], scale: float, shape: tuple[int, int]) -> Mask:
    """Where targets are in an image that was reduced by `scale` to that shape."""
    boxes = np.zeros(shape, dtype=bool)
    for target in targets:
        part = region(target.box).scaled(scale).clipped(*shape)
        boxes[part.top : part.bottom, part.left : part.right] = True
    return boxes


def _changed(before: Lab, after: Lab) -> Mask:
    """Pixels that changed visibly, lines thinner than two pixels left out: those are edges that a codec moved."""
    difference = after - before
    far = np.einsum("ijk,ijk->ij", difference, difference) > VISIBLE**2
    blocks = far[1:, 1:] & far[1:, :-1] & far[:-1, 1:] & far[:-1, :-1]
    changed = np.zeros_like(far)
    for rows in (slice(1, None), slice(None, -1)):
        for columns in (slice(1, None), slice(None, -1)):
            changed[rows, columns] |= blocks
    return changed


def _standing_out(image: Lab, place: Mask, around: Mask) -> float:
    """How far the mean colour at a place is from the one around, in units of the spread of the colours around.

    Where hardly anything around has stayed as it was, something has always been there.
    """
    near = image[around]
    if len(near) < SURROUNDINGS:
        return float("inf")
    spread = np.linalg.norm(near - np.median(near, axis=0), axis=1).mean()
    return float(np.linalg.norm(image[place].mean(axis=0) - near.mean(axis=0)) / (spread + EVEN))
