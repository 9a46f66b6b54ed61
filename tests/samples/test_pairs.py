"""Exact edits: the question keeps its answer, and no name occurs twice."""

from __future__ import annotations

import numpy as np
import pytest

from sparring.samples.pairs import SINGLE, Kind, instruct, pair
from sparring.samples.shapes import Shapes, World, render

BUSY = World(bystanders=(1, 3))


@pytest.mark.parametrize("kind", SINGLE)
def test_targets_and_answer_stay(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    shapes = Shapes(BUSY, 0, "pairs")
    made = [made for made in (pair(rng, BUSY, kind, shapes.scene(index)) for index in range(40)) if made]
    assert made
    for edit in made:
        assert edit.after.targets == edit.before.targets
        assert edit.after.relation == edit.before.relation
        names = [item.name for item in edit.after.items]
        assert len(set(names)) == len(names)
        before, after = render(edit.before), render(edit.after)
        assert (before != after).any()
        if kind != "ground":
            for item in edit.before.targets:
                box = (slice(item.y, item.y + item.size), slice(item.x, item.x + item.size))
                assert (before[box] == after[box]).all()


def test_a_bare_scene_has_nothing_to_remove() -> None:
    scene = Shapes(World(), 0, "pairs").scene(0)
    assert pair(np.random.default_rng(0), World(), "remove", scene) is None


def test_the_instruction_names_the_targets() -> None:
    scene = Shapes(World(), 0, "pairs").scene(0)
    first, second = scene.targets
    assert instruct("add", scene) == f"add an object away from the {first.name} and the {second.name}"
