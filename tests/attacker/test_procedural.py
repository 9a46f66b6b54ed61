from __future__ import annotations

import colorsys

import numpy as np
import pytest
from skimage import data

from sparring.attacker.procedural import UnknownAttack, composite, find_attack, noise, recolour
from sparring.attacker.space import NoRoom
from sparring.samples.sample import Box, Target

SEMANTIC = [composite, recolour]


def photograph(height: int, width: int) -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[:height, :width])


def cat(x: float, y: float, width: float, height: float) -> Target:
    return Target("a cat", Box(x, y, width, height))


@pytest.mark.parametrize("attack", [*SEMANTIC, noise])
@pytest.mark.parametrize("shape", [(64, 64), (33, 200), (480, 17)])
def test_edits_follow_from_the_seed_and_leave_the_original_alone(attack, shape):
    image = photograph(*shape)
    image.setflags(write=False)
    one, same, other = (attack(image, [], np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.image.shape == image.shape
    assert one.image.dtype == np.uint8
    np.testing.assert_array_equal(one.image, same.image)
    assert (one.image != other.image).any()
    assert (one.image != image).any()


@pytest.mark.parametrize("attack", SEMANTIC)
def test_targets_stay_as_they_are_to_the_last_pixel(attack):
    image = photograph(200, 300)
    targets = [cat(100.5, 50.2, 80, 60), cat(0, 150, 300, 60), cat(250, -10, 60, 80)]
    for seed in range(50):
        edit = attack(image, targets, np.random.default_rng(seed))
        assert edit.kind == "semantic"
        assert edit.affine is None
        changed = (edit.image != image).any(axis=2)
        assert not changed[50:111, 100:181].any()
        assert not changed[150:].any()
        assert not changed[:70, 250:].any()


@pytest.mark.parametrize("attack", SEMANTIC)
def test_where_the_target_is_everywhere_there_is_no_edit(attack):
    with pytest.raises(NoRoom):
        attack(photograph(50, 50), [cat(0, 0, 50, 50)], np.random.default_rng(0))


def test_composites_are_of_several_forms_and_changes_are_local():
    image = np.full((120, 120, 3), 77, dtype=np.uint8)
    shares, forms = [], set()
    for seed in range(60):
        edit = composite(image, [], np.random.default_rng(seed)).image
        changed = (edit != image).any(axis=2)
        if not changed.any():  # a patch of a plain image
            forms.add("patch")
            continue
        rows, columns = np.nonzero(changed)
        area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert area <= 31 * 31
        shares.append(changed.sum() / area)
        forms.add(len(np.unique(edit[changed], axis=0)))
    assert forms == {"patch", 1}
    assert min(shares) == pytest.approx(np.pi / 4, abs=0.05)
    assert max(shares) == 1


def test_recolouring_turns_the_hue_and_keeps_the_value():
    red = np.array([200, 40, 40], dtype=np.uint8)
    image = np.broadcast_to(red, (60, 60, 3)).copy()
    for seed in range(20):
        edit = recolour(image, [], np.random.default_rng(seed)).image
        (colour,) = np.unique(edit[(edit != image).any(axis=2)], axis=0)
        hue, saturation, value = colorsys.rgb_to_hsv(*(colour / 255))
        assert 0.24 < hue < 0.76
        assert saturation > 0.95
        assert value == pytest.approx(200 / 255, abs=0.01)


def test_noise_is_everywhere_and_as_strong_as_it_says():
    image = np.full((200, 200, 3), 128, dtype=np.uint8)
    for seed in range(10):
        edit = noise(image, [cat(0, 0, 200, 200)], np.random.default_rng(seed))
        assert edit.kind == "corruption"
        difference = edit.image.astype(float) - 128
        assert abs(difference.mean()) < 0.2
        assert 4.9 < difference.std() < 25.2


def test_attacks_are_found_by_name():
    assert find_attack("composite") is composite
    with pytest.raises(UnknownAttack, match=r"'sing'; there are \['composite', 'noise', 'recolour'\]"):
        find_attack("sing")
