"""SSIM against scikit-image."""

import numpy as np
import pytest
from PIL import Image
from skimage import data
from skimage.metrics import structural_similarity

from sparring.referee.similarity import SMALLEST_CROP, Pixels, enlarged, similarity


def reference(before: Pixels, after: Pixels) -> float:
    return structural_similarity(
        before,
        after,
        data_range=255,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )


@pytest.mark.parametrize("size", [(24, 24), (24, 61), (128, 40)])
def test_is_scikit_image_with_wangs_settings(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    before = data.astronaut()[100 : 100 + size[0], 200 : 200 + size[1]]
    after = (before + rng.normal(0, 20, before.shape)).clip(0, 255).astype(np.uint8)
    assert similarity(before, after) == pytest.approx(reference(before, after), abs=1e-12)


def test_small_crops_are_enlarged_by_lanczos_first() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.integers(0, 256, (2, 12, 16, 3), dtype=np.uint8)
    big = [np.asarray(Image.fromarray(crop).resize((32, 24), Image.Resampling.LANCZOS)) for crop in (before, after)]
    assert similarity(before, after) == pytest.approx(reference(*big), abs=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (13, 23), (24, 24), (300, 25)])
def test_whatever_the_size_the_shorter_side_becomes_large_enough(size: tuple[int, int]) -> None:
    crop = np.zeros((*size, 3), dtype=np.uint8)
    assert min(enlarged(crop).shape[:2]) == max(SMALLEST_CROP, min(size))
    assert similarity(crop, crop) == pytest.approx(1)


def test_colour_alone_lowers_it() -> None:
    rng = np.random.default_rng(2)
    before = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert similarity(before, before[..., ::-1]) < 0.5
