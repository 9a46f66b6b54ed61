from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from PIL import Image
from skimage import data
from skimage.segmentation import felzenszwalb

from sparring.attacker import things
from sparring.attacker.space import NoRoom, Place
from sparring.attacker.things import BEST, GRAINS, Thing, find_things, pick_thing
from sparring.samples.sample import Box, Target
from sparring.samples.shapes import Shapes, World, ask, render, sprite

WORLD = World(bystanders=(1, 3), grounds=("plain", "graded", "striped"))


def coins(scale: float = 1) -> np.ndarray:
    image = Image.fromarray(data.coins()).convert("RGB")
    return np.asarray(image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC))


def test_bystanders_are_found_and_targets_are_not():
    shapes, bystanders, found, strange = Shapes(WORLD, 3, "things"), 0, 0, 0
    for index in range(40):
        scene = shapes.scene(index)
        things = find_things(render(scene), ask(scene).targets, GRAINS[0])
        covers = [thing.outline for thing in things]
        for item in scene.items[2:]:
            truth = np.zeros((64, 64), dtype=bool)
            truth[item.y : item.y + item.size, item.x : item.x + item.size] = (
                sprite(item.shape, item.size)[..., 0] > 0.5
            )
            bystanders += 1
            found += any((cover & truth).sum() > 0.7 * (cover | truth).sum() for cover in covers)
        for item in scene.targets:
            box = slice(item.y - 2, item.y + item.size + 2), slice(max(0, item.x - 2), item.x + item.size + 2)
            strange += sum(int(cover[box].any()) for cover in covers)
    assert found > 0.97 * bystanders
    assert strange == 0


@pytest.mark.parametrize("scale", [0.25, 1, 4])
def test_coins_are_found_at_any_size(scale):
    image = coins(scale)
    things = find_things(image, [], GRAINS[1])
    assert len(things) >= 10
    grey = image[..., 0].astype(float)
    for thing in things[:10]:
        cover = thing.cover(thing.place)
        assert cover.shape == (thing.place.height, thing.place.width)
        inside = (grey[thing.place.window] * cover).sum() / cover.sum()
        assert inside > grey.mean() + 20
        assert 25 < thing.place.width / scale < 80
        assert 25 < thing.place.height / scale < 80


def test_a_place_around_a_thing_stays_in_the_image_and_holds_it():
    outline = np.zeros((32, 64), dtype=bool)
    outline[10:20, 0:8] = True
    thing = Thing(outline, 320, 640)
    assert thing.place == Place(100, 0, 100, 80)
    assert thing.around(5) == Place(50, 0, 200, 130)
    assert thing.around(99) == Place(0, 0, 320, 640)
    whole = thing.cover(Place(0, 0, 320, 640))
    np.testing.assert_array_equal(whole[100:200, :80], thing.cover(thing.place))
    assert whole.mean() == pytest.approx(outline.mean(), abs=0.002)
    assert whole[150, 40] == 1
    assert whole[:80].max() == whole[:, 100:].max() == 0
    # Two reduced pixels more all round are twenty of the image's.
    assert thing.cover(Place(0, 0, 320, 640), 2)[150, 94] == 1


def test_the_colour_of_a_thing_is_its_mean():
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[10:20, 30:40] = (200, 100, 50)
    (thing,) = find_things(image, [], GRAINS[0])
    assert thing.place == Place(10, 30, 10, 10)
    np.testing.assert_allclose(thing.colour(image), (200, 100, 50), atol=1)


def test_any_of_the_most_striking_things_may_be_drawn():
    image = coins()
    best = {grain: [thing.place for thing in find_things(image, [], grain)[:BEST]] for grain in GRAINS}
    drawn = {pick_thing(image, [], np.random.default_rng(seed)).place for seed in range(100)}
    assert drawn == {place for places in best.values() for place in places}


@pytest.mark.parametrize(
    "image",
    [
        np.full((64, 64, 3), 90, dtype=np.uint8),
        np.full((3, 300, 3), 90, dtype=np.uint8),
        np.full((1, 1, 3), 90, dtype=np.uint8),
        np.tile(np.linspace(0, 255, 200, dtype=np.uint8)[:, None], (100, 1, 3)),
    ],
)
def test_where_nothing_stands_out_it_is_said(image):
    with pytest.raises(NoRoom, match="nothing stands out away from the 0 targets"):
        pick_thing(image, [], np.random.default_rng(0))


def test_what_lies_on_a_target_does_not_count():
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[10:20, 30:40] = 200
    near = Target("it", Box(22, 0, 7.5, 64))
    with pytest.raises(NoRoom, match="away from the 1 targets"):
        pick_thing(image, [near], np.random.default_rng(0))
    assert pick_thing(image, [Target("it", Box(22, 0, 6, 64))], np.random.default_rng(0))


def test_an_image_is_segmented_once_for_all_who_ask_at_the_same_time(monkeypatch: pytest.MonkeyPatch):
    image, grain, together, calls = coins(0.3), 61.0, Barrier(4), []

    def counted(*given: object, **settings: object) -> np.ndarray:
        calls.append(settings["scale"])
        return felzenszwalb(*given, **settings)

    def find() -> list[Thing]:
        together.wait()
        return find_things(image, [], grain)

    monkeypatch.setattr(things, "felzenszwalb", counted)
    with ThreadPoolExecutor(4) as threads:
        found = [asked.result() for asked in [threads.submit(find) for _ in range(4)]]
    assert calls == [grain]
    assert found[0]
    assert all([thing.place for thing in each] == [thing.place for thing in found[0]] for each in found)
