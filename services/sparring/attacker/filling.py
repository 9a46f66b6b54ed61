"""Taking a thing out of an image: what is around it closes over it.

The hole gets the colours of its rim, continued by Laplace's equation (so that nothing in it is brighter or darker than
the rim), and the fine detail of another part of the image, one with a rim like its own. All but the detail is computed
on a small copy, so that an image's size costs little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import splu

from sparring.attacker.layers import Floats, Layer, Pixels
from sparring.attacker.space import Place, apart
from sparring.attacker.things import Mask, Thing
from sparring.samples.sample import Target

GROWTH = 2
"""How far a hole reaches beyond a thing's outline, reduced pixels (see `things`); edges are soft."""
MARGIN = 4
"""What of the surroundings beyond a hole is looked at, reduced pixels."""
LONGEST = 64
"""Longest side of the small copy, pixels."""
DONORS, TRIES = 8, 40
"""How many other parts of the image are compared for their detail, and how many are drawn to find them."""
CALM = 1.5
"""Most detail that is taken over, as a multiple of how much the rim varies; with more, it would be another thing."""
RIM = 3
"""Width of the rim that is compared, pixels of the small copy."""


def filled(image: Pixels, thing: Thing, targets: Sequence[Target], rng: np.random.Generator) -> Layer:
    """What takes a thing out of an image when it is laid over it.

    Args:
        image: uint8 [height, width, 3].
        thing: what is to go.
        targets: no detail is taken from them.
        rng: decides which parts of the image are tried for their detail.
    """
    place, gap = thing.around(GROWTH + MARGIN), thing.around(GROWTH + 1)
    cover = thing.cover(place, GROWTH)
    parts = [place, *islice(_donors(image, place, gap, targets, rng), DONORS)]
    small = np.stack([_reduced(image[part.window]) for part in parts])
    hole = _reduced(np.asarray(cover * 255, dtype=np.uint8)) > 0
    closed = harmonic(small, hole)
    colours = _enlarged(closed[0], place)
    best = _best(small, closed, hole)
    if best:
        colours += image[parts[best].window] - _enlarged(closed[best], place)
    return Layer(place, colours, cover)


def harmonic(pictures: Floats, hole: Mask) -> Floats:
    """Pictures with a hole closed: each pixel in it is the mean of its four neighbours, of those that there are.

    Args:
        pictures: float32 [count, rows, columns, channels].
        hole: bool [rows, columns], neither everywhere nor nowhere. What is not hole is left as it is.
    """
    inside, known = np.flatnonzero(hole), np.flatnonzero(~hole)
    balance = _laplacian(*hole.shape)[inside]
    flat = np.moveaxis(pictures, 0, 2).reshape(hole.size, -1)
    closed = flat.copy()
    closed[inside] = splu(balance[:, inside].tocsc()).solve(-(balance[:, known] @ flat[known]).astype(np.float64))
    return np.moveaxis(closed.reshape(*hole.shape, len(pictures), -1), 2, 0)


@lru_cache(maxsize=64)
def _laplacian(rows: int, columns: int) -> csr_array:
    """Each pixel's number of neighbours less the neighbours: sparse [rows * columns, rows * columns]."""
    index = np.arange(rows * columns).reshape(rows, columns)
    one = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    other = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    row, column = np.concatenate([one, other, one, other]), np.concatenate([one, other, other, one])
    return coo_array((np.repeat([1.0, -1.0], 2 * len(one)), (row, column)), shape=(index.size, index.size)).tocsr()


def _donors(
    image: Pixels, place: Place, hole: Place, targets: Sequence[Target], rng: np.random.Generator
) -> Iterator[Place]:
    """Places of the same size, of which the part that would fill the hole keeps off the targets and off the hole."""
    height, width = image.shape[:2]
    for _ in range(TRIES):
        top, left = (int(rng.integers(room + 1)) for room in (height - place.height, width - place.width))
        down, across = top - place.top, left - place.left
        part = replace(hole, top=hole.top + down, left=hole.left + across)
        if (abs(down) >= hole.height or abs(across) >= hole.width) and apart(part, targets).all():
            yield Place(top, left, place.height, place.width)


def _best(small: Floats, closed: Floats, hole: Mask) -> int:
    """Which donor has the rim most like the first picture's, and little in its middle; 0 if none is calm enough."""
    rim = binary_dilation(hole, iterations=RIM) & ~hole
    rims = small[:, rim] - small[:, rim].mean(axis=1, keepdims=True)
    detail = _rms((small - closed)[:, hole])
    cost = _rms(rims - rims[0]) + detail
    cost[0] = np.inf
    best = int(cost.argmin())
    return best if detail[best] <= CALM * _rms(rims)[0] else 0


def _rms(values: Floats) -> NDArray[np.float32]:
    """Root of the mean square of each row."""
    return np.sqrt(np.square(values).mean(axis=(1, 2)))


def _reduced(picture: Pixels) -> Floats:
    """A small copy."""
    height, width = picture.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX), dtype=np.float32)


def _enlarged(picture: Floats, place: Place) -> Floats:
    """A small copy in the size of a place."""
    size = place.width, place.height
    channels = [Image.fromarray(np.ascontiguousarray(picture[..., channel])) for channel in range(3)]
    return np.stack([np.asarray(each.resize(size, Image.Resampling.BILINEAR)) for each in channels], axis=2)
