"""What edits are compared with is kept while it may be needed again, and no longer."""

from __future__ import annotations

from dataclasses import replace

from sparring.referee.subjects import Subjects
from sparring.samples.images import decode
from sparring.samples.shapes import Shapes, World

SAMPLES = [Shapes(World(), 0, "subjects").sample(number) for number in range(3)]
IMAGES = [decode(sample.image, max_pixels=1 << 20, max_bytes=1 << 20) for sample in SAMPLES]
PIXELS = IMAGES[0].shape[0] * IMAGES[0].shape[1]


def test_the_same_control_of_the_same_sample_is_the_same_subject() -> None:
    subjects = Subjects(4 * PIXELS)
    first = subjects.find(SAMPLES[0], b"control", IMAGES[0])
    assert subjects.find(SAMPLES[0], b"control", IMAGES[0]) is first
    assert subjects.find(SAMPLES[0], b"another control", IMAGES[0]) is not first
    assert subjects.find(replace(SAMPLES[0], targets=()), b"control", IMAGES[0]).targets == ()


def test_those_used_last_are_kept() -> None:
    subjects = Subjects(2 * PIXELS)
    first, second = (subjects.find(SAMPLES[index], b"", IMAGES[index]) for index in (0, 1))
    assert subjects.find(SAMPLES[0], b"", IMAGES[0]) is first
    subjects.find(SAMPLES[2], b"", IMAGES[2])
    assert subjects.find(SAMPLES[0], b"", IMAGES[0]) is first
    assert subjects.find(SAMPLES[1], b"", IMAGES[1]) is not second


def test_one_that_is_too_large_is_kept_until_the_next() -> None:
    subjects = Subjects(PIXELS - 1)
    first = subjects.find(SAMPLES[0], b"", IMAGES[0])
    assert subjects.find(SAMPLES[0], b"", IMAGES[0]) is first
    subjects.find(SAMPLES[1], b"", IMAGES[1])
    assert subjects.find(SAMPLES[0], b"", IMAGES[0]) is not first
