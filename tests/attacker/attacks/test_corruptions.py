from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data
from skimage.transform import AffineTransform, warp

from sparring.attacker.attacks.blur import blur
from sparring.attacker.attacks.geometry import crop, shift
from sparring.attacker.attacks.jpeg import jpeg
from sparring.attacker.attacks.noise import noise
from sparring.attacker.attacks.photometric import photometric
from sparring.attacker.space import NoRoom
from sparring.samples.sample import Box, Target

DEGRADING = [noise, jpeg, blur, photometric]
MOVING = [crop, shift]


def photograph(height: int, width: int) -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[:height, :width])


def cat(x: float, y: float, width: float, height: float) -> Target:
    return Target("a cat", Box(x, y, width, height))


@pytest.mark.parametrize("attack", [*DEGRADING, *MOVING])
@pytest.mark.parametrize("shape", [(64, 64), (33, 200), (480, 17)])
def test_edits_follow_from_the_seed_and_leave_the_original_alone(attack, shape):
    image = photograph(*shape)
    image.setflags(write=False)
    one, same, other = (attack(image, [], np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.image.shape == image.shape
    assert one.image.dtype == np.uint8
    assert one.kind == "corruption"
    np.testing.assert_array_equal(one.image, same.image)
    assert (one.image != other.image).any()
    assert (one.image != image).any()


@pytest.mark.parametrize("attack", DEGRADING)
def test_what_degrades_does_so_on_targets_too_and_moves_nothing(attack):
    image = photograph(100, 100)
    edit = attack(image, [cat(0, 0, 100, 100)], np.random.default_rng(3))
    assert edit.affine is None
    assert (edit.image != image).any(axis=2).mean() > 0.5


def test_noise_is_as_strong_as_it_says():
    image = np.full((200, 200, 3), 128, dtype=np.uint8)
    for seed in range(10):
        difference = noise(image, [], np.random.default_rng(seed)).image.astype(float) - 128
        assert abs(difference.mean()) < 0.2
        assert 4.9 < difference.std() < 25.2


def test_jpeg_is_what_the_codec_makes_of_it():
    image, outcomes = photograph(80, 90), []
    for quality in range(5, 51):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=2)
        outcomes.append(np.asarray(Image.open(file)).tobytes())
    found = {outcomes.index(jpeg(image, [], np.random.default_rng(seed)).image.tobytes()) for seed in range(40)}
    assert len(found) > 20


@pytest.mark.parametrize(("side", "least", "most"), [(64, 0.5, 1.5), (144, 0.75, 2.25)])
def test_blur_is_gaussian_and_grows_with_the_root_of_the_size(side, least, most):
    image = photograph(side, side)
    for seed in range(3):
        soft = blur(image, [], np.random.default_rng(seed)).image.astype(float)
        inner = (slice(12, -12), slice(12, -12))
        away = {
            deviation: np.abs(gaussian_filter(image.astype(float), (deviation, deviation, 0)) - soft)[inner].mean()
            for deviation in np.linspace(least / 2, most * 1.5, 20)
        }
        best = min(away, key=away.__getitem__)
        assert least * 0.8 < best < most * 1.2
        assert away[best] < 1.5


def test_photometric_changes_depend_on_the_pixel_alone():
    image = photograph(100, 100)
    changes = []
    for seed in range(40):
        edit = photometric(image, [], np.random.default_rng(seed)).image
        for channel in range(3):
            pairs = np.unique(np.stack([image[..., channel], edit[..., channel]], axis=-1).reshape(-1, 2), axis=0)
            assert len(pairs) == len(np.unique(image[..., channel]))
            assert (np.diff(pairs[:, 1].astype(int)) >= 0).all()
        changes.append(np.abs(edit.astype(float) - image).mean())
    assert min(changes) > 5
    assert max(changes) < 80


@pytest.mark.parametrize("attack", MOVING)
def test_the_affine_says_where_everything_went(attack):
    image = photograph(240, 320)
    for seed in range(8):
        edit = attack(image, [], np.random.default_rng(seed))
        a, b, c, d, e, f = edit.affine
        # Pixel centres lie at half numbers in box coordinates, at whole ones in scikit-image.
        matrix = np.array([[a, b, c + (a + b - 1) / 2], [d, e, f + (d + e - 1) / 2], [0, 0, 1]])
        expected = warp(image, AffineTransform(matrix).inverse, order=3, cval=-1, preserve_range=True)
        seen = warp(np.ones(image.shape[:2]), AffineTransform(matrix).inverse, order=0)[..., None] > 0.5
        inner = np.pad(np.ones((232, 312, 1), dtype=bool), [(4, 4), (4, 4), (0, 0)])
        away = np.abs(edit.image - expected)[np.broadcast_to(seen & inner, image.shape)]
        assert away.mean() < 1.5


@pytest.mark.parametrize("attack", MOVING)
def test_every_target_stays_in_sight(attack):
    image = photograph(240, 320)
    targets = [cat(70, 60, 40, 30), cat(200.5, 20.5, 30, 100)]
    for seed in range(50):
        a, _, c, _, e, f = attack(image, targets, np.random.default_rng(seed)).affine
        for box in (target.box for target in targets):
            assert a * box.x + c >= -1e-9
            assert e * box.y + f >= -1e-9
            assert a * (box.x + box.width) + c <= 320 + 1e-9
            assert e * (box.y + box.height) + f <= 240 + 1e-9


@pytest.mark.parametrize("attack", MOVING)
def test_targets_at_the_edges_hold_everything_in_place(attack):
    wide = [cat(-3, 10, 20, 20), cat(50, 0, 20, 20), cat(180, 30, 30, 70)]
    with pytest.raises(NoRoom, match="3 targets leave n"):
        attack(photograph(100, 200), wide, np.random.default_rng(0))


def test_a_crop_keeps_its_part_and_its_proportions():
    kept = []
    for seed in range(40):
        x, _, _, _, y, _ = crop(photograph(120, 160), [], np.random.default_rng(seed)).affine
        assert x == pytest.approx(y, rel=0.02)
        kept.append(1 / x)
    assert 0.59 < min(kept) < 0.7
    assert 0.85 < max(kept) < 0.97


def test_what_a_shift_uncovers_has_the_mean_colour():
    image = photograph(100, 120)
    for seed in range(20):
        edit = shift(image, [], np.random.default_rng(seed))
        across, down = (int(edit.affine[index]) for index in (2, 5))
        assert abs(across) <= 18
        assert abs(down) <= 15
        rows = slice(max(0, down), 100 + min(0, down))
        columns = slice(max(0, across), 120 + min(0, across))
        rest = edit.image.astype(float)
        rest[rows, columns] = image.mean(axis=(0, 1))
        assert np.abs(rest - image.mean(axis=(0, 1))).max() < 1
