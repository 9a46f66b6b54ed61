from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sparring.samples.images import decode
from sparring.samples.shapes import COLOURS, SHAPES, Scene, Shapes, World, ask, backdrop, draw, render, sprite

WORLD = World(bystanders=(0, 4), grounds=("plain", "graded", "striped"))
SEEDS = st.integers(0, 2**32)


def scene_of(seed: int) -> Scene:
    return draw(np.random.default_rng(seed), WORLD)


@given(SEEDS)
def test_a_scene_is_what_its_world_says(seed: int) -> None:
    scene = scene_of(seed)
    assert 2 <= len(scene.items) <= 6
    assert len({item.name for item in scene.items}) == len(scene.items)
    for item in scene.items:
        assert 11 <= item.size <= 15
        assert 0 <= item.x <= 64 - item.size
        assert 0 <= item.y <= 64 - item.size
    for one, two in combinations(scene.items, 2):
        apart = max(abs(2 * one.x + one.size - 2 * two.x - two.size), abs(2 * one.y + one.size - 2 * two.y - two.size))
        assert apart >= one.size + two.size + 2 * WORLD.gap


@given(SEEDS)
def test_boxes_are_exact(seed: int) -> None:
    scene = scene_of(seed)
    whole = render(scene).astype(int)
    for index, item in enumerate(scene.items):
        without = replace(scene, items=scene.items[:index] + scene.items[index + 1 :])
        rows, columns = np.nonzero(np.abs(whole - render(without)).sum(axis=2))
        assert item.x <= columns.min() <= columns.max() < item.x + item.size
        assert item.y <= rows.min() <= rows.max() < item.y + item.size
        assert columns.max() - columns.min() >= item.size - 3
        assert rows.max() - rows.min() >= item.size - 3


@given(SEEDS)
def test_the_answer_is_right(seed: int) -> None:
    scene = scene_of(seed)
    sample = ask(scene)
    first, second = sample.targets
    dx = first.box.x + first.box.width / 2 - second.box.x - second.box.width / 2
    dy = first.box.y + first.box.height / 2 - second.box.y - second.box.height / 2
    expected = ("left" if dx < 0 else "right") if abs(dx) > abs(dy) else ("above" if dy < 0 else "below")
    assert sample.options[sample.answer] == expected
    assert max(abs(dx), abs(dy)) >= WORLD.lead * min(abs(dx), abs(dy))
    np.testing.assert_array_equal(decode(sample.image, max_pixels=4096, max_bytes=20_000), render(scene))


@pytest.mark.parametrize("shape", SHAPES)
def test_objects_have_their_colours(shape: str) -> None:
    cover = sprite(shape, 15)  # type: ignore[arg-type]
    assert cover.min() >= 0
    assert cover.max() == 1
    scene = scene_of(3)
    item = replace(scene.items[0], shape=shape, colour="purple")  # type: ignore[arg-type]
    pixels = render(replace(scene, items=(item,)))
    inside = pixels[item.y : item.y + item.size, item.x : item.x + item.size]
    assert (inside[sprite(item.shape, item.size)[..., 0] == 1] == COLOURS["purple"]).all()
    np.testing.assert_array_equal(render(replace(scene, items=())), backdrop(replace(scene, items=())).round())


def test_scenes_follow_from_seed_split_and_index() -> None:
    one, same = Shapes(WORLD, 1, "train"), Shapes(WORLD, 1, "train")
    assert [one.sample(i) for i in range(5)] == [same.sample(i) for i in range(5)]
    others = (Shapes(WORLD, 2, "train"), Shapes(WORLD, 1, "test"))
    digests = {source.sample(i).digest for source in (one, *others) for i in range(20)}
    assert len(digests) == 60


@pytest.mark.parametrize(
    "settings", [{"smallest": 20}, {"bystanders": (3, 2)}, {"bystanders": (-1, 2)}, {"grounds": ()}, {"shapes": 3}]
)
def test_a_world_that_makes_no_sense_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        World.model_validate(settings)


def test_a_crowded_world_is_given_up() -> None:
    with pytest.raises(ValueError, match="found no room for 32 objects"):
        draw(np.random.default_rng(0), World(bystanders=(30, 30)))
