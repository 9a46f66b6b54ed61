"""Exact edits of the shapes world: a scene, an instruction, and the scene rendered again with that change.

What an editor is taught with. No edit touches a target, covers one, or gives a second object a name that is already
there, so the question keeps its answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from sparring.samples.shapes import COLOURS, Item, Scene, World, draw, fits, place

Kind = Literal["add", "distract", "add_two", "ground", "replace", "recolour", "remove", "any"]

KINDS: tuple[Kind, ...] = ("add", "distract", "add_two", "ground", "replace", "recolour", "remove", "any")
SINGLE: tuple[Kind, ...] = KINDS[:-1]
"""What `any` is drawn from."""
INSTRUCTIONS: dict[Kind, str] = {
    "add": "add an object away from {targets}",
    "distract": "add a distractor away from {targets}",
    "add_two": "add two objects away from {targets}",
    "ground": "change the background and keep {targets}",
    "replace": "replace an object away from {targets}",
    "recolour": "recolour an object away from {targets}",
    "remove": "remove an object away from {targets}",
    "any": "change the scene and keep {targets}",
}
"""What an editor is told, `{targets}` being for example `the red circle and the blue square`."""


@dataclass(frozen=True)
class Pair:
    """One exact edit; both scenes have the same targets."""

    kind: Kind
    before: Scene
    after: Scene

    @property
    def instruction(self) -> str:
        return instruct(self.kind, self.before)


def instruct(kind: Kind, scene: Scene) -> str:
    """The instruction to edit `scene`."""
    return INSTRUCTIONS[kind].format(targets=" and ".join(f"the {item.name}" for item in scene.targets))


def pair(rng: np.random.Generator, world: World, kind: Kind, scene: Scene) -> Pair | None:
    """An edit of `scene`; None if it has no room or no bystander for this kind."""
    done = SINGLE[rng.integers(len(SINGLE))] if kind == "any" else kind
    after: Scene | None
    match done:
        case "add":
            after = added(rng, world, scene)
        case "distract":
            after = added(rng, world.model_copy(update={"alike": 1.0}), scene, like=scene.targets)
        case "add_two":
            first = added(rng, world, scene)
            after = added(rng, world, first) if first else None
        case "ground":
            after = grounded(rng, world, scene)
        case _:
            after = changed(rng, world, scene, done) if len(scene.items) > 2 else None
    return Pair(kind, scene, after) if after else None


def added(rng: np.random.Generator, world: World, scene: Scene, like: tuple[Item, ...] | None = None) -> Scene | None:
    """One more object, which takes after one of `like` (by default of all objects) as the world has it."""
    names = {item.name for item in scene.items}
    for _ in range(20):
        item = place(rng, world, like or scene.items)
        if item and item.name not in names and fits(item, scene.items, world.gap, world.size):
            return replace(scene, items=(*scene.items, item))
    return None


def grounded(rng: np.random.Generator, world: World, scene: Scene) -> Scene:
    """Another background."""
    other = draw(rng, world)
    return replace(scene, ground=other.ground, tones=other.tones)


def changed(rng: np.random.Generator, world: World, scene: Scene, kind: str) -> Scene | None:
    """One bystander replaced by another object, painted another colour, or gone."""
    index = int(rng.integers(2, len(scene.items)))
    old, rest = scene.items[index], (*scene.items[:index], *scene.items[index + 1 :])
    if kind == "remove":
        return replace(scene, items=rest)
    if kind == "recolour":
        new = replace(old, colour=list(COLOURS)[rng.integers(len(COLOURS))])
    else:
        drawn = place(rng, world, ())
        assert drawn is not None, "an empty scene has room"
        new = replace(drawn, x=old.x, y=old.y, size=old.size)
    if new.name in {item.name for item in scene.items}:
        return None
    return replace(scene, items=(*scene.items[:index], new, *scene.items[index + 1 :]))
