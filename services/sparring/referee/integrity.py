"""Whether an edit left alone what the question is about.

Everything is compared with the *control*, the original through the editor's autoencoder: its blur is nobody's attack.
A check is a function in a registry; it says what it measured and what, if anything, it objects to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import entry_points

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.signal import fftconvolve
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity

from sparring.referee.config import IntegrityConfig
from sparring.samples.sample import Box, Target

Pixels = NDArray[np.uint8]

SMALLEST_CROP = 24
"""Crops with a shorter side are enlarged to it; the similarity's window has a radius of 5."""
PROMISING = 0.7
"""Correlation from which a place is looked at more closely."""
SCALES = (0.75, 0.85, 1.0, 1.15, 1.3)
"""Sizes of a copy, relative to the target."""
LARGEST_SEARCH = 512
"""Images with a longer side are reduced to it before copies are searched, pixels."""


@dataclass(frozen=True)
class Region:
    """A target's place in whole pixels, clipped to the image; empty if nothing is left."""

    name: str
    left: int
    top: int
    right: int
    bottom: int

    @property
    def empty(self) -> bool:
        return self.right <= self.left or self.bottom <= self.top

    def of(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        return image[self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True)
class Finding:
    """What one check found: numbers by name, and its objection or None."""

    measures: dict[str, float] = field(default_factory=dict)
    objection: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What all checks found. `reasons` are the objections; an edit without any is valid."""

    measures: dict[str, float]
    reasons: tuple[str, ...]

    @property
    def valid(self) -> bool:
        return not self.reasons


class Subject:
    """A control with the regions that matter, and what is computed of it once for all edits.

    Args:
        control: uint8 [height, width, 3].
        targets: objects of the question, boxes in pixels of the original, which has the control's size.
    """

    def __init__(self, control: Pixels, targets: Sequence[Target]) -> None:
        self.control = control
        height, width = control.shape[:2]
        regions = [region(target.name, target.box, height, width) for target in targets]
        self.regions = [part for part in regions if not part.empty] or [Region("image", 0, 0, width, height)]
        """Where there are no boxes the whole image is compared."""
        self.boxed = bool(targets)

    @cached_property
    def lab(self) -> NDArray[np.float64]:
        return np.asarray(rgb2lab(self.control))

    @cached_property
    def copies(self) -> list[float]:
        """For each region the highest correlation outside it in the control itself."""
        small, scale = reduced(self.control)
        return [nearest_copy(small, small, part, scale)[0] for part in self.regions]


def region(name: str, box: Box, height: int, width: int) -> Region:
    """The pixels that a box touches."""
    return Region(
        name,
        max(0, int(np.floor(box.x))),
        max(0, int(np.floor(box.y))),
        min(width, int(np.ceil(box.x + box.width))),
        min(height, int(np.ceil(box.y + box.height))),
    )


def similarity(before: Pixels, after: Pixels) -> float:
    """SSIM of two crops of one size, -1 to 1, with the settings of Wang et al. 2004; small crops are enlarged first."""
    height, width = before.shape[:2]
    scale = max(1.0, SMALLEST_CROP / min(height, width))
    if scale > 1:
        size = (round(width * scale), round(height * scale))
        before, after = (
            np.asarray(Image.fromarray(crop).resize(size, Image.Resampling.LANCZOS)) for crop in (before, after)
        )
    return float(
        structural_similarity(
            before,
            after,
            data_range=255,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def structure(subject: Subject, edit: Pixels, config: IntegrityConfig) -> Finding:
    """Structural similarity of each target's box, without context; the least counts."""
    least = min(
        similarity(np.ascontiguousarray(part.of(subject.control)), np.ascontiguousarray(part.of(edit)))
        for part in subject.regions
    )
    return Finding({"ssim": least}, "structure" if least < config.ssim else None)


def colour(subject: Subject, edit: Pixels, config: IntegrityConfig) -> Finding:
    """Mean CIEDE2000 distance within each target's box; the greatest counts."""
    most = max(
        float(np.mean(deltaE_ciede2000(part.of(subject.lab), rgb2lab(part.of(edit))))) for part in subject.regions
    )
    return Finding({"colour": most}, "colour" if most > config.colour else None)


def copies(subject: Subject, edit: Pixels, config: IntegrityConfig) -> Finding:
    """Whether something elsewhere looks like a target, more so than anything in the control."""
    if not subject.boxed:
        return Finding()
    small, scale = reduced(subject.control)
    changed, _ = reduced(edit)
    worst, found = 0.0, False
    for part, usual in zip(subject.regions, subject.copies, strict=True):
        correlation, distance = nearest_copy(small, changed, part, scale)
        worst = max(worst, correlation)
        found |= (
            correlation > config.copy_correlation
            and correlation > usual + config.copy_margin
            and distance < config.copy_colour
        )
    return Finding({"copy": worst}, "copy" if found else None)


def reduced(image: Pixels) -> tuple[Pixels, float]:
    """The image, made smaller if it is very large, and by what factor."""
    scale = min(1.0, LARGEST_SEARCH / max(image.shape[:2]))
    if scale == 1.0:
        return image, scale
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX)), scale


def nearest_copy(control: Pixels, edit: Pixels, part: Region, scale: float) -> tuple[float, float]:
    """The highest normalised cross-correlation of a target's crop outside its box, and the colour distance there.

    Places that overlap the box by more than half a side do not count.
    """
    left, top = int(part.left * scale), int(part.top * scale)
    right, bottom = max(left + 3, int(part.right * scale)), max(top + 3, int(part.bottom * scale))
    crop = control[top:bottom, left:right]
    height, width = crop.shape[:2]
    if height >= edit.shape[0] or width >= edit.shape[1] or float(crop.std()) < 1.0:
        return 0.0, 0.0
    scores = correlation(edit.astype(np.float64), crop.astype(np.float64))
    rows, columns = np.ogrid[: scores.shape[0], : scores.shape[1]]
    near = (abs(rows - top) <= height // 2) & (abs(columns - left) <= width // 2)
    scores = np.where(near, -1.0, scores)
    y, x = np.unravel_index(int(scores.argmax()), scores.shape)
    if scores[y, x] < PROMISING:
        return float(scores[y, x]), float("inf")
    return best_scale(crop, edit, int(y), int(x))


def best_scale(crop: Pixels, edit: Pixels, y: int, x: int) -> tuple[float, float]:
    """Correlation and colour distance of `crop` around (x, y) at the size at which it fits best."""
    height, width = crop.shape[:2]
    margin = max(3, max(height, width) // 3)
    top, left = max(0, y - margin), max(0, x - margin)
    around = edit[top : y + height + margin, left : x + width + margin]
    found = []
    for scale in SCALES:
        size = (max(3, round(width * scale)), max(3, round(height * scale)))
        if size[0] > around.shape[1] or size[1] > around.shape[0]:
            continue
        sized = np.asarray(Image.fromarray(crop).resize(size, Image.Resampling.BILINEAR))
        scores = correlation(around.astype(np.float64), sized.astype(np.float64))
        row, column = np.unravel_index(int(scores.argmax()), scores.shape)
        found.append((float(scores[row, column]), sized, around[row : row + size[1], column : column + size[0]]))
    score, sized, there = max(found, key=lambda candidate: candidate[0])
    return score, float(np.mean(deltaE_ciede2000(rgb2lab(sized), rgb2lab(there))))


def correlation(image: NDArray[np.float64], crop: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalised cross-correlation of a crop at every place where it fits, over all channels together: -1 to 1.

    The same as `skimage.feature.match_template` on [height, width, 3], which transforms the channels too and takes
    five times as long.

    Args:
        image: [height, width, 3].
        crop: [h, w, 3], not constant.
    """
    height, width = crop.shape[:2]
    centred = crop - crop.mean()
    numerator = fftconvolve(image, centred[::-1, ::-1], mode="valid", axes=(0, 1)).sum(axis=2)
    sums, squares = (windows(values.sum(axis=2), height, width) for values in (image, image**2))
    energy = np.maximum(squares - sums**2 / crop.size, 1e-6)
    return np.asarray(numerator / np.sqrt(energy * (centred**2).sum()))


def windows(values: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Sums over every window of height x width, by an integral image."""
    table = np.pad(values, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    return table[height:, width:] - table[:-height, width:] - table[height:, :-width] + table[:-height, :-width]


def movement(subject: Subject, edit: Pixels, config: IntegrityConfig) -> Finding:
    """How far each target moved: the offset at which its crop fits best; the greatest counts."""
    if not subject.boxed:
        return Finding()
    most = max(offset(subject.control, edit, part) for part in subject.regions)
    return Finding({"shift": float(most)}, "movement" if most > config.shift else None)


def offset(control: Pixels, edit: Pixels, part: Region) -> int:
    """Pixels, the greater of both axes; 0 for a crop without contrast, which cannot be located."""
    crop = part.of(control).astype(np.float64)
    reach = max(2, min(crop.shape[:2]) // 2)
    top, left = max(0, part.top - reach), max(0, part.left - reach)
    around = edit[top : part.bottom + reach, left : part.right + reach].astype(np.float64)
    if float(crop.std()) < 1.0:
        return 0
    scores = correlation(around, crop)
    y, x = np.unravel_index(int(scores.argmax()), scores.shape)
    here = scores[part.top - top, part.left - left]
    if scores[y, x] <= here + 1e-3:
        return 0
    return max(abs(int(y) + top - part.top), abs(int(x) + left - part.left))


Check = Callable[[Subject, Pixels, IntegrityConfig], Finding]
BUILT_IN: tuple[Check, ...] = (structure, colour, copies, movement)


@cache
def checks() -> tuple[Check, ...]:
    """The built-in checks and those registered as entry points `sparring.integrity`."""
    return (*BUILT_IN, *(entry.load() for entry in entry_points(group="sparring.integrity")))


def judge(subject: Subject, edit: Pixels, config: IntegrityConfig) -> Verdict:
    """Let every check look at an edit.

    Args:
        subject: the control with its regions.
        edit: uint8, of the control's size; another size is an objection of its own.
        config: thresholds.
    """
    if edit.shape != subject.control.shape:
        return Verdict({}, ("size",))
    findings = [check(subject, edit, config) for check in checks()]
    measures = {name: value for finding in findings for name, value in finding.measures.items()}
    return Verdict(measures, tuple(finding.objection for finding in findings if finding.objection))


def calibrated(similarities: Sequence[float], floor: float = 0.75) -> float:
    """The SSIM threshold for an editor: 5th percentile over its edits with the empty instruction, not below `floor`."""
    return max(floor, float(np.percentile(similarities, 5)))
