"""What the small defender is taught: scenes of two objects, the question about them, and an answer that reasons.

The answer names both objects with their positions and the relation before the letter. A model of this size does
not learn the bare letter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparring.ops.making.tokenizer import BINS, LETTERS
from sparring.samples.prompt import FORMAT
from sparring.samples.shapes import RELATIONS, Item, Relation, Scene, Shapes, World, draw, render


@dataclass(frozen=True)
class Lesson:
    """One scene with its question.

    Attributes:
        pixels: uint8 [size, size, 3].
        prompt: the user's turn.
        answer: what the defender should say, without the end token.
        letter: the right option's letter; empty if the question has no options.
    """

    pixels: NDArray[np.uint8]
    prompt: str
    answer: str
    letter: str


def position(item: Item, size: int) -> str:
    """The eighths of the image that an object's centre lies in, for example `x2 y5`."""
    x, y = (int(centre * BINS / size) for centre in item.centre)
    return f"x{x} y{y}"


def question(scene: Scene, options: tuple[Relation, ...]) -> str:
    """What `put` gives for the scene's sample, without encoding its image."""
    first, second = scene.targets
    listed = "\n".join(f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=True))
    return f"What is the location of the {first.name} compared with the {second.name}?\n{listed}\n{FORMAT}"


def lesson(scene: Scene, rng: np.random.Generator) -> Lesson:
    """The lesson of a scene, its options shuffled by `rng`."""
    options = tuple(RELATIONS[index] for index in rng.permutation(len(RELATIONS)))
    letter = LETTERS[options.index(scene.relation)]
    placed = " ".join(f"{item.name} {position(item, scene.size)}" for item in scene.targets)
    answer = rf"{placed} {scene.relation} \boxed{{{letter}}}"
    return Lesson(render(scene), question(scene, options), answer, letter)


def naming_lesson(scene: Scene, rng: np.random.Generator) -> Lesson:
    """Which of the targets stands at a given place: teaches the words for colours and shapes."""
    item = scene.targets[rng.integers(2)]
    return Lesson(render(scene), f"object near {position(item, scene.size)}?", item.name, letter="")


def fresh(rng: np.random.Generator, world: World, count: int, *, naming: bool) -> list[Lesson]:
    """Lessons of one kind that are drawn once and not seen again."""
    make = naming_lesson if naming else lesson
    return [make(draw(rng, world), rng) for _ in range(count)]


def held_out(world: World, seed: int, count: int) -> list[Lesson]:
    """The first `count` lessons of the split `eval`, always the same."""
    shapes = Shapes(world, seed, "eval")
    return [lesson(shapes.scene(index), np.random.default_rng([seed, index])) for index in range(count)]


def disturb(rng: np.random.Generator, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blur, tint and noise, each of random strength per image: what a lossy image codec may do.

    Args:
        pixels: uint8 [batch, height, width, 3].
    """
    batch = len(pixels)
    image = pixels.astype(np.float32)
    spread = rng.uniform(-0.15, 0.3, size=(batch, 1, 1, 1)).clip(0).astype(np.float32)
    for axis in (1, 2):
        image += spread * ((np.roll(image, 1, axis) + np.roll(image, -1, axis)) / 2 - image)
    image *= rng.normal(1, 0.04, size=(batch, 1, 1, 3)).astype(np.float32)
    image += rng.normal(0, 5, size=(batch, 1, 1, 3)).astype(np.float32)
    strength = rng.uniform(0, 6, size=(batch, 1, 1, 1)).astype(np.float32)
    image += strength * rng.standard_normal(image.shape, dtype=np.float32)
    return image.round().clip(0, 255).astype(np.uint8)
