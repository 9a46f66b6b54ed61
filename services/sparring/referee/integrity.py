"""Whether an edit left alone what the question is about.

Everything is compared with the *control*, the original through the editor's autoencoder: its blur is nobody's attack.
(What no model made has no such blur: there the original stands for the control.)
A check is a function; it says what it measured and what, if anything, it objects to. More of them join by the entry
point group `sparring.integrity`. What each one measures and misses: docs/formulas.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import entry_points

import numpy as np
from skimage.color import deltaE_ciede2000

from sparring.referee.attack_types import AttackType, Before
from sparring.referee.cielab import cielab
from sparring.referee.config import IntegrityConfig
from sparring.referee.correlation import Field, Pixels
from sparring.referee.likeness import Likeness, Scenery
from sparring.referee.placement import Placement
from sparring.referee.regions import Region, region, visible
from sparring.referee.similarity import Structure
from sparring.samples.sample import Target

NO_ROOM = "no_room"
"""Reason against what is no edit: the attack found nothing to do."""


@dataclass(frozen=True)
class Finding:
    """What one check found: numbers by name, and its objection or None."""

    measures: dict[str, float] = field(default_factory=dict)
    objection: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What all checks found. `reasons` are the objections; an edit without any is valid.

    `attack_type` is what a valid semantic edit did; None of others.
    """

    measures: dict[str, float]
    reasons: tuple[str, ...]
    attack_type: AttackType | None = None

    @property
    def valid(self) -> bool:
        return not self.reasons


class Subject:
    """A control with the regions that matter, and what is computed of it once for all edits.

    Args:
        control: uint8 [height, width, 3].
        targets: objects of the question, boxes in pixels of the original, which has the control's size. Without any,
            the whole image is compared, and nothing is located or searched for.
    """

    def __init__(self, control: Pixels, targets: Sequence[Target]) -> None:
        self.control, self.targets = control, tuple(targets)
        height, width = control.shape[:2]
        self.boxes = [region(target.box).clipped(height, width) for target in targets]
        self.regions = self.boxes or [Region(0, 0, width, height)]

    @cached_property
    def before(self) -> Before:
        """What the types of edits are told by."""
        return Before(self.control, self.targets)

    @cached_property
    def structures(self) -> list[Structure]:
        return [Structure(part.of(self.control)) for part in self.regions]

    def distances(self, edit: Pixels) -> list[float]:
        """Mean CIEDE2000 distance within each region, in one call: it costs much for each and little for a pixel."""
        before, after = self._pixels, self._pixels_of(edit)
        if np.array_equal(before, after):
            return [0.0] * len(self.regions)
        starts = np.cumsum([0, *(part.height * part.width for part in self.regions)])
        found = deltaE_ciede2000(cielab(before), cielab(after))
        sums = np.add.reduceat(found, starts[:-1], dtype=np.float64)
        return [float(distance) for distance in sums / np.diff(starts)]

    @cached_property
    def _pixels(self) -> Pixels:
        return self._pixels_of(self.control)

    def _pixels_of(self, image: Pixels) -> Pixels:
        """The regions' pixels, one region after the other: uint8 [pixels, 3]."""
        return np.concatenate([part.of(image).reshape(-1, 3) for part in self.regions])

    @cached_property
    def placements(self) -> list[Placement]:
        return [Placement(self.control, part) for part in self.boxes]

    @cached_property
    def scenery(self) -> Scenery:
        return Scenery(self.control)

    @cached_property
    def likenesses(self) -> list[Likeness]:
        return [Likeness(self.scenery, part) for part in self.boxes]

    def news(self, edit: Scenery) -> Field | None:
        """Where in an edit a target may have appeared again; None where nothing has changed."""
        return edit.since(self.scenery, max(likeness.reach for likeness in self.likenesses))


class Exhibit:
    """An edit of the control's size, and what is computed of it once for all checks.

    Args:
        pixels: uint8 [height, width, 3].
    """

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels

    @cached_property
    def scenery(self) -> Scenery:
        return Scenery(self.pixels)


def structure(subject: Subject, exhibit: Exhibit, config: IntegrityConfig) -> Finding:
    """Structural similarity of each region, cropped without context; the least counts."""
    parts = zip(subject.structures, subject.regions, strict=True)
    least = min(control.similarity(part.of(exhibit.pixels)) for control, part in parts)
    return Finding({"ssim": least}, "structure" if least < config.ssim else None)


def colour(subject: Subject, exhibit: Exhibit, config: IntegrityConfig) -> Finding:
    """Mean CIEDE2000 distance within each region; the greatest counts."""
    most = max(subject.distances(exhibit.pixels))
    return Finding({"colour": most}, "colour" if most > config.colour else None)


def placement(subject: Subject, exhibit: Exhibit, config: IntegrityConfig) -> Finding:
    """Where each target fits best, and how well in its place; the farthest and the worst count."""
    if not subject.boxes:
        return Finding()
    found = [place.find(exhibit.pixels, config.shift) for place in subject.placements]
    form, shift = min(fit for fit, _ in found), max(offset for _, offset in found)
    objection = "movement" if shift > config.shift else "form" if form < config.form else None
    return Finding({"form": form, "shift": float(shift)}, objection)


def copies(subject: Subject, exhibit: Exhibit, config: IntegrityConfig) -> Finding:
    """How much something elsewhere has come to look like a target."""
    if not subject.boxes:
        return Finding()
    news = subject.news(exhibit.scenery)
    if news is None:
        return Finding({"copy": 0.0})
    found = [likeness.nearest(news, config.copy_margin) for likeness in subject.likenesses]
    spots = [spot for spot in found if spot is not None]
    twice = any(spot.correlation > config.copy_correlation and spot.colour < config.copy_colour for spot in spots)
    return Finding({"copy": max((spot.correlation for spot in spots), default=0.0)}, "copy" if twice else None)


Check = Callable[[Subject, Exhibit, IntegrityConfig], Finding]
BUILT_IN: tuple[Check, ...] = (structure, colour, placement, copies)


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
    exhibit = Exhibit(edit)
    findings = [check(subject, exhibit, config) for check in checks()]
    measures = {name: value for finding in findings for name, value in finding.measures.items()}
    return Verdict(measures, tuple(finding.objection for finding in findings if finding.objection))


def judge_corruption(
    targets: Sequence[Target], edit: Pixels, affine: tuple[float, ...] | None, config: IntegrityConfig
) -> Verdict:
    """A corruption may degrade everything alike, but must leave every target in the picture.

    Args:
        targets: boxes in pixels of the original.
        edit: uint8 [height, width, 3].
        affine: where geometry moved, 2 x 3 from original to edit; the boxes move along.
        config: thresholds.
    """
    if affine is None or not targets:
        return Verdict({}, ())
    least = min(visible(target.box, affine, *edit.shape[:2]) for target in targets)
    return Verdict({"visible": least}, ("movement",) if least < config.visible else ())


def calibrated(similarities: Sequence[float], floor: float = 0.75) -> float:
    """The SSIM threshold for an editor: 5th percentile over its edits with the empty instruction, not below `floor`."""
    return max(floor, float(np.percentile(similarities, 5)))
