"""How well the attack type of an edit is told from its images: confusion matrices on edits whose type is known.

    python benchmarks/attack_types.py [--scenes 200] [--edits 8]

On scenes of the shapes world the renderer made the edits; on scikit-image's photographs the attacks without a model, of
which `add` may happen to cover something and `replace` to take away what hardly stood out. A recoloured thing counts as
replaced; a hybrid is two of them at different places. `seen through` means that both images went through a stand-in for
an autoencoder (a blur of 0.5 pixels, and noise of 2 levels that differs between the two).
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from photographs import Photograph, photographs
from PIL import Image, ImageFilter

from sparring.attacker.procedural import find_attack
from sparring.attacker.space import NoRoom
from sparring.referee.attack_types import AttackType, Before
from sparring.samples.pairs import added, pair
from sparring.samples.sample import Box, Target
from sparring.samples.shapes import Item, Scene, Shapes, World, ask, render

WORLD = World(bystanders=(1, 4), grounds=("plain", "graded", "striped"))
TYPES = {
    "add": AttackType.ADD,
    "distract": AttackType.ADD,
    "add_two": AttackType.ADD,
    "remove": AttackType.REMOVE,
    "replace": AttackType.REPLACE,
    "recolour": AttackType.REPLACE,
}
HYBRIDS = (("remove", "add"), ("replace", "add"), ("remove", "replace"))
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Labelled:
    """An edit whose type is known."""

    type: AttackType
    before: Pixels
    after: Pixels
    targets: Sequence[Target]


def scenes(count: int) -> Iterator[Labelled]:
    """Edits by the renderer."""
    shapes = Shapes(WORLD, 0, "attack types")
    for index in range(count):
        rng, scene = np.random.default_rng([0, index]), shapes.scene(index)
        made = [(AttackType.IMPERCEPTIBLE, scene)]
        made += [(type_, each.after) for kind, type_ in TYPES.items() if (each := pair(rng, WORLD, kind, scene))]
        made += [(AttackType.HYBRID, after) for kind in ("remove", "replace") if (after := mixed(rng, scene, kind))]
        for type_, after in made:
            yield Labelled(type_, render(scene), render(after), ask(scene).targets)


def mixed(rng: np.random.Generator, scene: Scene, kind: str) -> Scene | None:
    """A bystander removed or replaced, and an object added elsewhere; None if there is no room."""
    first = pair(rng, WORLD, kind, scene)
    second = added(rng, WORLD, first.after) if first else None
    if first is None or second is None:
        return None
    (gone,) = (item for item in scene.items if item not in first.after.items)
    return second if apart(gone, second.items[-1]) else None


def apart(one: Item, other: Item) -> bool:
    return max(abs(one.x - other.x), abs(one.y - other.y)) > max(one.size, other.size) + 4


def shots(pixels: int, edits: int) -> Iterator[Labelled]:
    """Edits of photographs by the attacks without a model."""
    for number, photograph in enumerate(photographs(pixels)):
        for index in range(edits):
            rng = np.random.default_rng([1, number, index])
            yield Labelled(AttackType.IMPERCEPTIBLE, photograph.image, photograph.image, photograph.targets)
            for names in (*((name,) for name in ("add", "remove", "replace", "recolour")), *HYBRIDS):
                after = attacked(photograph, names, rng)
                if after is not None:
                    type_ = AttackType.HYBRID if len(names) > 1 else TYPES[names[0]]
                    yield Labelled(type_, photograph.image, after, photograph.targets)


def attacked(photograph: Photograph, names: Sequence[str], rng: np.random.Generator) -> Pixels | None:
    """One attack after the other, each off the targets and off what the former changed; None without room."""
    image, targets = photograph.image, list(photograph.targets)
    for name in names:
        try:
            edit = find_attack(name)(image, targets, rng).image
        except NoRoom:
            return None
        rows, columns = np.nonzero((edit != image).any(axis=2))
        gap = 0.04 * min(image.shape[:2])
        left, top = columns.min() - gap, rows.min() - gap
        targets.append(Target("it", Box(left, top, columns.max() + gap - left, rows.max() + gap - top)))
        image = edit
    return image


def seen_through(image: Pixels, rng: np.random.Generator) -> Pixels:
    """What a stand-in for an autoencoder makes of an image."""
    soft = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(0.5)), dtype=np.float32)
    return (soft + 2 * rng.standard_normal(soft.shape, dtype=np.float32)).round().clip(0, 255).astype(np.uint8)


def tell(heading: str, edits: Sequence[Labelled], coded: bool) -> None:
    rng, found, seconds = np.random.default_rng(2), Counter[tuple[AttackType, AttackType]](), 0.0
    for edit in edits:
        images = [seen_through(image, rng) if coded else image for image in (edit.before, edit.after)]
        start = time.process_time()
        found[edit.type, Before(images[0], edit.targets).type_of(images[1])] += 1
        seconds += time.process_time() - start
    right = sum(number for (true, told), number in found.items() if true is told)
    print(f"\n{heading}: {right / len(edits):.1%} of {len(edits)} right, {seconds / len(edits) * 1e3:.1f} ms an edit")
    print(f"{'true, below; told, right':26}" + "".join(f"{told:>15}" for told in AttackType))
    for true in AttackType:
        row = [found[true, told] for told in AttackType]
        print(f"{true:26}" + "".join(f"{number / max(1, sum(row)):>15.1%}" for number in row) + f"   n = {sum(row)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--edits", type=int, default=8, help="of each type and photograph")
    options = parser.parse_args()
    tell("scenes, 64 x 64", list(scenes(options.scenes)), coded=False)
    tell("scenes, 64 x 64, seen through", list(scenes(options.scenes)), coded=True)
    for heading, pixels in (("photographs, 64 x 64", 64**2), ("photographs, 1 MP", 10**6)):
        tell(heading, list(shots(pixels, options.edits)), coded=False)
    tell("photographs, 64 x 64, seen through", list(shots(64**2, options.edits)), coded=True)


if __name__ == "__main__":
    main()
