"""V*Bench as it is published: a tree of images, each beside a JSON file of the same stem, and one file of questions.

The first option of an image's own file is the right one, so whoever asks must shuffle; who does not asks by the
unshuffled protocol, which is easier. `bbox` holds pixels: x, y, width, height, in the order of `target_object`. The
file of questions, `test_questions.jsonl`, has shuffled options and no boxes; these come from the image's own file. The
third form, `VStarBench.tsv`, is a table like others (see `tsv`), also shuffled, without any boxes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, model_validator

from sparring.samples.jsonl import Text, read_lines
from sparring.samples.reader import Asked, Reader, RowT

IMAGES = (".jpg", ".jpeg", ".png", ".webp")
_OPTION = re.compile(r"\(([A-Z])\) (.+)")


class Annotation(BaseModel):
    """The JSON file beside an image."""

    model_config = ConfigDict(frozen=True)

    target_object: tuple[Text, ...]
    bbox: tuple[tuple[float, float, float, float], ...]
    question: Text
    options: tuple[Text, ...]

    @model_validator(mode="after")
    def _parallel(self) -> Annotation:
        if len(self.target_object) != len(self.bbox):
            raise ValueError(f"{len(self.target_object)} objects and {len(self.bbox)} boxes")
        return self


class Question(BaseModel):
    """A line of `test_questions.jsonl`."""

    model_config = ConfigDict(frozen=True)

    image: Text
    text: Text
    label: Text
    category: str = ""

    def split(self) -> tuple[str, tuple[str, ...]]:
        """The question and its options: lines `(A) ...`, `(B) ...`; what follows them is an order to the model.

        Raises:
            ValueError: the letters do not run from A without a gap.
        """
        lines = self.text.splitlines()
        found = [(index, match) for index, line in enumerate(lines) if (match := _OPTION.fullmatch(line.strip()))]
        letters = "".join(match[1] for _, match in found)
        if not letters or letters != "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(letters)]:
            raise ValueError(f"expected options (A), (B), ... one a line, found {list(letters)}")
        return "\n".join(lines[: found[0][0]]).strip(), tuple(match[2] for _, match in found)


def image_beside(file: Path) -> Path | None:
    """The image of the same stem in the folder of `file`; of several the first by suffix."""
    suffixes = (suffix for lower in IMAGES for suffix in (lower, lower.upper()))
    return next((image for suffix in suffixes if (image := file.with_suffix(suffix)).exists()), None)


class _Annotated(Reader[RowT]):
    """Reads the files beside images."""

    def _annotation(self, place: str, file: Path) -> Annotation:
        return self._parse(place, Annotation, self._file(place, file))

    def _boxed(self, annotation: Annotation) -> Sequence[tuple[str, Sequence[float]]]:
        return list(zip(annotation.target_object, annotation.bbox, strict=True))


class Vstar(_Annotated[Path]):
    """The tree: every JSON file in it, by path. The category is the folder."""

    def _rows(self) -> Iterator[tuple[str, Path]]:
        files = sorted(self.path.rglob("*.json"), key=lambda file: file.relative_to(self.path).as_posix())
        self._folders = Counter(file.parent for file in files)
        return ((file.relative_to(self.path).as_posix(), file) for file in files)

    def _parts(self) -> Iterator[tuple[Path, int]]:
        yield from self._folders.items()

    def _ask(self, place: str, row: Path) -> Asked:
        annotation = self._annotation(place, row)
        image = image_beside(row)
        if image is None:
            raise self._bad(place, "path", f"there is no {row.stem} with one of {', '.join(IMAGES)} beside it")
        category = row.parent.relative_to(self.path).as_posix().strip(".")
        return Asked(image, annotation.question, annotation.options, 0, self._boxed(annotation), category)


class VstarQuestions(_Annotated[bytes | None]):
    """The lines of `test_questions.jsonl`."""

    def _rows(self) -> Iterator[tuple[str, bytes | None]]:
        return ((f"line {number}", line) for number, line in read_lines(self.path))

    def _ask(self, place: str, row: bytes | None) -> Asked:
        if row is None:
            raise self._bad(place, "syntax", "the line is too long")
        asked = self._parse(place, Question, row)
        try:
            question, options = asked.split()
        except ValueError as error:
            raise self._bad(place, "options", error) from error
        image = self._images / asked.image
        annotation = self._annotation(place, image.with_suffix(".json"))
        letter = ord(asked.label[0]) - ord("A") if len(asked.label) == 1 else -1
        if not 0 <= letter < len(options):
            raise self._bad(place, "answer", f"label {asked.label!r} is none of the letters of {list(options)}")
        return Asked(image, question, options, letter, self._boxed(annotation), asked.category)
