"""The integrity checks against the truth of the shapes world's renderer.

Scenes are shown through a stand-in for the editor's autoencoder (blur, and noise of its own for each image), since
that is what the referee gets to see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage.color import deltaE_ciede2000, rgb2lab

from sparring.referee.config import IntegrityConfig
from sparring.referee.correlation import Pixels
from sparring.referee.integrity import Subject, Verdict, calibrated, judge, judge_corruption
from sparring.samples.pairs import pair
from sparring.samples.sample import Box, Target
from sparring.samples.shapes import COLOURS, SHAPES, Item, Scene, Shapes, World, ask, fits, render

WORLD = World(bystanders=(0, 3), grounds=("plain", "graded", "striped"))
SCENES = 60
CONFIG = IntegrityConfig()


def seen(scene: Scene, rng: np.random.Generator) -> Pixels:
    """The scene as it comes out of an autoencoder."""
    soft = np.asarray(Image.fromarray(render(scene)).filter(ImageFilter.GaussianBlur(0.5)), dtype=np.float64)
    return (soft + rng.normal(0, 2, soft.shape)).round().clip(0, 255).astype(np.uint8)


def with_target(scene: Scene, which: int, item: Item) -> Scene:
    return replace(scene, items=tuple(item if index == which else old for index, old in enumerate(scene.items)))


def other(rng: np.random.Generator, names: tuple[str, ...], name: str) -> str:
    return str(rng.choice([each for each in names if each != name]))


def legal(rng: np.random.Generator, scene: Scene) -> Iterator[tuple[str, Scene]]:
    """Edits that keep the targets and their names."""
    yield "nothing", scene
    for kind in ("add", "distract", "add_two", "replace", "recolour", "remove", "ground"):
        made = pair(rng, WORLD, kind, scene)
        if made is not None:
            yield kind, made.after


def illegal(rng: np.random.Generator, scene: Scene) -> Iterator[tuple[str, Scene]]:
    """Edits that change a target, or make its name ambiguous."""
    which = int(rng.integers(2))
    target = scene.items[which]
    yield "recoloured", with_target(scene, which, replace(target, colour=other(rng, tuple(COLOURS), target.colour)))
    yield "reshaped", with_target(scene, which, replace(target, shape=other(rng, SHAPES, target.shape)))
    yield "gone", replace(scene, items=tuple(item for item in scene.items if item is not target))
    far = int(rng.integers(2, 5))
    for side in (far, -far):
        moved = replace(target, x=target.x + side)
        if 0 <= moved.x <= scene.size - moved.size:
            yield "moved", with_target(scene, which, moved)
            break
    one, two = scene.targets
    swapped = (replace(one, x=two.x, y=two.y, size=two.size), replace(two, x=one.x, y=one.y, size=one.size))
    yield "swapped", replace(scene, items=(*swapped, *scene.items[2:]))
    lid = replace(target, colour=other(rng, tuple(COLOURS), target.colour), shape="square")
    shift = -(target.size // 2) if target.x >= target.size // 2 else target.size // 2
    yield "half covered", replace(scene, items=(*scene.items, replace(lid, x=target.x + shift)))
    for kind, size in (("copied", target.size), ("copied in another size", int(rng.integers(11, 16)))):
        for _ in range(100):
            x, y = (int(value) for value in rng.integers(0, scene.size - size + 1, 2))
            copy = replace(target, x=x, y=y, size=size)
            if fits(copy, scene.items, WORLD.gap, scene.size):
                yield kind, replace(scene, items=(*scene.items, copy))
                break


Verdicts = dict[str, list[Verdict]]


@pytest.fixture(scope="module")
def verdicts() -> Verdicts:
    found: Verdicts = {}
    for index in range(SCENES):
        rng = np.random.default_rng([7, index])
        scene = Shapes(WORLD, 7, "integrity").scene(index)
        subject = Subject(seen(scene, rng), ask(scene).targets)
        for kind, edited in (*legal(rng, scene), *illegal(rng, scene)):
            found.setdefault(kind, []).append(judge(subject, seen(edited, rng), CONFIG))
    return found


@pytest.mark.parametrize(
    ("kind", "bar"),
    [
        ("nothing", 0.0),
        ("add", 0.02),
        ("distract", 0.05),
        ("add_two", 0.03),
        ("replace", 0.03),
        ("recolour", 0.02),
        ("remove", 0.0),
        # Much of a target's box is ground, so that a very different one can't be told from damage.
        ("ground", 0.4),
    ],
)
def test_what_is_legal_is_seldom_rejected(verdicts: Verdicts, kind: str, bar: float) -> None:
    rejected = [verdict for verdict in verdicts[kind] if not verdict.valid]
    assert len(rejected) <= bar * len(verdicts[kind]), rejected


@pytest.mark.parametrize(
    ("kind", "bar"),
    [
        ("recoloured", 0.0),
        ("reshaped", 0.03),
        ("gone", 0.0),
        ("moved", 0.0),
        ("swapped", 0.01),
        ("half covered", 0.0),
        ("copied", 0.03),
        ("copied in another size", 0.04),
    ],
)
def test_what_is_illegal_is_seldom_accepted(verdicts: Verdicts, kind: str, bar: float) -> None:
    accepted = [verdict for verdict in verdicts[kind] if verdict.valid]
    assert len(accepted) <= bar * len(verdicts[kind]), accepted


@pytest.mark.parametrize(
    ("kind", "reason"), [("copied", "copy"), ("moved", "movement"), ("recoloured", "colour"), ("gone", "structure")]
)
def test_the_reason_names_what_happened(verdicts: Verdicts, kind: str, reason: str) -> None:
    named = [reason in verdict.reasons for verdict in verdicts[kind]]
    assert np.mean(named) > 0.9


@dataclass(frozen=True)
class Stage:
    """A red circle and a blue square on a plain ground, and what may be done to them."""

    scene: Scene
    subject: Subject

    def verdict(self, *items: Item) -> Verdict:
        return judge(self.subject, render(replace(self.scene, items=items)), CONFIG)


@pytest.fixture
def stage() -> Stage:
    items = (Item("circle", "red", 5, 5, 13), Item("square", "blue", 44, 8, 13))
    scene = Scene(64, "plain", ((40, 50, 60), (40, 50, 60)), items)
    return Stage(scene, Subject(render(scene), ask(scene).targets))


def test_the_same_shape_in_another_colour_and_the_same_colour_in_another_shape_are_legal(stage: Stage) -> None:
    verdict = stage.verdict(*stage.scene.items, Item("circle", "blue", 5, 40, 13), Item("square", "red", 40, 40, 13))
    assert verdict.valid, verdict


@pytest.mark.parametrize("size", [11, 13, 15])
def test_a_second_red_circle_is_not(stage: Stage, size: int) -> None:
    assert stage.verdict(*stage.scene.items, Item("circle", "red", 25, 40, size)).reasons == ("copy",)


def test_a_bystander_that_was_there_already_is_no_copy(stage: Stage) -> None:
    twin = replace(stage.scene, items=(*stage.scene.items, Item("circle", "red", 25, 40, 13)))
    subject = Subject(render(twin), ask(stage.scene).targets)
    assert judge(subject, render(twin), CONFIG).valid


def test_a_shift_of_one_pixel_is_tolerated_and_measured(stage: Stage) -> None:
    circle, square = stage.scene.items
    verdict = stage.verdict(replace(circle, x=6), square)
    assert verdict.measures["shift"] == 1
    assert verdict.measures["form"] > 0.99
    assert "movement" not in verdict.reasons


def test_a_farther_one_is_measured_and_rejected(stage: Stage) -> None:
    circle, square = stage.scene.items
    verdict = stage.verdict(circle, replace(square, x=47, y=10))
    assert verdict.measures["shift"] == 3
    assert "movement" in verdict.reasons


def test_colour_is_scikit_images_ciede2000_in_the_worst_box(stage: Stage) -> None:
    circle, square = stage.scene.items
    edited = replace(stage.scene, items=(circle, replace(square, colour="purple")))
    before, after = (rgb2lab(render(scene)[8:21, 44:57]) for scene in (stage.scene, edited))
    expected = float(deltaE_ciede2000(before, after).mean())
    assert judge(stage.subject, render(edited), CONFIG).measures["colour"] == pytest.approx(expected)


def test_another_size_is_an_objection_of_its_own(stage: Stage) -> None:
    assert judge(stage.subject, np.zeros((64, 63, 3), np.uint8), CONFIG) == Verdict({}, ("size",))


def test_without_boxes_the_whole_image_is_compared() -> None:
    rng = np.random.default_rng(0)
    control = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
    subject = Subject(control, ())
    assert judge(subject, control, CONFIG).valid
    verdict = judge(subject, control[::-1].copy(), CONFIG)
    assert verdict.reasons == ("structure", "colour")
    assert verdict.measures.keys() == {"ssim", "colour"}


def test_a_target_without_contrast_is_not_located_but_compared() -> None:
    control = np.full((64, 64, 3), 120, np.uint8)
    subject = Subject(control, (Target("wall", Box(10, 10, 20, 20)),))
    assert judge(subject, control, CONFIG).valid
    painted = control.copy()
    painted[10:30, 10:30] = (250, 20, 20)
    assert "colour" in judge(subject, painted, CONFIG).reasons


@pytest.mark.parametrize("box", [Box(0, 0, 64, 64), Box(-5, 50, 30, 30), Box(60.5, 60.5, 3, 3), Box(0, 0, 1, 64)])
def test_boxes_of_every_size_and_place_can_be_judged(box: Box) -> None:
    control = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert judge(Subject(control, (Target("it", box),)), control, CONFIG).valid


def test_large_images_are_searched_reduced() -> None:
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    control = np.asarray(Image.fromarray(coarse).resize((1200, 900), Image.Resampling.BICUBIC))
    subject = Subject(control, (Target("it", Box(100, 100, 120, 90)),))
    assert judge(subject, control, CONFIG).valid
    edited = control.copy()
    edited[600:690, 800:920] = control[100:190, 100:220]
    assert judge(subject, edited, CONFIG).reasons == ("copy",)


def freckled(image: Pixels) -> Pixels:
    """The image with one level more or less in opposite corners, so that the whole of it has changed."""
    other = image.copy()
    other[0, 0] ^= 1
    other[-1, -1] ^= 1
    return other


@pytest.mark.parametrize("side", [64, 500])
def test_what_was_left_alone_need_not_be_looked_at(side: int) -> None:
    rng = np.random.default_rng(4)
    for index in range(6):
        scene = Shapes(WORLD, 7, "alone").scene(index)
        before = Image.fromarray(render(scene)).resize((side, side))
        boxes = [target.box for target in ask(scene).targets]
        scale = side / scene.size
        targets = [Target("it", Box(b.x * scale, b.y * scale, b.width * scale, b.height * scale)) for b in boxes]
        subject = Subject(np.asarray(before), targets)
        for _, edited in (*legal(rng, scene), *illegal(rng, scene)):
            edit = np.asarray(Image.fromarray(render(edited)).resize((side, side)))
            some, all_ = judge(subject, edit, CONFIG), judge(subject, freckled(edit), CONFIG)
            assert some.measures == pytest.approx(all_.measures, abs=0.01)
            assert some.reasons == all_.reasons


def test_an_edit_that_changed_nothing_is_as_good_as_can_be(stage: Stage) -> None:
    verdict = stage.verdict(*stage.scene.items)
    assert verdict.measures == pytest.approx({"ssim": 1, "colour": 0, "form": 1, "shift": 0, "copy": 0}, abs=1e-6)
    again = judge(stage.subject, freckled(render(stage.scene)), CONFIG)
    assert again.measures == pytest.approx(verdict.measures, abs=0.01)


@pytest.mark.parametrize(("x", "reasons"), [(0.0, ()), (-20.0, ("movement",))])
def test_a_corruption_must_leave_the_targets_in_the_picture(x: float, reasons: tuple[str, ...]) -> None:
    targets = (Target("it", Box(10, 10, 20, 20)),)
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert judge_corruption(targets, noise, (1, 0, x, 0, 1, 0), CONFIG).reasons == reasons
    assert judge_corruption(targets, noise, None, CONFIG) == Verdict({}, ())


@pytest.mark.parametrize(("centre", "expected"), [(0.9, 0.85), (0.5, 0.75)])
def test_calibration_is_the_fifth_percentile_with_a_floor(centre: float, expected: float) -> None:
    similarities = np.linspace(centre - 0.0555555, centre + 0.0444444, 200)
    assert calibrated(similarities.tolist()) == pytest.approx(max(0.75, np.percentile(similarities, 5)))
    assert calibrated(similarities.tolist()) == pytest.approx(expected, abs=0.01)


def test_checks_of_others_are_asked_too(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
    from sparring.referee import integrity

    def grumpy(*_: object) -> integrity.Finding:
        return integrity.Finding({"mood": -1.0}, "mood")

    class Entry:
        load: Callable[[], integrity.Check] = staticmethod(lambda: grumpy)

    monkeypatch.setattr(integrity, "entry_points", lambda group: [Entry()] if group == "sparring.integrity" else [])
    integrity.checks.cache_clear()
    try:
        assert stage.verdict(*stage.scene.items).reasons == ("mood",)
    finally:
        integrity.checks.cache_clear()
