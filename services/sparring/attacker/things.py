"""What in an image stands out like an object: found by segmentation, whatever the image's size, and off the targets.

The image is reduced and segmented by colour (Felzenszwalb and Huttenlocher 2004). A segment counts as a thing if its
size is that of an object and its mean colour is far from the colours around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import ceil
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, binary_fill_holes, find_objects
from skimage.color import rgb2lab
from skimage.segmentation import felzenszwalb

from sparring.attacker.layers import Floats, Pixels
from sparring.attacker.space import MARGIN, NoRoom, Place
from sparring.samples.sample import Target

Mask = NDArray[np.bool_]

SMALLEST = 24
"""In images with a shorter side there are no things, pixels."""
LONGEST = 128
"""Images with a longer side are reduced to it before they are segmented, pixels."""
GRAINS = (60.0, 240.0)
"""Scales of the segmentation: a finer one finds parts, a coarser one wholes."""
SIZES = (0.08, 0.34)
"""Shortest and longest side of a thing, as parts of the image's shorter side."""
SOLID = 0.4
"""Least part of its bounding box that a thing fills; the rims of things are segments too."""
RING = 3
"""Width of what is around a thing, reduced pixels."""
CONTRAST = 4.0
"""Least distance (CIE76) of a thing's mean colour from the one around, in excess of how far the latter spreads ..."""
RIVAL = 1 / 3
"""... and least part of what the most striking thing has of it."""
BEST = 6
"""How many of an image's things one is drawn from."""
_TURNS = tuple(Lock() for _ in range(64))
"""Held while an image is segmented, by what is in it."""


@dataclass(frozen=True)
class Thing:
    """Something that stands out.

    Attributes:
        outline: where it is in the reduced image: bool [rows, columns].
        height, width: of the image itself, pixels.
    """

    outline: Mask
    height: int
    width: int

    @cached_property
    def place(self) -> Place:
        """Its bounding box in the image."""
        return self.around(0)

    def around(self, pad: int) -> Place:
        """Its bounding box with so many reduced pixels more on each side, as far as the image reaches."""
        rows, columns = _bounds(self.outline)
        down, across = self._scale
        top, left = int(max(0, rows.start - pad) * down), int(max(0, columns.start - pad) * across)
        bottom = min(self.height, ceil((rows.stop + pad) * down))
        right = min(self.width, ceil((columns.stop + pad) * across))
        return Place(top, left, bottom - top, right - left)

    def cover(self, place: Place, growth: int = 0) -> Floats:
        """How much of each pixel of a place it covers, its outline moved outwards by so many reduced pixels.

        Returns:
            float32 [place.height, place.width], 0 to 1.
        """
        grown = binary_dilation(self.outline, iterations=growth) if growth else self.outline
        down, across = self._scale
        left, top = place.left / across, place.top / down
        box = left, top, left + place.width / across, top + place.height / down
        size = place.width, place.height
        shown = Image.fromarray(grown).convert("L").resize(size, Image.Resampling.BILINEAR, box)
        return np.asarray(shown, dtype=np.float32) / np.float32(255)

    def colour(self, image: Pixels) -> Floats:
        """Its mean colour: float32 [3]."""
        cover = self.cover(self.place)[..., None]
        return (cover * image[self.place.window]).sum(axis=(0, 1)) / cover.sum()

    @property
    def _scale(self) -> tuple[float, float]:
        rows, columns = self.outline.shape
        return self.height / rows, self.width / columns


def pick_thing(image: Pixels, targets: Sequence[Target], rng: np.random.Generator) -> Thing:
    """One of the things that stand out most.

    Raises:
        NoRoom: nothing stands out away from the targets.
    """
    for grain in rng.permutation(GRAINS):
        things = find_things(image, targets, grain)
        if things:
            return things[int(rng.integers(min(BEST, len(things))))]
    height, width = image.shape[:2]
    raise NoRoom(f"nothing stands out away from the {len(targets)} targets in an image of {width} x {height}")


def find_things(image: Pixels, targets: Sequence[Target], grain: float) -> list[Thing]:
    """The things in an image, what stands out most first.

    Args:
        image: uint8 [height, width, 3].
        targets: to keep off.
        grain: scale of the segmentation.
    """
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST:
        return []
    scale = min(1.0, LONGEST / max(height, width))
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    small = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BOX))
    free = _free((rows, columns), rows / height, columns / width, targets)
    pixels, allowed = small.tobytes(), free.tobytes()
    # Attacks on one image begin at the same time: the first finds the things, and the others wait for them.
    with _TURNS[hash(pixels) % len(_TURNS)]:
        outlines = _standing_out(pixels, allowed, free.shape, grain)
    return [Thing(outline, height, width) for outline in outlines]


@lru_cache(maxsize=64)
def _standing_out(pixels: bytes, allowed: bytes, shape: tuple[int, int], grain: float) -> list[Mask]:
    """Outlines of the things in a reduced image, what stands out most first.

    Edits come in groups of one image, which need not be segmented for each; bytes are what a cache can tell apart.

    Args:
        pixels: uint8 [*shape, 3].
        allowed: bool [*shape].
        shape: rows and columns.
        grain: scale of the segmentation.
    """
    image, free = np.frombuffer(pixels, np.uint8).reshape(*shape, 3), np.frombuffer(allowed, bool).reshape(shape)
    least = SIZES[0] * min(shape)
    labels = felzenszwalb(image, scale=grain, sigma=0, min_size=max(4, int(least**2 / 2)))
    lab = rgb2lab(image)
    found = [(_contrast(lab, outline), outline) for outline in _outlines(labels, free)]
    found.sort(key=lambda each: -each[0])
    most = found[0][0] if found else 0.0
    return [outline for contrast, outline in found if contrast > max(CONTRAST, RIVAL * most)]


def _free(shape: tuple[int, int], down: float, across: float, targets: Sequence[Target]) -> Mask:
    """Which pixels of the reduced image keep off the targets whole; `down` and `across` are how much it is reduced."""
    free = np.ones(shape, dtype=bool)
    for target in targets:
        box = target.box
        top, bottom = (box.y - MARGIN) * down, (box.y + box.height + MARGIN) * down
        left, right = (box.x - MARGIN) * across, (box.x + box.width + MARGIN) * across
        free[max(0, int(top)) : max(0, ceil(bottom)), max(0, int(left)) : max(0, ceil(right))] = False
    return free


def _outlines(labels: NDArray[np.int64], free: Mask) -> Iterator[Mask]:
    """Segments of the size of an object, holes filled, of which all is free."""
    shorter = min(labels.shape)
    for label, window in enumerate(find_objects(labels + 1)):
        sides = [part.stop - part.start for part in window]
        if min(sides) >= SIZES[0] * shorter and max(sides) <= SIZES[1] * shorter:
            segment, allowed = labels[window] == label, free[window]
            if not allowed[segment].all():
                continue
            whole = binary_fill_holes(segment)
            if whole.mean() >= SOLID and allowed[whole].all():
                outline = np.zeros(labels.shape, dtype=bool)
                outline[window] = whole
                yield outline


def _contrast(lab: NDArray[np.float64], outline: Mask) -> float:
    """Distance of the mean colour inside from the median one around, less the spread of the latter."""
    window = tuple(slice(max(0, part.start - RING - 1), part.stop + RING + 1) for part in _bounds(outline))
    inside, colours = outline[window], lab[window]
    near = binary_dilation(inside)
    around = colours[binary_dilation(near, iterations=RING) & ~near]
    middle = np.median(around, axis=0)
    spread = np.linalg.norm(around - middle, axis=1).mean()
    return float(np.linalg.norm(colours[inside].mean(axis=0) - middle) - spread)


def _bounds(outline: Mask) -> tuple[slice, slice]:
    """The rows and the columns that an outline takes up."""
    rows, columns = (np.flatnonzero(outline.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
