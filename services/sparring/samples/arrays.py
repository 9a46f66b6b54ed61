"""JSON arrays of any length, one element at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from pydantic import JsonValue

_CHUNK = 1 << 20
_ELEMENT = 1 << 26
"""Characters of an element at most."""
_BLANKS = " \t\r\n"


def read_array(path: Path) -> Iterator[JsonValue]:
    """Elements of the array that a file of JSON in UTF-8 holds; what is no UTF-8 is replaced.

    Raises:
        ValueError: what comes next is no element, or longer than 64 Mi characters. Those before it have been given out.
        RecursionError: an element is nested too deeply.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        window = _Window(file)
        window.pass_over("[", "expected a JSON array")
        if window.sign() == "]":
            return
        while True:
            yield window.element()
            if window.sign() == "]":
                return
            window.pass_over(",", "expected ',' or ']' after an element")


def is_array(path: Path) -> bool:
    """Whether a file of JSON is one array, not a line for each value."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.read(64).lstrip(_BLANKS).startswith("[")


class _Window:
    """The part of a file that is being read."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._start = file, "", 0
        self._decoder = json.JSONDecoder()

    def sign(self) -> str:
        """The next character that is no blank; empty at the end of the file. Blanks before it are passed over."""
        while True:
            while self._start < len(self._text) and self._text[self._start] in _BLANKS:
                self._start += 1
            if self._start < len(self._text) or not self._read_on():
                return self._text[self._start : self._start + 1]

    def pass_over(self, sign: str, message: str) -> None:
        if self.sign() != sign:
            raise ValueError(f"{message}, found {self.sign() or 'the end of the file'!r}")
        self._start += 1

    def element(self) -> JsonValue:
        """The value that begins here. A number might go on behind the window, so something else must follow it."""
        self.sign()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._start)
            except json.JSONDecodeError as error:
                if not self._read_on():
                    raise ValueError(error.msg) from error
            else:
                if self._text[end : end + 1] in ("", ".", "e", "E") and self._read_on():
                    continue
                self._start = end
                return value

    def _read_on(self) -> bool:
        """Read more, twice as much if an element fills the window; False at the end of the file.

        Raises:
            ValueError: the element is too long.
        """
        held = len(self._text) - self._start
        if held > _ELEMENT:
            raise ValueError(f"an element is longer than {_ELEMENT} characters")
        more = self._file.read(max(_CHUNK, held))
        if more:
            self._text, self._start = self._text[self._start :] + more, 0
        return bool(more)
