"""MMVP: pairs of images that look alike to CLIP, with one question and different answers.

A pair counts if both are answered rightly: the group `pair`. There are no boxes, so the whole image of an edit is
compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase

from sparring.samples.reader import Asked, Reader
from sparring.samples.roots import OutsideRoots, inside
from sparring.samples.tables import BadTable, Row, Table, Torn

QUESTIONS = "Questions.csv"
IMAGES = "MMVP Images"
_INDEX = ("Index", "lndex")
"""The published file has been seen with an l in place of the I."""
_COLUMNS = ("Question", "Options", "Correct Answer")
_OPTION = re.compile(r"\(([a-z])\)\s*(.*?)\s*(?=\([a-z]\)|\Z)", re.DOTALL)


class Mmvp(Reader[Row | Torn]):
    """A folder with `Questions.csv`, or that file; images are `N.jpg`, for `Index` N, in `MMVP Images` or beside it."""

    def _rows(self) -> Iterator[tuple[str, Row | Torn]]:
        self._questions = self.path / QUESTIONS if self.path.is_dir() else self.path
        try:
            table = Table(inside(self._questions, self._roots), ",")
        except (BadTable, OutsideRoots, OSError) as error:
            self.report.skip(self._bad("header", "syntax" if isinstance(error, BadTable) else "path", error))
            return
        self._index = next((name for name in _INDEX if name in table.columns), "")
        if not self._index or not set(_COLUMNS) <= set(table.columns):
            lacking = f"expected the columns Index, {', '.join(_COLUMNS)}, found {', '.join(table.columns)}"
            self.report.skip(self._bad("header", "fields", lacking))
            return
        folder = self._images / IMAGES
        self._folder = folder if folder.is_dir() else self._images
        yield from ((f"row {number}", row) for number, row in enumerate(table.rows(), 1))

    def _parts(self) -> Iterator[tuple[Path, int]]:
        yield self._questions, self.report.rows

    def _ask(self, place: str, row: Row | Torn) -> Asked:
        if isinstance(row, Torn):
            raise self._bad(place, "syntax", row.reason)
        index = row.cells[self._index].strip()
        if not index.isdecimal() or int(index) == 0:
            raise self._bad(place, "fields", f"index {index!r} is no whole number from 1")
        options = self._options(place, row.cells["Options"])
        return Asked(
            self._folder / f"{index}.jpg",
            row.cells["Question"].strip(),
            options,
            self._answer(place, row.cells["Correct Answer"], len(options)),
            groups=(("pair", str((int(index) + 1) // 2)),),
            name=index,
        )

    def _options(self, place: str, text: str) -> list[str]:
        found = _OPTION.findall(text)
        letters = "".join(letter for letter, _ in found)
        if not letters or letters != ascii_lowercase[: len(letters)]:
            raise self._bad(place, "options", f"expected (a) ... (b) ..., found {text!r}")
        return [option for _, option in found]

    def _answer(self, place: str, text: str, options: int) -> int:
        try:
            return list(ascii_lowercase[:options]).index(text.strip().strip("()").lower())
        except ValueError as error:
            raise self._bad(place, "answer", f"{text!r} is none of the letters of {options} options") from error
