"""Our own format: one JSON object a line, images in files beside it.

    {"image": "images/1.jpg", "question": "What colour is the cup?", "options": ["red", "blue"], "answer": "B",
     "targets": [{"name": "cup", "box": [10, 20, 30, 40]}], "category": "colour"}

`image` is relative to the file. `answer` is a letter, an index from 0, or the text of an option. `targets` (boxes in
pixels: x, y, width, height), `category` and `id` may be left out, other keys are passed over. No two lines may have one
`id`, or ask the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from sparring.samples.reader import Asked, Reader

_LINE_BYTES = 1 << 20

Text = Annotated[str, Field(min_length=1)]


class BoxedName(BaseModel):
    """An object that the question is about."""

    model_config = ConfigDict(frozen=True)

    name: Text
    box: tuple[float, float, float, float]


class Line(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(frozen=True)

    image: Text
    question: Text
    options: tuple[Text, ...]
    answer: StrictInt | str
    targets: tuple[BoxedName, ...] = ()
    category: str = ""
    id: StrictInt | str | None = None


def find_answer(answer: int | str, options: Sequence[str]) -> int:
    """Index of the option that `answer` (an index, a letter, or the option's text) stands for.

    Raises:
        ValueError: it stands for none, or as a letter for one and as a text for another.
    """
    if isinstance(answer, int):
        found = {answer} & set(range(len(options)))
    else:
        letter = ord(answer.upper()) - ord("A") if len(answer) == 1 else -1
        found = {letter} & set(range(len(options))) | {i for i, option in enumerate(options) if option == answer}
    if len(found) != 1:
        raise ValueError(f"answer {answer!r} stands for {'none' if not found else 'several'} of {list(options)}")
    return found.pop()


def read_lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers from 1; None for one that is too long to be read. Blank ones are passed over."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LINE_BYTES):
            number += 1
            whole = len(line) < _LINE_BYTES or line.endswith(b"\n")
            while len(line) == _LINE_BYTES and not line.endswith(b"\n"):
                line = file.readline(_LINE_BYTES)
            if not whole or line.strip():
                yield number, line if whole else None


class Jsonl(Reader[bytes | None]):
    """The lines of one file. Without targets, the whole image of an edit is compared."""

    def _rows(self) -> Iterator[tuple[str, bytes | None]]:
        return ((f"line {number}", line) for number, line in read_lines(self.path))

    def _ask(self, place: str, row: bytes | None) -> Asked:
        if row is None:
            raise self._bad(place, "syntax", f"the line is longer than {_LINE_BYTES} bytes")
        line = self._parse(place, Line, row)
        try:
            answer = find_answer(line.answer, line.options)
        except ValueError as error:
            raise self._bad(place, "answer", error) from error
        targets = [(target.name, target.box) for target in line.targets]
        return Asked(
            self._images / line.image,
            line.question,
            line.options,
            answer,
            targets,
            line.category,
            name="" if line.id is None else str(line.id),
        )
