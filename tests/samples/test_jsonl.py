from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sparring.samples.images import encode_png
from sparring.samples.jsonl import Jsonl, find_answer
from sparring.samples.reader import LIMITS, Limits
from sparring.samples.report import BadRow
from sparring.samples.sample import Box, Target

PNG = encode_png(np.zeros((10, 20, 3), dtype=np.uint8))
GOOD = {
    "image": "images/1.png",
    "question": "What colour?",
    "options": ["red", "blue"],
    "answer": "B",
    "targets": [{"name": "cup", "box": [1, 2, 30, 4]}],
    "category": "colour",
    "note": "passed over",
}
OTHER = GOOD | {"question": "What colour is it?"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "images" / "1.png").write_bytes(PNG)
    return tmp_path / "data"


def read(folder: Path, *lines: object, limits: Limits = LIMITS) -> Jsonl:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "q.jsonl").write_text(text, encoding="utf-8")
    return Jsonl(folder / "q.jsonl", [folder], limits)


def fault(folder: Path, line: object, limits: Limits = LIMITS) -> BadRow:
    """What is wrong with `line`, between two good ones."""
    reader = read(folder, GOOD, line, OTHER, limits=limits)
    assert len(list(reader)) == 2
    (bad,) = reader.report.skipped
    assert bad.place == "line 2"
    assert dict(reader.report.counts) == {bad.fault: 1}
    return bad


def test_a_good_line(folder: Path) -> None:
    reader = read(folder, GOOD)
    for _ in range(2):
        (sample,) = reader
        assert sample.image == PNG
        assert (sample.question, sample.options, sample.answer) == ("What colour?", ("red", "blue"), 1)
        assert sample.targets == (Target("cup", Box(1, 2, 19, 4)),)
        assert sample.category == "colour"
        assert sample.source.endswith("q.jsonl, line 1")
        assert (reader.report.samples, reader.report.clipped, reader.report.skipped) == (1, 1, [])


def test_boxes_and_category_may_be_left_out(folder: Path) -> None:
    (sample,) = read(
        folder, "\ufeff" + json.dumps({key: GOOD[key] for key in ("image", "question", "options", "answer")})
    )
    assert (sample.targets, sample.category) == ((), "")


def test_blank_lines_are_no_rows(folder: Path) -> None:
    reader = read(folder, "", GOOD, "   ", OTHER)
    assert [sample.source.rpartition(", ")[2] for sample in reader] == ["line 2", "line 4"]
    assert reader.report.skipped == []


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"question": None}, "fields", "question: Input should be a valid string"),
        ({"question": ""}, "fields", "question"),
        ({"options": "red"}, "fields", "options"),
        ({"options": ["red"], "answer": 0}, "options", "at least two"),
        ({"options": ["red", "red"], "answer": 0}, "options", "not distinct"),
        ({"options": [str(i) for i in range(27)], "answer": 0}, "options", "26 letters"),
        ({"answer": 2}, "answer", "stands for none"),
        ({"answer": True}, "fields", "answer"),
        ({"answer": "green"}, "answer", "stands for none"),
        ({"options": ["B", "A"]}, "answer", "stands for several"),
        ({"image": "images/2.png"}, "path", r"2\.png"),
        ({"image": "images"}, "path", "images"),
        ({"image": "../secret.png"}, "path", "outside"),
        ({"image": "/etc/passwd"}, "path", "outside"),
        ({"image": "images/link.png"}, "path", "outside"),
        ({"image": "q.jsonl"}, "image", "neither PNG"),
        ({"image": "images/half.png"}, "image", "truncated"),
        ({"targets": [{"name": "cup", "box": [50, 2, 3, 4]}]}, "box", "outside"),
        ({"targets": [{"name": "cup", "box": [0, 0, 0, 4]}]}, "box", "no area"),
        ({"targets": [{"name": "cup", "box": [0, 0, 4]}]}, "fields", r"targets\.0\.box"),
        ({"targets": [{"name": "cup", "box": [0, float("nan"), 3, 4]}]}, "box", "finite"),
        ({"note": "another"}, "repeat", "asks what line 1 asks"),
    ],
)
def test_a_bad_line_is_skipped_and_reported(folder: Path, change: dict[str, object], kind: str, message: str) -> None:
    (folder / "images" / "half.png").write_bytes(PNG[: len(PNG) // 2])
    (folder.parent / "secret.png").write_bytes(PNG)
    (folder / "images" / "link.png").symlink_to(folder.parent / "secret.png")
    bad = fault(folder, GOOD | change)
    assert bad.fault == kind
    with pytest.raises(BadRow, match=message):
        raise bad


def test_an_id_stands_for_one_line(folder: Path) -> None:
    lines = [OTHER | {"id": 7}, GOOD | {"id": "7"}, GOOD | {"id": 8}, GOOD | {"question": "Which?", "id": None}]
    reader = read(folder, *lines)
    assert [sample.source.rpartition(", ")[2] for sample in reader] == ["line 1", "line 3", "line 4"]
    assert [str(bad).partition(", ")[2] for bad in reader.report.skipped] == ["line 2: id: '7' is the id of line 1"]
    assert reader.report.rows == 4


def test_samples_without_boxes_are_counted(folder: Path) -> None:
    reader = read(folder, GOOD, OTHER | {"targets": []})
    assert len(list(reader)) == 2
    assert (reader.report.boxless, reader.report.complete) == (1, True)


@pytest.mark.parametrize("line", ["{", "nothing", '{"image": "images/1.png",}', "[" * 100_000])
def test_what_is_not_json(folder: Path, line: str) -> None:
    assert fault(folder, line).fault == "syntax"


def test_a_line_without_end_is_not_held(folder: Path) -> None:
    assert "longer than" in str(fault(folder, "x" * 3_000_000))


def test_limits(folder: Path) -> None:
    (folder / "images" / "2.png").write_bytes(encode_png(np.zeros((30, 30, 3), dtype=np.uint8)))
    bad = fault(folder, GOOD | {"image": "images/2.png"}, Limits(pixels=300))
    assert (bad.fault, "900" in bad.reason or "30 x 30" in bad.reason) == ("image", True)
    (folder / "images" / "2.png").write_bytes(bytes(5000))
    assert "at most 4000" in fault(folder, GOOD | {"image": "images/2.png"}, Limits(bytes=4000)).reason


def test_a_report_stays_small(folder: Path) -> None:
    reader = read(folder, *["{"] * 250)
    assert list(reader) == []
    assert reader.report.counts["syntax"] == 250
    assert len(reader.report.skipped) == 100


@pytest.mark.parametrize(
    ("answer", "options", "expected"),
    [(1, ["x", "y"], 1), ("a", ["x", "y"], 0), ("B", ["x", "y"], 1), ("y", ["x", "y"], 1), ("A", ["A", "B"], 0)],
)
def test_find_answer(answer: int | str, options: list[str], expected: int) -> None:
    assert find_answer(answer, options) == expected
