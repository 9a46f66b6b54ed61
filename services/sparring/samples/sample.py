"""What is asked: one image, one multiple-choice question about it, and where its subjects are."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NewType, Protocol

SampleDigest = NewType("SampleDigest", str)
"""Lower-case hex sha256 over everything that a sample asks, its image's bytes included."""
Groups = tuple[tuple[str, str], ...]
"""Names with values, for whoever scores a benchmark its own way. A name may come with several values.

    variant   the sets that a question belongs to (POPE); accuracy within each
    rotation  the order that the options are in (HR-Bench); mean of the accuracies within each
    pair      two images with one question (MMVP); a pair counts if both are right
    figure    questions about one image (HallusionBench); a figure counts if all are right
    question  one question about several images (HallusionBench); it counts if all are right
"""


@dataclass(frozen=True)
class Box:
    """An axis-aligned box in pixels: left edge `x`, top edge `y`, `width`, `height`."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Target:
    """An object that the question is about. No edit may change it."""

    name: str
    box: Box


@dataclass(frozen=True)
class Sample:
    """One question about one image.

    Attributes:
        image: the encoded file (PNG, JPEG or WEBP), exactly as it was read.
        question: the question alone, without its options.
        options: two or more distinct answers, in the order of the source.
        answer: index into `options` of the right one.
        targets: the objects asked about; empty where the source has no boxes.
        category: the source's own name for this kind of question.
        source: where the sample came from, for messages: a path, a line, a seed.
        groups: what the source scores it together with, see `Groups`.
        shuffle: whether its options may be shown in another order; if not, it is asked by the *unshuffled protocol*.
    """

    image: bytes
    question: str
    options: tuple[str, ...]
    answer: int
    targets: tuple[Target, ...] = ()
    category: str = ""
    source: str = ""
    groups: Groups = ()
    shuffle: bool = True

    def __post_init__(self) -> None:
        if len(self.options) < 2:
            raise ValueError(f"{self.source}: a question needs at least two options, got {list(self.options)}")
        if len(set(self.options)) != len(self.options):
            raise ValueError(f"{self.source}: the options {list(self.options)} are not distinct")
        if not 0 <= self.answer < len(self.options):
            raise ValueError(f"{self.source}: answer {self.answer} is no index into {len(self.options)} options")

    @cached_property
    def digest(self) -> SampleDigest:
        """Content address of the sample: equal for equal questions that are scored alike, whatever their source, and
        whether they came as a message (where boxes are of single precision) or not."""
        asked: list[object] = [self.question, self.options, self.answer]
        asked.append([(target.name, *single(target.box)) for target in self.targets])
        if self.groups:
            asked.append(self.groups)
        hashed = self._image_hash.copy()
        hashed.update(json.dumps(asked).encode())
        return SampleDigest(hashed.hexdigest())

    @property
    def image_digest(self) -> str:
        """Lower-case hex sha256 of the image's bytes: questions about one image are not independent."""
        return self._image_hash.hexdigest()

    @cached_property
    def _image_hash(self) -> hashlib._Hash:
        return hashlib.sha256(self.image)


def single(box: Box) -> tuple[float, ...]:
    """A box in single precision."""
    return struct.unpack("<4f", struct.pack("<4f", box.x, box.y, box.width, box.height))


class SampleSource(Protocol):
    """A dataset: a finite or endless sequence of samples, the same at every pass."""

    def __iter__(self) -> Iterator[Sample]: ...
