"""The shapes world: scenes of coloured shapes, deterministic from a seed, with exact boxes.

A scene holds two *targets*, which the question compares, and some *bystanders*. No two objects of a scene
share both colour and shape, so that every question has one answer. How hard a scene is, is a parameter.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sparring.samples.images import encode_png
from sparring.samples.sample import Box, Sample, Target

Shape = Literal["circle", "square", "triangle", "cross"]
Colour = Literal["red", "green", "blue", "yellow", "purple", "white"]
Ground = Literal["plain", "graded", "striped"]
Relation = Literal["left", "right", "above", "below"]

SHAPES: tuple[Shape, ...] = ("circle", "square", "triangle", "cross")
COLOURS: dict[Colour, tuple[int, int, int]] = {
    "red": (225, 45, 45),
    "green": (45, 185, 70),
    "blue": (55, 95, 235),
    "yellow": (245, 215, 50),
    "purple": (175, 65, 205),
    "white": (245, 245, 245),
}
RELATIONS: tuple[Relation, ...] = ("left", "right", "above", "below")
SUPERSAMPLING = 8
TRIES = 500
"""Scenes begun before a world is held to be too crowded."""


class World(BaseModel):
    """The distribution that scenes are drawn from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(64, ge=32, le=512)
    """Side of the square image, pixels."""
    smallest: int = Field(11, ge=5)
    """Smallest side of an object's box, pixels."""
    largest: int = Field(15, ge=5)
    """Largest side of an object's box, pixels."""
    bystanders: tuple[int, int] = (0, 0)
    """Fewest and most objects beside the two targets."""
    alike: float = Field(0.5, ge=0, le=1)
    """Probability that an object after the first takes its colour or its shape from one that is already there."""
    grounds: tuple[Ground, ...] = Field(("plain", "graded"), min_length=1)
    """Kinds of background, each as likely as the next."""
    gap: int = Field(2, ge=0)
    """Least distance between the boxes of two objects, pixels."""
    lead: float = Field(1.5, ge=1)
    """Least ratio of the targets' distance along the asked axis to their distance along the other."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.smallest <= self.largest <= self.size:
            raise ValueError(f"smallest {self.smallest} <= largest {self.largest} <= size {self.size} does not hold")
        if not 0 <= self.bystanders[0] <= self.bystanders[1]:
            raise ValueError(f"bystanders {self.bystanders}: expected fewest, most")
        return self


@dataclass(frozen=True)
class Item:
    """One object: `size` is the side of its box, (`x`, `y`) the box's top left corner, pixels."""

    shape: Shape
    colour: Colour
    x: int
    y: int
    size: int

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"

    @property
    def box(self) -> Box:
        return Box(self.x, self.y, self.size, self.size)

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.size / 2, self.y + self.size / 2


@dataclass(frozen=True)
class Scene:
    """A picture before it is drawn. The first two items are the targets, in the question's order.

    Attributes:
        size: side of the image, pixels.
        ground: kind of background.
        tones: two colours (RGB, 0-255) that the ground is made of; a plain one uses the first.
        items: what stands on the ground; no two of them overlap.
    """

    size: int
    ground: Ground
    tones: tuple[tuple[int, int, int], tuple[int, int, int]]
    items: tuple[Item, ...]

    @property
    def targets(self) -> tuple[Item, Item]:
        return self.items[0], self.items[1]

    @property
    def relation(self) -> Relation:
        """Where the first target lies, seen from the second, along the axis on which they differ most."""
        (ax, ay), (bx, by) = (item.centre for item in self.targets)
        if abs(ax - bx) > abs(ay - by):
            return "left" if ax < bx else "right"
        return "above" if ay < by else "below"


def fits(item: Item, others: tuple[Item, ...], gap: int, size: int) -> bool:
    """Whether `item` lies inside a `size` x `size` image, at least `gap` pixels from each other box."""
    if item.x < 0 or item.y < 0 or item.x + item.size > size or item.y + item.size > size:
        return False
    return all(
        item.x + item.size + gap <= other.x
        or other.x + other.size + gap <= item.x
        or item.y + item.size + gap <= other.y
        or other.y + other.size + gap <= item.y
        for other in others
    )


def place(rng: np.random.Generator, world: World, others: tuple[Item, ...], *, tries: int = 60) -> Item | None:
    """Draw one more object that fits beside `others` and is named like none of them; None if there is no room."""
    names = {item.name for item in others}
    for _ in range(tries):
        shape: Shape = SHAPES[rng.integers(len(SHAPES))]
        colour: Colour = list(COLOURS)[rng.integers(len(COLOURS))]
        if others and rng.random() < world.alike:
            model = others[rng.integers(len(others))]
            shape, colour = (model.shape, colour) if rng.random() < 0.5 else (shape, model.colour)
        side = int(rng.integers(world.smallest, world.largest + 1))
        x, y = (int(v) for v in rng.integers(0, world.size - side + 1, size=2))
        item = Item(shape, colour, x, y, side)
        if item.name not in names and fits(item, others, world.gap, world.size):
            return item
    return None


def clear(first: Item, second: Item, lead: float) -> bool:
    """Whether one axis so dominates that nobody would name another relation of `first` to `second`."""
    along, across = sorted((abs(a - b) for a, b in zip(first.centre, second.centre, strict=True)), reverse=True)
    return along >= lead * across and along >= (first.size + second.size) / 2


def draw(rng: np.random.Generator, world: World) -> Scene:
    """Draw a scene from `world`.

    Raises:
        ValueError: there is hardly room for what the world asks for.
    """
    count = 2 + int(rng.integers(world.bystanders[0], world.bystanders[1] + 1))
    for _ in range(TRIES):
        items: tuple[Item, ...] = ()
        for index in range(count):
            item = place(rng, world, items)
            if item is None or (index == 1 and not clear(items[0], item, world.lead)):
                break
            items = (*items, item)
        if len(items) == count:
            ground = world.grounds[rng.integers(len(world.grounds))]
            return Scene(world.size, ground, (_tone(rng), _tone(rng)), items)
    raise ValueError(f"found no room for {count} objects in {TRIES} scenes of {world}: want fewer or smaller ones")


def _tone(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(20, 111) + rng.integers(-12, 13, size=3)
    return int(red), int(green), int(blue)


@cache
def sprite(shape: Shape, size: int) -> NDArray[np.float32]:
    """Coverage of a shape in its box: float32 [size, size, 1], 0 to 1."""
    big = size * SUPERSAMPLING
    mask = Image.new("L", (big, big), 0)
    pen = ImageDraw.Draw(mask)
    end = big - 1
    match shape:
        case "circle":
            pen.ellipse((0, 0, end, end), fill=255)
        case "square":
            inset = big // 16
            pen.rectangle((inset, inset, end - inset, end - inset), fill=255)
        case "triangle":
            pen.polygon(((end / 2, 0), (end, end), (0, end)), fill=255)
        case "cross":
            third = big // 3
            pen.rectangle((third, 0, end - third, end), fill=255)
            pen.rectangle((0, third, end, end - third), fill=255)
    small = mask.resize((size, size), Image.Resampling.BOX)
    return (np.asarray(small, dtype=np.float32) / np.float32(255))[..., None]


def backdrop(scene: Scene) -> NDArray[np.float32]:
    """The ground alone: float32 [size, size, 3], 0 to 255."""
    first, second = (np.array(tone, dtype=np.float32) for tone in scene.tones)
    match scene.ground:
        case "plain":
            share = np.zeros(scene.size, dtype=np.float32)
        case "graded":
            share = np.linspace(0, 1, scene.size, dtype=np.float32)
        case "striped":
            share = ((np.arange(scene.size) // 8) % 2).astype(np.float32) * 0.5
    row = first + (second - first) * share[:, None]
    return np.repeat(row[:, None, :], scene.size, axis=1)


def render(scene: Scene) -> NDArray[np.uint8]:
    """The picture: uint8 [size, size, 3]."""
    canvas = backdrop(scene)
    for item in scene.items:
        cover = sprite(item.shape, item.size)
        window = canvas[item.y : item.y + item.size, item.x : item.x + item.size]
        window += cover * (np.array(COLOURS[item.colour], dtype=np.float32) - window)
    return canvas.round().clip(0, 255).astype(np.uint8)


def ask(scene: Scene, source: str = "") -> Sample:
    """The question about a scene: where the first target lies, seen from the second."""
    first, second = scene.targets
    return Sample(
        image=encode_png(render(scene)),
        question=f"What is the location of the {first.name} compared with the {second.name}?",
        options=RELATIONS,
        answer=RELATIONS.index(scene.relation),
        targets=tuple(Target(item.name, item.box) for item in scene.targets),
        category="relative_position",
        source=source,
    )


@dataclass(frozen=True)
class Shapes:
    """An endless dataset of scenes. Splits of one seed share no scene, and scene `index` is always the same."""

    world: World
    seed: int
    split: str

    def scene(self, index: int) -> Scene:
        return draw(np.random.default_rng([self.seed, zlib.crc32(self.split.encode()), index]), self.world)

    def sample(self, index: int) -> Sample:
        return ask(self.scene(index), source=f"shapes:{self.split}:{self.seed}:{index}")

    def __iter__(self) -> Iterator[Sample]:
        index = 0
        while True:
            yield self.sample(index)
            index += 1
