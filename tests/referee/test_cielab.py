"""CIELAB against scikit-image."""

import numpy as np
import pytest
from skimage.color import rgb2lab

from sparring.referee.cielab import cielab


@pytest.mark.parametrize("step", [17, 5])
def test_is_scikit_images(step: int) -> None:
    levels = np.arange(0, 256, step, dtype=np.uint8)
    pixels = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, len(levels), 3)
    np.testing.assert_allclose(cielab(pixels), rgb2lab(pixels), atol=5e-4)
    np.testing.assert_array_equal(cielab(pixels.reshape(-1, 3)), cielab(pixels).reshape(-1, 3))


def test_the_ends_of_the_scale() -> None:
    black, white = cielab(np.array([[0, 0, 0], [255, 255, 255]], dtype=np.uint8))
    np.testing.assert_allclose(black, [0, 0, 0], atol=1e-4)
    np.testing.assert_allclose(white, [100, 0, 0], atol=0.01)
