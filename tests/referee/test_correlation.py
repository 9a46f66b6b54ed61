"""Normalised cross-correlation against scikit-image and the definition."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data
from skimage.feature import match_template

from sparring.referee.correlation import Field, Pattern, Pixels, Scores, Search
from sparring.referee.regions import Region


def defined(image: Pixels, crop: Pixels) -> NDArray[np.float64]:
    """By the definition, window by window."""
    height, width = crop.shape[:2]
    centred = crop - crop.mean(axis=(0, 1))
    scores = np.empty((image.shape[0] - height + 1, image.shape[1] - width + 1))
    for y, x in np.ndindex(scores.shape):
        window = image[y : y + height, x : x + width].astype(float)
        window -= window.mean(axis=(0, 1))
        scores[y, x] = (centred * window).sum() / np.sqrt((centred**2).sum() * (window**2).sum())
    return scores


def scores_of(crop: Pixels, field: Field) -> Scores:
    (scores,) = Search([Pattern(crop)]).scores(field)
    return scores


@pytest.fixture(scope="module")
def photo() -> Pixels:
    return np.ascontiguousarray(data.astronaut()[100:147, 180:233])


@pytest.mark.parametrize("place", [(0, 0, 9, 12), (20, 30, 33, 41), (0, 0, 47, 53)])
def test_is_the_definition_at_every_place(photo: Pixels, place: tuple[int, int, int, int]) -> None:
    top, left, bottom, right = place
    crop = photo[top:bottom, left:right]
    scores = scores_of(crop, Field(photo))
    assert scores[top, left] == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(scores, defined(photo, crop), atol=1e-4)


def test_of_one_channel_is_scikit_images(photo: Pixels) -> None:
    grey = np.repeat(photo[..., :1], 3, axis=2)
    crop = grey[10:22, 5:20]
    np.testing.assert_allclose(scores_of(crop, Field(grey)), match_template(grey[..., 0], crop[..., 0]), atol=1e-4)


def test_several_at_once_are_each_as_alone(photo: Pixels) -> None:
    crops = [photo[:9, :12], photo[20:33, 30:41], photo[5:25, 5:25]]
    found = Search([Pattern(crop) for crop in crops]).scores(Field(photo))
    for crop, scores in zip(crops, found, strict=True):
        np.testing.assert_allclose(scores, defined(photo, crop), atol=1e-4)
    assert Search([]).scores(Field(photo)) == []


def test_of_a_part_are_those_of_the_whole_there(photo: Pixels) -> None:
    search = Search([Pattern(photo[:9, :12]), Pattern(photo[20:33, 30:41])])
    part = Region(4, 11, 40, 36)
    for whole, scores in zip(search.scores(Field(photo)), search.scores(Field(photo, part)), strict=True):
        rows, columns = scores.shape
        np.testing.assert_array_equal(scores, whole[11 : 11 + rows, 4 : 4 + columns])
    assert [scores.shape for scores in search.scores(Field(photo, part))] == [(17, 25), (13, 26)]


def test_ignores_brightness_and_contrast_of_each_channel(photo: Pixels) -> None:
    crop = photo[10:30, 10:30]
    other = (photo * np.array([0.5, 0.5, 0.5]) + np.array([60, 0, 100])).astype(np.uint8)
    assert scores_of(crop, Field(other))[10, 10] > 0.995


def test_what_is_flat_matches_nothing(photo: Pixels) -> None:
    flat = np.full((30, 30, 3), 90, dtype=np.uint8)
    assert Pattern(flat[:8, :8]).flat
    assert not Pattern(photo[:8, :8]).flat
    assert np.abs(scores_of(photo[:8, :8], Field(flat))).max() < 1e-3


def test_knows_what_fits(photo: Pixels) -> None:
    assert Pattern(photo).fits(Field(photo))
    assert not Pattern(photo).fits(Field(photo[:-1]))
