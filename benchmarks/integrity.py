"""What judging an edit costs: CPU milliseconds on one core, by part. The whole is decoding, checks and attack type.

    python benchmarks/integrity.py [--edits 200]

Small edits are of the shapes world, 64 x 64 pixels, each with an object more; large ones are a photograph of
1448 x 1448 pixels with two targets and a patch of noise elsewhere. Eight edits share a control.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PIL import Image
from skimage import data

from sparring.referee.config import IntegrityConfig
from sparring.referee.correlation import Pixels
from sparring.referee.integrity import BUILT_IN, Check, Exhibit, Subject, judge
from sparring.samples.images import decode, encode_png
from sparring.samples.pairs import pair
from sparring.samples.sample import Box, Target
from sparring.samples.shapes import Shapes, World, ask, render

GROUP = 8
CONFIG = IntegrityConfig()
Group = tuple[Pixels, Sequence[Target], list[Pixels]]
"""A control, its targets, and edits."""


def small(groups: int) -> list[Group]:
    world, rng = World(bystanders=(0, 3), grounds=("plain", "graded", "striped")), np.random.default_rng(0)
    shapes = Shapes(world, 0, "benchmark")
    found: list[Group] = []
    for scene in map(shapes.scene, range(groups)):
        pairs = [pair(rng, world, "add", scene) for _ in range(GROUP)]
        edits = [render(made.after) for made in pairs if made is not None]
        found.append((render(scene), ask(scene).targets, edits))
    return found


def large(groups: int) -> list[Group]:
    rng = np.random.default_rng(0)
    photo = np.asarray(Image.fromarray(data.astronaut()).resize((1448, 1448), Image.Resampling.BICUBIC))
    targets = (Target("face", Box(560, 100, 260, 300)), Target("patch", Box(300, 1100, 90, 80)))
    edits: list[Pixels] = []
    for _ in range(GROUP):
        edit = photo.copy()
        edit[900:1000, 1200:1300] = rng.integers(0, 256, (100, 100, 3))
        edits.append(edit)
    return [(photo, targets, edits)] * groups


def cost(groups: Sequence[Group], work: Callable[[Subject, Pixels], object]) -> float:
    """Milliseconds of CPU for an edit, what is computed once for a control included."""
    edits, start = 0, time.process_time()
    for control, targets, shown in groups:
        subject = Subject(control, targets)
        for edit in shown:
            work(subject, edit)
        edits += len(shown)
    return (time.process_time() - start) / edits * 1e3


def run(check: Check, subject: Subject, edit: Pixels) -> object:
    """One check alone."""
    return check(subject, Exhibit(edit), CONFIG)


def full(subject: Subject, edit: Pixels) -> object:
    """All checks and the attack type."""
    return judge(subject, edit, CONFIG), subject.before.type_of(edit)


def decoding(edits: Sequence[Pixels]) -> float:
    """Milliseconds of CPU for an edit's file."""
    files = [encode_png(edit) for edit in edits]
    start = time.process_time()
    for file in files:
        decode(file, max_pixels=1 << 22, max_bytes=1 << 24)
    return (time.process_time() - start) / len(files) * 1e3


def tell(name: str, groups: Sequence[Group]) -> None:
    cost(groups[:1], full)
    parts = {check.__name__: cost(groups, partial(run, check)) for check in BUILT_IN}
    parts["attack type"] = cost(groups, lambda subject, edit: subject.before.type_of(edit))
    parts["decoding"] = decoding(groups[0][2])
    told = ", ".join(f"{part} {milliseconds:.2f}" for part, milliseconds in parts.items())
    print(f"{name}: {cost(groups, full) + parts['decoding']:.2f} ms an edit ({told})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=200, help="small edits; there are a tenth as many large ones")
    options = parser.parse_args()
    tell("64 x 64", small(max(1, options.edits // GROUP)))
    tell("1448 x 1448", large(max(1, options.edits // 10 // GROUP)))


if __name__ == "__main__":
    main()
