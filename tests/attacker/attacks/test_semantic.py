"""What all semantic attacks have in common, and what each of them does."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label
from skimage import data

from sparring.attacker.attacks.add import add
from sparring.attacker.attacks.recolour import recolour
from sparring.attacker.attacks.remove import remove
from sparring.attacker.attacks.replace import replace
from sparring.attacker.space import NoRoom
from sparring.samples.sample import Box, Target
from sparring.samples.shapes import Shapes, World, ask, backdrop, render

SEMANTIC = [add, remove, replace, recolour]
WORLD = World(bystanders=(1, 1), grounds=("plain", "graded"), gap=4)


def photograph(height: int, width: int) -> np.ndarray:
    return np.asarray(Image.fromarray(data.astronaut()).resize((width, height), Image.Resampling.BOX))


def cat(x: float, y: float, width: float, height: float) -> Target:
    return Target("a cat", Box(x, y, width, height))


@pytest.mark.parametrize("attack", SEMANTIC)
@pytest.mark.parametrize("shape", [(64, 64), (300, 140), (97, 480)])
def test_edits_follow_from_the_seed_and_leave_the_original_alone(attack, shape):
    image = photograph(*shape)
    image.setflags(write=False)
    one, same, other = (attack(image, [], np.random.default_rng(seed)) for seed in (1, 1, 4))
    assert one.image.shape == image.shape
    assert one.image.dtype == np.uint8
    assert one.kind == "semantic"
    assert one.affine is None
    np.testing.assert_array_equal(one.image, same.image)
    assert (one.image != other.image).any()


@pytest.mark.parametrize("attack", SEMANTIC)
def test_targets_stay_as_they_are_to_the_last_pixel(attack):
    image = photograph(300, 300)
    targets = [cat(100.5, 50.2, 80, 60), cat(0, 250, 300, 60), cat(250, -10, 60, 80)]
    for seed in range(20):
        changed = (attack(image, targets, np.random.default_rng(seed)).image != image).any(axis=2)
        assert changed.any()
        assert not changed[48:113, 98:183].any()
        assert not changed[248:].any()
        assert not changed[:72, 248:].any()


@pytest.mark.parametrize("attack", SEMANTIC)
def test_changes_are_seen_and_are_local(attack):
    image = photograph(256, 256).astype(int)
    for seed in range(20):
        edit = attack(image.astype(np.uint8), [], np.random.default_rng(seed)).image
        distance = np.linalg.norm(edit - image, axis=2)
        assert 30 < (distance > 30).sum() < 0.15 * distance.size
        rows, columns = np.nonzero(distance)
        assert max(np.ptp(rows), np.ptp(columns)) < 0.42 * 256


@pytest.mark.parametrize("attack", SEMANTIC)
def test_where_the_target_is_everywhere_there_is_no_edit(attack):
    with pytest.raises(NoRoom):
        attack(photograph(50, 50), [cat(0, 0, 50, 50)], np.random.default_rng(0))


@pytest.mark.parametrize("attack", [remove, replace, recolour])
def test_where_nothing_is_nothing_can_be_changed(attack):
    with pytest.raises(NoRoom, match="nothing stands out"):
        attack(np.full((64, 64, 3), 90, dtype=np.uint8), [], np.random.default_rng(0))


def test_what_is_added_to_a_plain_image_is_one_thing_of_many_kinds():
    image = np.full((120, 120, 3), 77, dtype=np.uint8)
    areas, colours = [], []
    for seed in range(30):
        edit = add(image, [], np.random.default_rng(seed)).image
        changed = (edit != image).any(axis=2)
        assert label(changed, np.ones((3, 3)))[1] == 1
        areas.append(changed.sum())
        colours.append(edit[changed].mean(axis=0))
    assert 100 < min(areas) < max(areas) <= 31 * 31
    assert np.ptp(colours, axis=0).min() > 100


def test_copies_of_things_are_added_too():
    image = np.full((120, 120, 3), 200, dtype=np.uint8)
    image[20:40, 50:70] = (10, 200, 60)
    image[25:35, 55:65] = (0, 0, 0)
    copied = 0
    for seed in range(40):
        edit = add(image, [], np.random.default_rng(seed)).image
        new = edit[(edit != image).any(axis=2)]
        copied += bool((np.abs(new.astype(int) - (10, 200, 60)).max(axis=1) < 25).mean() > 0.5)
    assert 5 < copied < 30


def test_a_removed_bystander_leaves_the_ground():
    shapes = Shapes(WORLD, 5, "remove")
    for index in range(15):
        scene = shapes.scene(index)
        (item,) = scene.items[2:]
        window = slice(item.y, item.y + item.size), slice(item.x, item.x + item.size)
        edit = remove(render(scene), ask(scene).targets, np.random.default_rng(index)).image
        assert np.abs(edit[window] - backdrop(scene)[window]).max() < 12, index


def test_a_replaced_bystander_is_another_thing_in_its_place():
    shapes = Shapes(WORLD, 5, "replace")
    for index in range(15):
        scene = shapes.scene(index)
        (item,) = scene.items[2:]
        window = slice(item.y, item.y + item.size), slice(item.x, item.x + item.size)
        before = render(scene).astype(float)
        edit = replace(before.astype(np.uint8), ask(scene).targets, np.random.default_rng(index)).image
        new = np.linalg.norm(edit[window] - backdrop(scene)[window], axis=2) > 30
        assert new.mean() > 0.3, index
        assert np.linalg.norm(edit - before, axis=2)[window][new].mean() > 40, index


def test_a_recoloured_bystander_keeps_its_form():
    shapes = Shapes(WORLD, 5, "recolour")
    for index in range(15):
        scene = shapes.scene(index)
        (item,) = scene.items[2:]
        window = slice(item.y, item.y + item.size), slice(item.x, item.x + item.size)
        before = render(scene).astype(float)
        edit = recolour(before.astype(np.uint8), ask(scene).targets, np.random.default_rng(index)).image.astype(float)
        ground = backdrop(scene)[window]
        old = np.linalg.norm(before[window] - ground, axis=2) > 40
        new = np.linalg.norm(edit[window] - ground, axis=2) > 40
        assert (old & new).sum() > 0.75 * (old | new).sum(), index
        assert np.linalg.norm(edit[window][old].mean(axis=0) - before[window][old].mean(axis=0)) > 60, index
