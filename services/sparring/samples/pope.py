"""POPE: is an object there? Three variants ask about absent objects that are random, popular or likely beside the rest.

Many questions belong to several variants. Each is asked once, as a sample of all its variants: the groups `variant`.
Accuracy within a variant is over 3,000 questions, half of them to be answered by yes; over all samples it is over 5,127
of which 29 % are. There are no boxes, so the whole image of an edit is compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue

from sparring.samples.arrays import is_array
from sparring.samples.jsonl import Text, read_lines
from sparring.samples.reader import Asked, Reader
from sparring.samples.report import BadRow
from sparring.samples.roots import OutsideRoots, inside
from sparring.samples.sample import Groups
from sparring.samples.tsv import YES_NO, Cells, Tsv, yes_no

CATEGORY = "existence"


class Question(BaseModel):
    """A line, or an element of the array."""

    model_config = ConfigDict(frozen=True)

    question_id: JsonValue
    image: Text
    text: Text
    label: str


@dataclass(frozen=True)
class Shared:
    """A question and the variants that ask it."""

    asked: Question
    variants: list[str]


class Pope(Reader[Shared]):
    """One file of questions, or all `*pope*.json` in a folder, lines or arrays. The variant is what ends a file's name.

    The questions are held, their images are not.
    """

    def _rows(self) -> Iterator[tuple[str, Shared]]:
        self._counts: Counter[Path] = Counter()
        found: dict[tuple[str, str, str], tuple[str, Shared]] = {}
        files = question_files(self.path)
        if not files:
            self.report.skip(self._bad("folder", "path", "it holds no file of questions, *pope*.json"))
        for file in files:
            for place, row in self._read(file):
                self._counts[file] += 1
                try:
                    self._share(found, file, place, row)
                except BadRow as bad:
                    self.report.skip(bad)
        yield from found.values()

    def _parts(self) -> Iterator[tuple[Path, int]]:
        yield from self._counts.items()

    def _share(
        self, found: dict[tuple[str, str, str], tuple[str, Shared]], file: Path, place: str, row: bytes | JsonValue
    ) -> None:
        """Add a row to what was found, as a question of its own or as a further variant of one."""
        fits = self._parse(place, Question, row) if isinstance(row, bytes) else self._fit(place, Question, row)
        self._claim(place, f"{file.name} {fits.question_id}")
        variant = file.stem.rpartition("_")[2]
        first, shared = found.setdefault((fits.image, fits.text, fits.label), (place, Shared(fits, [])))
        if variant in shared.variants:
            raise self._bad(place, "repeat", f"it asks what {first} asks")
        self.report.merged += bool(shared.variants)
        shared.variants.append(variant)

    def _read(self, file: Path) -> Iterator[tuple[str, bytes | JsonValue]]:
        try:
            inside(file, self._roots)
        except OutsideRoots as error:
            self.report.skip(self._bad(file.name, "path", error))
            return
        if is_array(file):
            yield from ((f"{file.name}, {place}", row) for place, row in self._elements(file))
            return
        for number, line in read_lines(file):
            if line is None:
                self.report.skip(self._bad(f"{file.name}, line {number}", "syntax", "the line is too long"))
            else:
                yield f"{file.name}, line {number}", line

    def _ask(self, place: str, row: Shared) -> Asked:
        try:
            answer = yes_no(row.asked.label)
        except ValueError as error:
            raise self._bad(place, "answer", f"{row.asked.label!r} is neither yes nor no") from error
        return Asked(
            self._images / row.asked.image,
            row.asked.text,
            YES_NO,
            answer,
            category=CATEGORY,
            groups=grouped(row.variants),
        )


class PopeTable(Tsv):
    """The questions as a table (see `tsv`), each once, its variants separated by commas in `category`."""

    needs = (*Tsv.needs, "category")

    def _category(self, cells: Cells) -> str:
        return CATEGORY

    def _groups(self, place: str, cells: Cells) -> Groups:
        return grouped(variant.strip() for variant in cells["category"].split(","))


def grouped(variants: Iterable[str]) -> Groups:
    """The groups of a sample that belongs to these variants."""
    return tuple(("variant", variant) for variant in sorted(variants))


def question_files(path: Path) -> list[Path]:
    """The files of questions in a folder by name, or the one file."""
    return [path] if path.is_file() else sorted(path.glob("*pope*.json"))
