from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.samples.tables import CELL, BadTable, Row, Table, Torn


@pytest.fixture(autouse=True)
def _limit() -> None:
    csv.field_size_limit(CELL)


def table(folder: Path, text: str | bytes, longest: int = CELL) -> Table:
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "t.tsv").write_bytes(data)
    return Table(folder / "t.tsv", "\t", longest)


def cells(found: Row | Torn) -> list[str] | str:
    return list(found.cells.values()) if isinstance(found, Row) else found.reason


texts = st.text(st.characters(codec="utf-8"), max_size=8)


@given(
    rows=st.lists(st.tuples(texts, texts, texts), max_size=6),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_reads_what_the_csv_module_writes_from_any_row(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], quoting: int
) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter="\t", quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([("a", "b", "c"), *rows])
    read = table(tmp_path_factory.mktemp("t"), buffer.getvalue())
    found = [row for row in read.rows() if isinstance(row, Row)]
    assert [tuple(row.cells.values()) for row in found] == rows
    for row in found:
        assert next(read.rows(row.start)) == row


def test_questions_with_line_ends_and_tabs(tmp_path: Path) -> None:
    read = table(tmp_path, '\ufeffindex\tquestion\r\n"1"\t"one\nline\tand\r\n""another"""\r\n\r\n2\tNone\n3\t')
    assert read.columns == ("index", "question")
    assert [cells(row) for row in read.rows()] == [["1", 'one\nline\tand\r\n"another"'], ["2", "None"], ["3", ""]]


def test_cells_beyond_the_modules_limit(tmp_path: Path) -> None:
    csv.field_size_limit(131_072)
    read = table(tmp_path, "a\tb\n1\t" + "x" * 200_000)
    (row,) = read.rows()
    assert isinstance(row, Row)
    assert len(row.cells["b"]) == 200_000


def test_a_torn_row_does_not_hide_the_next(tmp_path: Path) -> None:
    read = table(tmp_path, b'a\tb\n1\n1\t2\t3\n"1"x\t2\n1\t\xff\n1\t2\n"1\t2\n')
    reasons = [cells(row) for row in read.rows()]
    assert reasons[:2] == ["1 cells under 2 columns", "3 cells under 2 columns"]
    assert "expected after" in reasons[2]
    assert "can't decode byte 0xff" in reasons[3]
    assert reasons[4] == ["1", "2"]
    assert "unexpected end of data" in reasons[5]
    assert len(reasons) == 6


def test_what_has_no_end_is_not_held(tmp_path: Path) -> None:
    read = table(tmp_path, '"a"\t"b"\n"1"\t"' + "x" * 100 + '"\n"1"\t"2"\n', longest=50)
    assert [cells(row) for row in read.rows()] == ["field larger than field limit (50)", ["1", "2"]]
    read = table(tmp_path, "a\tb\n1\t" + "x" * 3_000_000 + "\n1\t2\n", longest=50)
    assert [cells(row) for row in read.rows()] == ["a line is longer than 1048626 bytes", ["1", "2"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n", "empty"),
        ("a\tb\ta\n", "a column is there twice"),
        ('a\t"b', "unexpected end"),
        (b"\xff\t", "decode"),
    ],
)
def test_a_file_without_a_header(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(BadTable, match=message):
        table(tmp_path, text)
