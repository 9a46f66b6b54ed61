from __future__ import annotations

from pathlib import Path

import pytest

from sparring.samples.mmvp import Mmvp
from tests.samples.files import png, write_table


def row(index: int | str, answer: str = "(a)", **changes: str) -> dict[str, str]:
    return {
        "Index": str(index),
        "Question": "Are the wings open, or closed?",
        "Options": "(a) Open (b) Closed",
        "Correct Answer": answer,
    } | changes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "MMVP Images").mkdir()
    for number in range(1, 5):
        (tmp_path / "MMVP Images" / f"{number}.jpg").write_bytes(png(number))
    return tmp_path


def read(folder: Path, *rows: dict[str, str]) -> Mmvp:
    write_table(folder / "Questions.csv", rows, ",")
    return Mmvp(folder, [folder])


def test_pairs(folder: Path) -> None:
    reader = read(folder, row(1), row(2, "(b)"), row(3), row(4, "(B)"))
    for _ in range(2):
        samples = list(reader)
        assert [sample.groups for sample in samples] == [(("pair", pair),) for pair in "1122"]
        assert [sample.options[sample.answer] for sample in samples] == ["Open", "Closed"] * 2
        assert [sample.image for sample in samples] == [png(number) for number in range(1, 5)]
        assert samples[0].question == "Are the wings open, or closed?"
        assert reader.report.remarks == [
            "Questions.csv: 4 rows, 300 are published",
            "Questions.csv: some hold the labels of Index 99, 100, 279 and 280 to be wrong",
        ]


def test_the_header_with_an_l_and_the_file_by_name(folder: Path) -> None:
    rows = [{"lndex": "2"} | {key: value for key, value in row(2).items() if key != "Index"}]
    path = write_table(folder / "Questions.csv", rows, ",")
    (sample,) = Mmvp(path, [folder])
    assert (sample.image, sample.groups) == (png(2), (("pair", "1"),))


def test_images_beside_the_file_or_elsewhere(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "MMVP Images").rename(tmp_path / "pictures")
    read(folder, row(3))
    (sample,) = Mmvp(folder, [folder], images=tmp_path / "pictures")
    assert sample.image == png(3)
    assert list(Mmvp(folder, [folder])) == []
    (folder / "3.jpg").write_bytes(png(9))
    (sample,) = Mmvp(folder, [folder])
    assert sample.image == png(9)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("(a) Open (b) Closed", ("Open", "Closed")),
        ("(a)Yes(b)No", ("Yes", "No")),
        ("(a) 4 (four) (b) 5 (five)\n(c) None", ("4 (four)", "5 (five)", "None")),
    ],
)
def test_options(folder: Path, options: str, expected: tuple[str, ...]) -> None:
    (sample,) = read(folder, row(1, Options=options))
    assert sample.options == expected


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"Index": "0"}, "fields"),
        ({"Index": "x"}, "fields"),
        ({"Index": "9"}, "path"),
        ({"Index": "1"}, "id"),
        ({"Options": "Open or closed"}, "options"),
        ({"Options": "(a) Open (c) Closed"}, "options"),
        ({"Options": "(a) Open"}, "options"),
        ({"Correct Answer": "(c)"}, "answer"),
        ({"Correct Answer": ""}, "answer"),
        ({"Correct Answer": "(ab)"}, "answer"),
        ({"Question": ""}, "fields"),
    ],
)
def test_a_bad_row_is_skipped_and_reported(folder: Path, changes: dict[str, str], fault: str) -> None:
    reader = read(folder, row(1), row(2) | changes, row(3))
    assert len(list(reader)) == 2
    assert [(bad.place, bad.fault) for bad in reader.report.skipped] == [("row 2", fault)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "No such file"), ("", "the file is empty"), ("a,b\n", "expected the columns Index, Question, Options")],
)
def test_a_folder_of_another_form(folder: Path, text: str | None, reason: str) -> None:
    if text is not None:
        (folder / "Questions.csv").write_text(text)
    reader = Mmvp(folder, [folder])
    assert list(reader) == []
    assert reason in reader.report.skipped[0].reason


def test_a_link_out_of_the_roots_is_not_read(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    away = write_table(tmp_path_factory.mktemp("away") / "Questions.csv", [row(1)], ",")
    (folder / "Questions.csv").symlink_to(away)
    reader = Mmvp(folder, [folder])
    assert list(reader) == []
    assert [(bad.place, bad.fault) for bad in reader.report.skipped] == [("header", "path")]
