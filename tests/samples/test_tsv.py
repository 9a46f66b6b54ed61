from __future__ import annotations

import base64
import csv
from pathlib import Path

import pytest

from sparring.samples.reader import LIMITS, Limits
from sparring.samples.tsv import Tsv, yes_no
from tests.samples.files import cell, png, write_table


def row(index: object = 0, **changes: str) -> dict[str, str]:
    """A good row, of which each index has another image."""
    good = {
        "index": str(index),
        "question": "What colour?",
        "A": "red",
        "B": "blue",
        "C": "green",
        "answer": "B",
        "category": "colour",
        "image": cell(int(str(index)) if str(index).isdecimal() else 0),
        "image_path": "",
    }
    return good | changes


def read(folder: Path, *rows: dict[str, str], limits: Limits = LIMITS, images: Path | None = None) -> Tsv:
    return Tsv(write_table(folder / "t.tsv", rows), [folder], limits, images=images)


def faults(reader: Tsv) -> list[tuple[str, str, str]]:
    return [(bad.place, bad.fault, bad.reason) for bad in reader.report.skipped]


def test_a_good_row(tmp_path: Path) -> None:
    reader = read(tmp_path, row(7))
    for _ in range(2):
        (sample,) = reader
        assert sample.image == png(7)
        assert (sample.question, sample.options, sample.answer) == ("What colour?", ("red", "blue", "green"), 1)
        assert (sample.category, sample.targets, sample.groups) == ("colour", (), ())
        assert sample.source.endswith("t.tsv, row 1")
        assert (reader.report.samples, reader.report.boxless, reader.report.rows) == (1, 1, 1)


def test_two_options_in_a_table_for_more(tmp_path: Path) -> None:
    (sample,) = read(tmp_path, row(C=""))
    assert sample.options == ("red", "blue")


@pytest.mark.parametrize("text", ["None", "NA", "null", "nan", "0"])
def test_an_option_that_looks_like_nothing(tmp_path: Path, text: str) -> None:
    (sample,) = read(tmp_path, row(B=text))
    assert sample.options[sample.answer] == text


def test_a_question_with_line_ends_and_tabs(tmp_path: Path) -> None:
    question = 'What does it say?\n\t"EXIT"\r\n\nNothing?'
    (sample,) = read(tmp_path, row(question=question))
    assert sample.question == question


def test_an_image_of_more_than_the_csv_modules_limit(tmp_path: Path) -> None:
    csv.field_size_limit(131_072)
    large = cell(0, 256)
    assert len(large) > 131_072
    (sample,) = read(tmp_path, row(image=large))
    assert sample.image == png(0, 256)


def test_images_by_reference_to_rows_before_and_after(tmp_path: Path) -> None:
    rows = [row("a", image="b"), row("b", image=cell(1)), row("c", image="b", question="?"), row("d", image="e")]
    reader = read(tmp_path, *rows, row("e", image=cell(2), question="Where?"), row("f", image=" b ", question="When?"))
    for _ in range(2):
        assert [sample.image for sample in reader] == [png(1), png(1), png(2), png(2), png(1)]
        assert faults(reader) == [("row 2", "repeat", "it asks what row 1 asks")]


def test_references_that_lead_nowhere(tmp_path: Path) -> None:
    rows = [row("a", image="x"), row("b", image="c"), row("c", image="a"), row("d", image="d"), row("e", image="")]
    reader = read(tmp_path, *rows, row(6))
    assert len(list(reader)) == 1
    assert faults(reader) == [
        ("row 1", "image", "no row has the index 'x', where its image should be"),
        ("row 2", "image", "the row of index 'c', where it should be, holds no image itself"),
        ("row 3", "image", "the row of index 'a', where it should be, holds no image itself"),
        ("row 4", "image", "the row of index 'd', where it should be, holds no image itself"),
        ("row 5", "imageless", "it has no image"),
    ]
    assert reader.report.rows == 6


def test_a_reference_may_lead_to_a_row_that_is_no_sample(tmp_path: Path) -> None:
    reader = read(tmp_path, row("a", answer="Z"), row("b", image="a"))
    assert [sample.image for sample in reader] == [png(0)]


def test_images_by_path(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(png(1))
    (tmp_path / "secret.png").write_bytes(png(2))
    rows = [
        row(0, image="", image_path="1.png"),
        row(1, image="", image_path="['1.png']", question="?"),
        row(2, image="", image_path="../secret.png"),
        row(3, image="", image_path="2.png"),
        row(4, image="0", question="Where?"),
    ]
    path = write_table(tmp_path / "t.tsv", rows)
    reader = Tsv(path, [tmp_path / "images", path], images=tmp_path / "images")
    assert [sample.image for sample in reader] == [png(1)] * 3
    assert [(place, fault) for place, fault, _ in faults(reader)] == [("row 3", "path"), ("row 4", "path")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[{0!r}]", ""),
        ('["{0}"]', ""),
        ("[ '{0}' ]", ""),
        ("['{0}', '{0}']", "a list of other than one image"),
        ("[]", "a list of other than one image"),
        ("[" * 200, "a list of other than one image"),
        ("{0}!", "no base64"),
        ("{0}AAA", "no base64"),
        ("AAAA" * 30, "neither PNG"),
    ],
)
def test_what_stands_in_an_image(tmp_path: Path, text: str, problem: str) -> None:
    reader = read(tmp_path, row(image=text.format(cell(5))), row(1))
    assert [sample.image for sample in reader] == ([png(1)] if problem else [png(5), png(1)])
    assert [(fault, problem in reason) for _, fault, reason in faults(reader)] == [("image", True)] * bool(problem)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"B": ""}, "options"),
        ({"A": "", "B": "", "C": ""}, "options"),
        ({"A": "red", "B": "", "C": "", "answer": "A"}, "options"),
        ({"B": "red"}, "options"),
        ({"answer": "D"}, "answer"),
        ({"answer": "blue"}, "answer"),
        ({"answer": ""}, "answer"),
        ({"question": " "}, "fields"),
        ({"index": "1"}, "id"),
    ],
)
def test_a_bad_row_is_skipped_and_reported(tmp_path: Path, changes: dict[str, str], fault: str) -> None:
    reader = read(tmp_path, row(1), row(2) | changes, row(3, answer="b"))
    assert len(list(reader)) == 2
    assert [(place, found) for place, found, _ in faults(reader)] == [("row 2", fault)]


def test_torn_rows_are_named(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.tsv", [row(1), row(2)])
    path.write_text(path.read_text() + '"3"\t"torn\n')
    reader = Tsv(path, [tmp_path])
    assert len(list(reader)) == 2
    assert faults(reader) == [("row 3", "syntax", "unexpected end of data")]


@pytest.mark.parametrize(
    ("text", "fault", "reason"),
    [
        ("", "syntax", "the file is empty"),
        ("index\tquestion\timage\n1\t?\tx\n", "fields", "there is no column answer"),
    ],
)
def test_a_file_of_another_form(tmp_path: Path, text: str, fault: str, reason: str) -> None:
    (tmp_path / "t.tsv").write_text(text)
    reader = Tsv(tmp_path / "t.tsv", [tmp_path])
    assert list(reader) == []
    assert faults(reader) == [("header", fault, reason)]


def test_limits_hold_for_images_in_cells(tmp_path: Path) -> None:
    reader = read(tmp_path, row(1, image=cell(1, 40)), row(2), limits=Limits(pixels=300))
    assert [sample.image for sample in reader] == [png(2)]
    assert "40 x 40" in faults(reader)[0][2]


def test_yes_or_no(tmp_path: Path) -> None:
    rows = [
        {"index": str(n), "question": "Is it?", "answer": text, "image": cell(n)}
        for n, text in enumerate(["Yes", "no ", "A", ""])
    ]
    reader = read(tmp_path, *rows)
    assert [(sample.options, sample.answer) for sample in reader] == [(("Yes", "No"), 0), (("Yes", "No"), 1)]
    assert [fault for _, fault, _ in faults(reader)] == ["answer", "answer"]
    assert [yes_no(text) for text in ("YES", "no", " No\n")] == [0, 1, 1]


def test_the_cell_is_base64_of_the_file() -> None:
    assert base64.b64decode(cell(3)) == png(3)
