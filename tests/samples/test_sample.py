"""What makes two samples the same."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from sparring.samples.sample import Box, Sample, Target

SAMPLE = Sample(b"png", "Where?", ("left", "right"), 1, (Target("cup", Box(0.1, 2, 3.7, 4)),), "place", "file, line 1")


def test_where_it_came_from_does_not_matter() -> None:
    assert replace(SAMPLE, source="elsewhere", category="other").digest == SAMPLE.digest


def test_a_message_has_boxes_of_single_precision() -> None:
    box = Box(*(float(np.float32(value)) for value in (0.1, 2, 3.7, 4)))
    assert box != SAMPLE.targets[0].box
    assert replace(SAMPLE, targets=(Target("cup", box),)).digest == SAMPLE.digest


@pytest.mark.parametrize(
    "change",
    [
        {"image": b"other"},
        {"question": "Where else?"},
        {"options": ("right", "left")},
        {"answer": 0},
        {"targets": ()},
        {"targets": (Target("cup", Box(0.2, 2, 3.7, 4)),)},
        {"targets": (Target("mug", Box(0.1, 2, 3.7, 4)),)},
        {"groups": (("variant", "popular"),)},
    ],
)
def test_what_is_asked_does(change: dict[str, object]) -> None:
    assert replace(SAMPLE, **change).digest != SAMPLE.digest  # type: ignore[arg-type]


def test_how_it_is_asked_does_not_matter() -> None:
    assert replace(SAMPLE, shuffle=False).digest == SAMPLE.digest


def test_questions_about_one_image_share_its_digest() -> None:
    assert replace(SAMPLE, question="When?").image_digest == SAMPLE.image_digest == hashlib.sha256(b"png").hexdigest()
    assert replace(SAMPLE, image=b"other").image_digest != SAMPLE.image_digest


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"options": ("left",)}, "at least two options"),
        ({"options": ("left", "left")}, "not distinct"),
        ({"answer": 2}, "no index"),
        ({"answer": -1}, "no index"),
    ],
)
def test_a_sample_makes_sense(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=f"line 1: .*{told}"):
        replace(SAMPLE, **change)  # type: ignore[arg-type]
