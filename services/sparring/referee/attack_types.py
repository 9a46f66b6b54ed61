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
from scipy.ndimage import binary_dilation, binary_opening, find_objects, gaussian_filter, label
from skimage.color import rgb2lab

from sparring.referee.correlation import Pixels
from sparring.referee.regions import region
from sparring.samples.sample import Target

Lab = NDArray[np.float64]
Mask = NDArray[np.bool_]

LARGEST = 256
"""Images with a longer side are reduced to it, pixels."""
SOFTNESS = 0.7
"""Deviation of the blur before anything is compared, reduced pixels: it takes away noise."""
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


def attack_type(before: Pixels, after: Pixels, targets: Sequence[Target]) -> AttackType:
    """The type of an edit.

    Args:
        before: uint8 [height, width, 3]: the control if the edit is an editor's, the original if no model made it. Else
            what an autoencoder does to a picture would count as the attacker's doing.
        after: the edit: uint8, of the same size.
        targets: their boxes are left out; what happens there is for the integrity check.

    Raises:
        ValueError: the sizes differ.
    """
    areas: dict[AttackType, float] = defaultdict(float)
    for change in changes(before, after, targets):
        areas[change.type] += change.area
    least = SHARE * sum(areas.values())
    types = [kind for kind, area in areas.items() if area >= least]
    if not types:
        return AttackType.IMPERCEPTIBLE
    return types[0] if len(types) == 1 else AttackType.HYBRID


def changes(before: Pixels, after: Pixels, targets: Sequence[Target]) -> Iterator[Change]:
    """The places that changed visibly; see `attack_type`."""
    if before.shape != after.shape:
        raise ValueError(f"an edit of shape {after.shape} can't be compared with an image of shape {before.shape}")
    labs = _lab(before), _lab(after)
    boxes = _boxes(targets, labs[0].shape[0] / before.shape[0], labs[0].shape[:2])
    changed = _changed(*labs) & ~boxes
    gap = max(1, round(min(changed.shape) / 64))
    # What lies closer together than twice the gap is one place.
    places = label(binary_dilation(changed, iterations=gap))[0] * changed
    calm = ~binary_dilation(changed) & ~boxes
    for number, window in enumerate(find_objects(places), start=1):
        wide = tuple(slice(max(0, part.start - 4 * gap), part.stop + 4 * gap) for part in window)
        place = places[wide] == number
        if place.sum() >= max(6, LEAST * changed.size):
            around = binary_dilation(place, iterations=1 + 3 * gap) & calm[wide]
            yield Change(place.sum() / changed.size, *(_standing_out(lab[wide], place, around) for lab in labs))


def _lab(image: Pixels) -> Lab:
    """The image in CIELAB, reduced and softened: float64 [rows, columns, 3]."""
    height, width = image.shape[:2]
    scale = min(1.0, LARGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = image if scale == 1 else np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
    return np.asarray(gaussian_filter(rgb2lab(small), (SOFTNESS, SOFTNESS, 0)))


def _boxes(targets: Sequence[Target], scale: float, shape: tuple[int, ...]) -> Mask:
    """Where targets are in an image that was reduced by `scale` to that shape."""
    boxes = np.zeros(shape, dtype=bool)
    for target in targets:
        part = region(target.box).scaled(scale).clipped(*boxes.shape)
        boxes[part.top : part.bottom, part.left : part.right] = True
    return boxes


def _changed(before: Lab, after: Lab) -> Mask:
    """Pixels that changed visibly, lines thinner than two pixels left out: those are edges that a codec moved."""
    distance = np.linalg.norm(after - before, axis=2)
    return np.asarray(binary_opening(distance > VISIBLE, np.ones((2, 2), dtype=bool)))


def _standing_out(image: Lab, place: Mask, around: Mask) -> float:
    """How far the mean colour at a place is from the one around, in units of the spread of the colours around.

    Where hardly anything around has stayed as it was, something has always been there.
    """
    if around.sum() < SURROUNDINGS:
        return float("inf")
    near = image[around]
    spread = np.linalg.norm(near - np.median(near, axis=0), axis=1).mean()
    return float(np.linalg.norm(image[place].mean(axis=0) - near.mean(axis=0)) / (spread + EVEN))
