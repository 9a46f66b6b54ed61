"""Tab-separated benchmarks: a row asks one question and holds its image in base64.

    index  question  answer  category  A  B  C  D  image

`answer` is a letter, or Yes or No in a file without a column `A`; options run from A, and a row may have fewer than
there are columns. The image stands in `image`, or a path to it in `image_path`; an `image` of up to 64 characters is
the index of the row that holds it. There are no boxes, so the whole image of an edit is compared.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from string import ascii_uppercase

from sparring.samples.index import Index
from sparring.samples.reader import Asked, Reader
from sparring.samples.sample import Groups
from sparring.samples.tables import BadTable, Row, Table, Torn

YES_NO = ("Yes", "No")
_REFERENCE = 64
_LIST = re.compile(r"""\[\s*(?P<quote>['"])(?P<only>[^'"]*)(?P=quote)\s*\]""")
"""A list of one text, as Python writes it into a cell."""

Cells = Mapping[str, str]


def yes_no(text: str) -> int:
    """Index of what `text` says in `YES_NO`.

    Raises:
        ValueError: it says neither.
    """
    return YES_NO.index(text.strip().capitalize())


class Tsv(Reader[Row | Torn]):
    """The rows of one file. See `Reader`; relative paths of images start from the file's folder."""

    needs: tuple[str, ...] = ("index", "question", "answer")
    """Columns without which nothing can be read."""

    def _rows(self) -> Iterator[tuple[str, Row | Torn]]:
        try:
            self._table = Table(self.path, "\t")
        except (BadTable, OSError) as error:
            self.report.skip(self._bad("header", "syntax", error))
            return
        lacking = [column for column in self.needs if column not in self._table.columns]
        if lacking:
            self.report.skip(self._bad("header", "fields", f"there is no column {', '.join(lacking)}"))
            return
        self._all_known = False
        with closing(Index()) as self._starts:
            for number, row in enumerate(self._table.rows(), 1):
                if isinstance(row, Row):
                    self._starts.put(row.cells["index"].strip(), str(row.start))
                yield f"row {number}", row

    def _ask(self, place: str, row: Row | Torn) -> Asked:
        if isinstance(row, Torn):
            raise self._bad(place, "syntax", row.reason)
        options = self._options(place, row.cells)
        return Asked(
            self._image(place, row),
            row.cells["question"].strip(),
            options,
            self._answer(place, row.cells["answer"], options),
            category=self._category(row.cells),
            groups=self._groups(place, row.cells),
            name=row.cells["index"].strip(),
        )

    def _category(self, cells: Cells) -> str:
        return cells.get("category", "")

    def _groups(self, place: str, cells: Cells) -> Groups:
        """What a benchmark scores the row together with.

        Raises:
            BadRow: the row does not say.
        """
        return ()

    def _options(self, place: str, cells: Cells) -> tuple[str, ...]:
        if "A" not in cells:
            return YES_NO
        texts = [cells.get(letter, "").strip() for letter in ascii_uppercase]
        options = tuple(text for text in texts if text)
        if options != tuple(texts[: len(options)]):
            raise self._bad(place, "options", f"one is left out before {options[-1]!r}")
        if not options:
            raise self._bad(place, "options", "there are none")
        return options

    def _answer(self, place: str, text: str, options: tuple[str, ...]) -> int:
        try:
            return yes_no(text) if options is YES_NO else _letter(text, len(options))
        except ValueError as error:
            raise self._bad(place, "answer", f"{text!r} stands for none of {list(options)}") from error

    def _image(self, place: str, row: Row) -> bytes | Path:
        index = self._only(place, row.cells.get("image", ""))
        if not 0 < len(index) <= _REFERENCE:
            own = self._own_image(place, row.cells)
            if own is None:
                raise self._bad(place, "imageless", "it has no image")
            return own
        holder = self._row(index)
        if holder is None:
            raise self._bad(place, "image", f"no row has the index {index!r}, where its image should be")
        image = self._own_image(place, holder.cells)
        if image is None:
            raise self._bad(place, "image", f"the row of index {index!r}, where it should be, holds no image itself")
        return image

    def _own_image(self, place: str, cells: Cells) -> bytes | Path | None:
        """The image that stands in a row, or its path; None if there is neither, a reference being neither."""
        text = self._only(place, cells.get("image", ""))
        if len(text) > _REFERENCE:
            try:
                return base64.b64decode(text, validate=True)
            except binascii.Error as error:
                raise self._bad(place, "image", f"no base64: {error}") from error
        path = self._only(place, cells.get("image_path", ""))
        return self._images / path if path else None

    def _only(self, place: str, cell: str) -> str:
        """A cell, or what stands in it as a list of one."""
        text = cell.strip()
        if not text.startswith("["):
            return text
        listed = _LIST.fullmatch(text)
        if listed is None:
            raise self._bad(place, "image", "a list of other than one image; a question is asked about one")
        return listed["only"].strip()

    def _row(self, index: str) -> Row | None:
        """The first row of that index, wherever it is; None if there is none."""
        start = self._starts.get(index)
        if start is None and not self._all_known:
            self._read_ahead()
            start = self._starts.get(index)
        row = None if start is None else next(self._table.rows(int(start)))
        return row if isinstance(row, Row) else None

    def _read_ahead(self) -> None:
        """Learn where every row is, once in a pass, when one is wanted that has not been met."""
        for row in self._table.rows():
            if isinstance(row, Row):
                self._starts.put(row.cells["index"].strip(), str(row.start))
        self._all_known = True


def _letter(text: str, count: int) -> int:
    """Index of a letter among the first `count`; ValueError if it is none."""
    return list(ascii_uppercase[:count]).index(text.strip().upper())
