"""Types of edits against the truth: of the shapes world's renderer, and of attacks without a model on photographs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.ndimage import binary_dilation
from skimage import data

from sparring.attacker.procedural import find_attack
from sparring.attacker.space import NoRoom
from sparring.referee.attack_types import STANDS_OUT, AttackType, Before, Change, grown
from sparring.referee.correlation import Pixels
from sparring.samples.pairs import added, pair
from sparring.samples.sample import Box, Target
from sparring.samples.shapes import Scene, Shapes, World, ask, render

WORLD = World(bystanders=(1, 3), grounds=("plain", "graded", "striped"))
TYPES = {
    "add": AttackType.ADD,
    "distract": AttackType.ADD,
    "add_two": AttackType.ADD,
    "remove": AttackType.REMOVE,
    "replace": AttackType.REPLACE,
    "recolour": AttackType.REPLACE,
}
MIRRORED = {AttackType.ADD: AttackType.REMOVE, AttackType.REMOVE: AttackType.ADD}
Confusion = Counter[tuple[AttackType, AttackType]]


def attack_type(before: Pixels, after: Pixels, targets: Sequence[Target]) -> AttackType:
    return Before(before, targets).type_of(after)


def labelled(index: int) -> Iterator[tuple[AttackType, Scene, Scene]]:
    """A scene, edited by the renderer in each way."""
    rng, scene = np.random.default_rng([11, index]), Shapes(WORLD, 11, "types").scene(index)
    yield AttackType.IMPERCEPTIBLE, scene, scene
    for kind, type_ in TYPES.items():
        made = pair(rng, WORLD, kind, scene)
        if made is not None:
            yield type_, scene, made.after
    removed = pair(rng, WORLD, "remove", scene)
    both = added(rng, WORLD, removed.after) if removed else None
    if removed and both:
        (gone,) = (item for item in scene.items if item not in removed.after.items)
        if max(abs(gone.x - both.items[-1].x), abs(gone.y - both.items[-1].y)) > 20:
            yield AttackType.HYBRID, scene, both


def seen(image: Pixels, rng: np.random.Generator) -> Pixels:
    """The image as it comes out of an autoencoder."""
    soft = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(0.5)), dtype=np.float64)
    return (soft + rng.normal(0, 2, soft.shape)).round().clip(0, 255).astype(np.uint8)


def recall(found: Confusion, type_: AttackType) -> float:
    return found[type_, type_] / sum(number for (true, _), number in found.items() if true is type_)


def accuracy(found: Confusion) -> float:
    return sum(number for (true, told), number in found.items() if true is told) / found.total()


@pytest.mark.parametrize("coded", [False, True])
def test_types_of_the_renderers_edits_are_told(coded: bool) -> None:
    found, rng = Confusion(), np.random.default_rng(0)
    for index in range(50):
        for type_, before, after in labelled(index):
            images = [seen(render(scene), rng) if coded else render(scene) for scene in (before, after)]
            found[type_, attack_type(images[0], images[1], ask(before).targets)] += 1
    assert accuracy(found) > 0.95, found
    assert recall(found, AttackType.IMPERCEPTIBLE) == 1
    assert min(recall(found, type_) for type_ in AttackType) > 0.9, found


def test_an_edit_taken_back_has_the_opposite_type() -> None:
    for index in range(20):
        for _, before, after in labelled(index):
            one, other, targets = render(before), render(after), ask(before).targets
            there, back = attack_type(one, other, targets), attack_type(other, one, targets)
            assert back is MIRRORED.get(there, there)


@pytest.mark.parametrize("scale", [3, 10])
def test_the_size_of_an_image_does_not_matter(scale: int) -> None:
    same = total = 0
    for index in range(8):
        for _, before, after in labelled(index):
            images = [render(scene) for scene in (before, after)]
            large = [np.kron(image, np.ones((scale, scale, 1), dtype=np.uint8)) for image in images]
            boxes = [target.box for target in ask(before).targets]
            grown = [Target("it", Box(b.x * scale, b.y * scale, b.width * scale, b.height * scale)) for b in boxes]
            same += attack_type(*large, grown) is attack_type(*images, ask(before).targets)
            total += 1
    assert same > 0.93 * total


@pytest.mark.parametrize(("side", "bar"), [(64, 0.7), (256, 0.75)])
def test_types_of_attacks_on_photographs_are_mostly_told(side: int, bar: float) -> None:
    found = Confusion()
    for name in ("astronaut", "chelsea", "coffee", "coins", "rocket"):
        picture = Image.fromarray(getattr(data, name)()).convert("RGB").resize((side * 3 // 2, side))
        image = np.asarray(picture)
        found[AttackType.IMPERCEPTIBLE, attack_type(image, image, [])] += 1
        for attack in ("add", "remove", "replace", "recolour"):
            for seed in range(4):
                try:
                    edit = find_attack(attack)(image, [], np.random.default_rng(seed)).image
                except NoRoom:
                    continue
                found[TYPES[attack], attack_type(image, edit, [])] += 1
    assert found.total() > 70
    assert accuracy(found) > bar, found
    for type_ in (AttackType.ADD, AttackType.REMOVE, AttackType.REPLACE):
        assert recall(found, type_) > 0.6, found


def field() -> Pixels:
    return np.full((80, 100, 3), 90, dtype=np.uint8)


def test_what_stands_out_is_measured_in_spreads_of_the_surroundings() -> None:
    before, after = field(), field()
    after[20:40, 30:50] = 200
    (change,) = Before(before, []).changes(after)
    assert change.area == pytest.approx(400 / 8000, rel=0.15)
    assert change.before == pytest.approx(0, abs=0.05)
    # 200 is 80.6 on the scale of CIELAB and 90 is 38.2; without texture the unit is 4. The blurred rim takes a little.
    assert change.after == pytest.approx((80.6 - 38.2) / 4, rel=0.1)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (0.0, 5.0, AttackType.ADD),
        (5.0, 0.0, AttackType.REMOVE),
        (2.0, 5.0, AttackType.REPLACE),
        (STANDS_OUT - 0.01, STANDS_OUT, AttackType.ADD),
        (0.1, 0.3, AttackType.ADD),
        (0.3, 0.1, AttackType.REMOVE),
        (0.3, 0.4, AttackType.REPLACE),
        (0.0, 0.0, AttackType.REPLACE),
        (float("inf"), float("inf"), AttackType.REPLACE),
    ],
)
def test_the_type_of_a_change(before: float, after: float, expected: AttackType) -> None:
    assert Change(0.1, before, after).type is expected


def test_what_happens_in_a_targets_box_is_not_the_attacks() -> None:
    before, after = field(), field()
    after[20:40, 30:50] = 200
    assert attack_type(before, after, [Target("it", Box(29, 19, 22, 22))]) is AttackType.IMPERCEPTIBLE
    assert attack_type(before, after, [Target("it", Box(60, 19, 22, 22))]) is AttackType.ADD


@pytest.mark.parametrize(("size", "level"), [(1, 255), (20, 105)])
def test_specks_and_faint_changes_are_not_seen(size: int, level: int) -> None:
    before, after = field(), field()
    after[20 : 20 + size, 30 : 30 + size] = level
    assert attack_type(before, after, []) is AttackType.IMPERCEPTIBLE


def test_another_ground_is_a_replacement() -> None:
    before, after = field(), field()
    after[...] = (40, 120, 60)
    before[30:50, 40:60] = after[30:50, 40:60] = 200
    assert attack_type(before, after, [Target("it", Box(40, 30, 20, 20))]) is AttackType.REPLACE


def test_a_second_type_counts_from_its_share_on() -> None:
    before, after = field(), field()
    after[10:40, 10:40] = 200
    before[60:64, 80:84] = 200
    assert attack_type(before, after, []) is AttackType.ADD
    before[60:76, 76:92] = 200
    assert attack_type(before, after, []) is AttackType.HYBRID


def test_what_is_told_of_one_edit_does_not_change_another() -> None:
    rng = np.random.default_rng(5)
    scene = Shapes(WORLD, 11, "group").scene(3)
    before, targets = render(scene), ask(scene).targets
    made = [pair(rng, WORLD, kind, scene) for kind in TYPES]
    edits = [render(each.after) for each in made if each is not None]
    group = Before(before, targets)
    assert [group.type_of(edit) for edit in edits] == [attack_type(before, edit, targets) for edit in edits]


@pytest.mark.parametrize("scale", [1, 3, 10])
def test_far_from_a_change_nothing_matters(scale: int) -> None:
    found = 0
    for index in range(6):
        for _, before, after in labelled(index):
            images = [np.kron(render(scene), np.ones((scale, scale, 1), dtype=np.uint8)) for scene in (before, after)]
            # One level more or less in opposite corners makes all of the image what has been touched.
            freckled = images[1].copy()
            freckled[0, 0] ^= 1
            freckled[-1, -1] ^= 1
            group = Before(images[0], [])
            some, all_ = list(group.changes(images[1])), list(group.changes(freckled))
            assert len(some) == len(all_)
            for one, other in zip(some, all_, strict=True):
                assert (one.area, one.before) == (other.area, other.before)
                assert one.after == pytest.approx(other.after, abs=0.05)
            found += len(some)
    assert found > 20


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_mask_grows_as_by_dilation_with_a_cross(steps: int) -> None:
    mask = np.random.default_rng(steps).random((23, 31)) < 0.02
    assert mask.any()
    np.testing.assert_array_equal(grown(mask, steps), binary_dilation(mask, iterations=steps))


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(80, 90, 3\) can't be compared .* \(80, 100, 3\)"):
        attack_type(field(), field()[:, :90], [])
