"""What the attacks without a model are good for: how many of their edits pass integrity, and what an edit costs.

    python benchmarks/attacks.py [--scenes 40] [--edits 8]

On scenes of the shapes world (64 x 64 pixels) and on scikit-image's photographs at 64 x 64, 1 and 2 megapixels. `found`
is the share of edits that there was something to do for, `seen` the share of those that change anything by more than 30
of 255 levels, `accepted` the share of those made that integrity lets pass, with what it objects to. The control is the
original. Milliseconds are of one core's processor time; edits come in groups of one image, as a check asks for them.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from photographs import photographs

from sparring.attacker.procedural import Attacked, find_attack
from sparring.attacker.space import NoRoom
from sparring.referee.config import IntegrityConfig
from sparring.referee.integrity import Subject, Verdict, judge, judge_corruption
from sparring.samples.sample import Target
from sparring.samples.shapes import Shapes, World, ask, render

SEMANTIC = ("add", "remove", "replace", "recolour")
CORRUPTION = ("crop", "shift", "noise", "jpeg", "blur", "photometric")
CONFIG = IntegrityConfig()
VISIBLE = 30
"""Levels."""

Picture = tuple[NDArray[np.uint8], Sequence[Target]]


@dataclass
class Tally:
    """What came of an attack on some pictures."""

    asked: int = 0
    made: int = 0
    seen: int = 0
    accepted: int = 0
    seconds: float = 0.0
    objections: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        objections = ", ".join(f"{name} {count}" for name, count in self.objections.most_common())
        found, seen = self.made / self.asked, self.seen / max(1, self.made)
        accepted, cost = self.accepted / max(1, self.made), self.seconds / self.asked * 1e3
        return f"{found:8.1%} {seen:8.1%} {accepted:9.1%} {cost:9.1f}   {objections}"


def scenes(count: int) -> Iterator[Picture]:
    shapes = Shapes(World(bystanders=(1, 4), grounds=("plain", "graded", "striped")), 0, "attacks")
    for index in range(count):
        scene = shapes.scene(index)
        yield render(scene), ask(scene).targets


def measure(name: str, pictures: Sequence[Picture], edits: int) -> Tally:
    attack, tally = find_attack(name), Tally()
    for picture, (image, targets) in enumerate(pictures):
        subject = Subject(image, targets)
        for index in range(edits):
            start, rng = time.process_time(), np.random.default_rng([picture, index])
            try:
                made = attack(image, targets, rng)
            except NoRoom:
                made = None
            tally.seconds += time.process_time() - start
            tally.asked += 1
            if made is not None:
                count(tally, subject, made)
    return tally


def count(tally: Tally, subject: Subject, made: Attacked) -> None:
    verdict = verdict_of(subject, made)
    tally.made += 1
    tally.seen += bool(np.abs(made.image.astype(np.int16) - subject.control).max() > VISIBLE)
    tally.accepted += verdict.valid
    tally.objections.update(verdict.reasons)


def verdict_of(subject: Subject, made: Attacked) -> Verdict:
    if made.kind == "corruption":
        return judge_corruption(subject.targets, made.image, made.affine, CONFIG)
    return judge(subject, made.image, CONFIG)


def tell(heading: str, pictures: Sequence[Picture], edits: int) -> None:
    print(f"\n{heading:24}{'found':>8} {'seen':>8} {'accepted':>9} {'ms/edit':>9}   objections")
    for name in (*SEMANTIC, *CORRUPTION):
        print(f"{name:24}{measure(name, pictures, edits)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--edits", type=int, default=8, help="of each scene and photograph; a group")
    options = parser.parse_args()
    measure("replace", list(scenes(1)), 1)  # What is imported at the first call costs nothing later.
    tell("scenes, 64 x 64", list(scenes(options.scenes)), options.edits)
    for heading, pixels in (
        ("photographs, 64 x 64", 64**2),
        ("photographs, 1 MP", 10**6),
        ("photographs, 2 MP", 2 * 10**6),
    ):
        pictures = [(each.image, each.targets) for each in photographs(pixels)]
        tell(heading, pictures, options.edits)


if __name__ == "__main__":
    main()
