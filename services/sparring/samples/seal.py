"""Spatial questions of SEAL's training data: one JSON array of conversations, images in folders beside it.

Answers are sentences, so the options are made: the sentence, and the same with left and right exchanged, in an order
that `seed` decides for each record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sparring.samples.jsonl import Text
from sparring.samples.reader import LIMITS, Asked, Limits, Reader

_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)
_FOCUS = re.compile(r"\A(?:<image>\s*)?(?:[^\n]*<object>\.\s*)?", re.IGNORECASE)
"""What comes before the question: the image's token, and the line that lists what to look at."""
_OTHER = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}


class Instance(BaseModel):
    """A target."""

    model_config = ConfigDict(frozen=True)

    name: Text
    bbox: tuple[float, float, float, float]


class Turn(BaseModel):
    """Half of a conversation."""

    model_config = ConfigDict(frozen=True)

    value: Text


class Record(BaseModel):
    """One conversation about one image. Only those with a key `search` (whatever it says) have boxes."""

    model_config = ConfigDict(frozen=True)

    image: Text
    search: JsonValue
    target_instances: tuple[Instance, ...] = Field(min_length=1)
    conversations: tuple[Turn, Turn]


def make_options(answer: str) -> tuple[str, str]:
    """The sentence and its opposite.

    Raises:
        ValueError: it does not name exactly one side.
    """
    if len(_SIDE.findall(answer)) != 1:
        raise ValueError(f"{answer!r} does not say left or right exactly once, so it has no opposite")
    return answer, _SIDE.sub(lambda match: _OTHER.get(match[0], _OTHER[match[0].lower()]), answer)


class Seal(Reader[JsonValue]):
    """The records of one file.

    Args:
        path: the JSON file.
        roots: folders that may be read from.
        limits: of the images.
        images: folder that the records' paths are relative to; by default that of the file.
        seed: decides the order of the options.
        shuffle: whether the options may then be shown in another order.
    """

    def __init__(
        self,
        path: Path,
        roots: Sequence[Path],
        limits: Limits = LIMITS,
        *,
        images: Path | None = None,
        seed: int = 0,
        shuffle: bool = True,
    ) -> None:
        super().__init__(path, roots, limits, images=images, shuffle=shuffle)
        self._seed = seed

    def _rows(self) -> Iterator[tuple[str, JsonValue]]:
        return self._elements(self.path)

    def _ask(self, place: str, row: JsonValue) -> Asked:
        record = self._fit(place, Record, row)
        asked, told = record.conversations
        try:
            options = make_options(told.value.strip())
        except ValueError as error:
            raise self._bad(place, "options", error) from error
        answer = int(np.random.default_rng([self._seed, int(place.split()[1])]).integers(2))
        targets = [(instance.name, instance.bbox) for instance in record.target_instances]
        question = _FOCUS.sub("", asked.value).strip()
        image = self._images / record.image
        return Asked(image, question, options[:: 1 if answer == 0 else -1], answer, targets, "spatial")
