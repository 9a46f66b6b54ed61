"""Tables of comma- or tab-separated cells, a row at a time, from the top or from where a row begins.

Cells hold whole images in base64, and questions hold line ends and tabs, so this is the work of the `csv` module; what
is added here is the place of every row in bytes, a bound on what is held, and going on after a row that is torn.
"""

from __future__ import annotations

import csv
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CELL = 1 << 26
"""Characters of a cell at most: 48 MiB of image. The `csv` module holds four bytes of each while it reads one."""


@dataclass(frozen=True)
class Row:
    """A row: where it begins in the file, bytes, and its cells by column."""

    start: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Torn:
    """A row that can't be read, and why."""

    reason: str


class BadTable(ValueError):
    """A file without a header."""


class Table:
    """The rows under the header of a file in UTF-8.

    Args:
        path: the file.
        delimiter: what stands between cells.
        longest: characters of a cell at most.

    Attributes:
        columns: names in the header.

    Raises:
        BadTable: there is no header, or a name stands in it twice.
    """

    def __init__(self, path: Path, delimiter: str, longest: int = CELL) -> None:
        self._path, self._delimiter, self._longest = path, delimiter, longest
        with path.open("rb") as file:
            lines = Lines(file, longest)
            try:
                self.columns = tuple(next(self._parser(lines), []))
            except (csv.Error, ValueError) as error:
                raise BadTable(f"the header can't be read: {error}") from error
            self._body = lines.position
        if not self.columns:
            raise BadTable("the file is empty")
        if len(set(self.columns)) != len(self.columns):
            raise BadTable(f"a column is there twice: {', '.join(self.columns)}")

    def rows(self, start: int | None = None) -> Iterator[Row | Torn]:
        """Rows from the first, or from the one that begins at `start`. Blank lines are passed over."""
        with self._path.open("rb") as file:
            file.seek(self._body if start is None else start)
            lines = Lines(file, self._longest)
            while True:
                begin = lines.position
                try:
                    # A parser holds its largest cell for good, so each row has its own.
                    cells = next(self._parser(lines))
                except StopIteration:
                    return
                except (csv.Error, ValueError) as error:
                    yield Torn(str(error))
                    continue
                if cells:
                    yield self._row(begin, cells)

    def _row(self, start: int, cells: list[str]) -> Row | Torn:
        if len(cells) != len(self.columns):
            return Torn(f"{len(cells)} cells under {len(self.columns)} columns")
        return Row(start, dict(zip(self.columns, cells, strict=True)))

    def _parser(self, lines: Lines) -> Iterator[list[str]]:
        # The limit is one for the process, and 131,072 by default.
        csv.field_size_limit(self._longest)
        return csv.reader(lines, delimiter=self._delimiter, strict=True)


class Lines:
    """Lines of a file for the `csv` module, which asks for a further one only while a row goes on.

    Attributes:
        position: where the next line begins, bytes.
    """

    def __init__(self, file: BinaryIO, longest: int) -> None:
        self._file, self._longest = file, longest + (1 << 20)
        self.position = file.tell()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Raises: ValueError if the line is too long or no UTF-8; the next call gives the one after it."""
        start, line = self.position, self._file.readline(self._longest)
        whole = len(line) < self._longest or line.endswith(b"\n")
        if not line:
            raise StopIteration
        while len(line) == self._longest and not line.endswith(b"\n"):
            line = self._file.readline(self._longest)
        self.position = self._file.tell()
        if not whole:
            raise ValueError(f"a line is longer than {self._longest} bytes")
        return (line if start else line.removeprefix(BOM_UTF8)).decode()
