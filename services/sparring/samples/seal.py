"""Spatial questions of SEAL's training data: one JSON array of conversations, images in folders beside it.

Answers are sentences, so the options are made: the sentence, and the same with left and right exchanged, in an order
that `seed` decides for each record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from sparring.samples.jsonl import Text
from sparring.samples.reader import LIMITS, Limits, Reader
from sparring.samples.roots import inside
from sparring.samples.sample import Sample

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
        images: folder that the records' paths are relative to; by default that of the file.
        seed: decides the order of the options.
        limits: of the images.
    """

    def __init__(
        self, path: Path, roots: Sequence[Path], *, images: Path | None = None, seed: int = 0, limits: Limits = LIMITS
    ) -> None:
        super().__init__(path, roots, limits)
        self._images = self.path.parent if images is None else inside(images, roots)
        self._seed = seed

    def _rows(self) -> Iterator[tuple[str, JsonValue]]:
        """Records one at a time: of the file only its text is held."""
        text = self.path.read_text(encoding="utf-8-sig", errors="replace")
        decoder, index, end = json.JSONDecoder(), 0, _skip(text, 0, "[")
        while not text.startswith("]", end):
            try:
                row, end = decoder.raw_decode(text, end)
            except (ValueError, RecursionError) as error:
                self.report.skip(self._bad(f"record {index} and after", "syntax", error))
                return
            yield f"record {index}", row
            index, end = index + 1, _skip(text, end, ",")

    def _sample(self, place: str, row: JsonValue) -> Sample:
        try:
            record = Record.model_validate(row)
        except ValidationError as error:
            raise self._unlike(place, error) from error
        asked, told = record.conversations
        try:
            options = make_options(told.value.strip())
        except ValueError as error:
            raise self._bad(place, "options", error) from error
        answer = int(np.random.default_rng([self._seed, int(place.split()[1])]).integers(2))
        targets = [(instance.name, instance.bbox) for instance in record.target_instances]
        question = _FOCUS.sub("", asked.value).strip()
        image = self._images / record.image
        return self._build(place, image, question, options[:: 1 if answer == 0 else -1], answer, targets, "spatial")


def _skip(text: str, start: int, sign: str) -> int:
    """Where the next value begins after blanks, perhaps one `sign`, and blanks."""
    match = re.compile(rf"\s*{re.escape(sign)}?\s*").match(text, start)
    return start if match is None else match.end()
