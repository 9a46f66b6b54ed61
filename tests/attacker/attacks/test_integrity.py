"""Semantic attacks are there to pass the integrity checks, on scenes and on photographs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage import data

from sparring.attacker.procedural import find_attack
from sparring.attacker.space import NoRoom
from sparring.referee.config import IntegrityConfig
from sparring.referee.integrity import Subject, Verdict, judge
from sparring.samples.sample import Box, Target
from sparring.samples.shapes import Shapes, World, ask, render

WORLD = World(bystanders=(1, 4), grounds=("plain", "graded", "striped"))
BOXES = {"astronaut": (190, 70, 80, 100), "coffee": (324, 233, 80, 100), "chelsea": (132, 83, 84, 72)}


def verdicts(name: str, image: np.ndarray, targets: list[Target], edits: int) -> list[Verdict]:
    subject, found = Subject(image, targets), []
    for seed in range(edits):
        try:
            edit = find_attack(name)(image, targets, np.random.default_rng(seed)).image
        except NoRoom:
            continue
        found.append(judge(subject, edit, IntegrityConfig()))
    return found


@pytest.mark.parametrize(("name", "bar"), [("add", 0.97), ("remove", 1.0), ("replace", 0.9), ("recolour", 0.83)])
def test_scenes(name: str, bar: float) -> None:
    shapes, found = Shapes(WORLD, 8, "attacks"), []
    for index in range(25):
        scene = shapes.scene(index)
        found += verdicts(name, render(scene), list(ask(scene).targets), 3)
    assert len(found) > 70
    assert np.mean([verdict.valid for verdict in found]) >= bar
    # A thing in a target's colour may have its form, too.
    assert {reason for verdict in found for reason in verdict.reasons} <= {"copy"}


@pytest.mark.parametrize("name", ["add", "remove", "replace", "recolour"])
def test_photographs(name: str) -> None:
    found = []
    for photograph, (x, y, width, height) in BOXES.items():
        picture = Image.fromarray(getattr(data, photograph)())
        small = np.asarray(picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BOX))
        found += verdicts(name, small, [Target("it", Box(x / 2, y / 2, width / 2, height / 2))], 4)
    assert len(found) > 8
    assert np.mean([verdict.valid for verdict in found]) > 0.9
