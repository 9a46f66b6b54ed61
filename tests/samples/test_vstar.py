from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring.samples.catalog import open_dataset
from sparring.samples.prompt import put, shuffled
from sparring.samples.sample import Box, Target
from sparring.samples.vstar import Vstar, VstarQuestions
from tests.samples.files import cell, png, write_table

GLOVE = {
    "target_object": ["glove", "left shoe"],
    "bbox": [[1, 2, 3, 4], [5, 6, 7, 8]],
    "question": "What is the material of the glove?",
    "options": ["rubber", "cotton", "kevlar", "leather"],
}
TEXT = (
    "What is the material of the glove?\n(A) cotton\n(B) rubber\n(C) leather\n(D) kevlar\n"
    "Answer with the option's letter from the given choices directly."
)


def annotate(folder: Path, stem: str, suffix: str, annotation: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.full((30, 40, 3), len(stem), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{stem}{suffix}", {".png": "PNG", ".webp": "WEBP"}.get(suffix, "JPEG"))
    (folder / f"{stem}.json").write_text(json.dumps(annotation))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "v.bench"
    annotate(folder / "direct_attributes", "sa_2.x", ".jpg", GLOVE)
    annotate(folder / "direct_attributes", "sa_10", ".PNG".lower(), GLOVE)
    annotate(folder / "relative_position", "sa_1", ".webp", GLOVE | {"options": ["left", "right"]})
    annotate(folder, "upper", ".JPG", GLOVE)
    return folder


def test_the_tree(folder: Path) -> None:
    reader = Vstar(folder, [folder])
    samples = list(reader)
    places = [sample.source.rpartition(", ")[2] for sample in samples]
    assert places == [
        "direct_attributes/sa_10.json",
        "direct_attributes/sa_2.x.json",
        "relative_position/sa_1.json",
        "upper.json",
    ]
    assert [sample.category for sample in samples] == ["direct_attributes"] * 2 + ["relative_position", ""]
    assert {sample.answer for sample in samples} == {0}
    assert samples[1].options[0] == "rubber"
    assert samples[1].image == (folder / "direct_attributes" / "sa_2.x.jpg").read_bytes()
    assert samples[0].targets == (Target("glove", Box(1, 2, 3, 4)), Target("left shoe", Box(5, 6, 7, 8)))
    assert reader.report.samples == 4


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"bbox": [[1, 2, 3, 4]]}, "fields"),
        ({"bbox": [[1, 2, 3, 4], [100, 0, 3, 4]]}, "box"),
        ({"options": []}, "options"),
        ({"options": ["a", "a"]}, "options"),
        ({"question": 3}, "fields"),
    ],
)
def test_a_bad_file_is_skipped_and_reported(folder: Path, change: dict[str, object], fault: str) -> None:
    annotate(folder, "bad", ".jpg", GLOVE | change)
    reader = Vstar(folder, [folder])
    assert len(list(reader)) == 4
    assert [(bad.place, bad.fault) for bad in reader.report.skipped] == [("bad.json", fault)]


def test_boxes_at_the_border(folder: Path) -> None:
    boxes = {"kept": [[0, 0, 40, 30], [30, 20, 10, 10]], "cut": [[38, 5, 9, 9], [-3, 0, 4, 9]], "out": [[40, 0, 5, 5]]}
    for stem, bbox in boxes.items():
        objects = ["glove", "left shoe"][: len(bbox)]
        annotate(folder / "border", stem, ".png", GLOVE | {"bbox": bbox, "target_object": objects})
    reader = Vstar(folder / "border", [folder])
    cut, kept = ([target.box for target in sample.targets] for sample in reader)
    assert kept == [Box(0, 0, 40, 30), Box(30, 20, 10, 10)]
    assert cut == [Box(38, 5, 2, 9), Box(0, 0, 1, 9)]
    assert reader.report.clipped == 2
    assert [(bad.place, bad.fault) for bad in reader.report.skipped] == [("out.json", "box")]


def test_a_file_without_image_or_sense(folder: Path, tmp_path: Path) -> None:
    (folder / "alone.json").write_text(json.dumps(GLOVE))
    annotate(folder, "torn", ".jpg", GLOVE)
    (folder / "torn.json").write_text('{"target_object": ["gl')
    (tmp_path / "away.json").write_text(json.dumps(GLOVE))
    annotate(folder, "link", ".jpg", GLOVE)
    (folder / "link.json").unlink()
    (folder / "link.json").symlink_to(tmp_path / "away.json")
    reader = Vstar(folder, [folder])
    assert len(list(reader)) == 4
    assert {bad.place: bad.fault for bad in reader.report.skipped} == {
        "alone.json": "path",
        "torn.json": "syntax",
        "link.json": "path",
    }


def test_a_part_of_the_benchmark_is_told(folder: Path) -> None:
    reader = Vstar(folder, [folder])
    assert len(list(reader)) == 4
    assert reader.report.remarks == [
        "direct_attributes: 2 rows, 115 are published",
        "relative_position: 1 rows, 76 are published",
    ]


def test_by_the_unshuffled_protocol_the_right_option_comes_first(folder: Path) -> None:
    prompts = [
        [put(sample, shuffled(sample, seed)) for sample in open_dataset(f"vstar:.{protocol}", [folder])]
        for seed in range(5)
        for protocol in ("?protocol=unshuffled", "?protocol=shuffled", "")
    ]
    assert {prompt.letter for asked in prompts[::3] for prompt in asked} == {"A"}
    assert len({prompt.letter for asked in prompts[1::3] for prompt in asked}) > 1
    assert prompts[1::3] == prompts[2::3]


def test_the_table(tmp_path: Path) -> None:
    rows = [
        {"index": "0", "question": "What?", "A": "red", "B": "blue", "C": "", "D": "", "answer": "B", "image": cell(0)},
        {"index": "1", "question": "Why?", "A": "1", "B": "2", "C": "3", "D": "4", "answer": "D", "image": cell(1)},
    ]
    rows = [row | {"category": "relative_position"} for row in rows]
    write_table(tmp_path / "VStarBench.tsv", rows)
    first, second = open_dataset("vstar:VStarBench.tsv", [tmp_path])
    assert (first.options, first.answer, first.category) == (("red", "blue"), 1, "relative_position")
    assert (second.options[second.answer], second.targets, second.image) == ("4", (), png(1))


def questions(folder: Path, *rows: object) -> VstarQuestions:
    (folder / "test_questions.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return VstarQuestions(folder / "test_questions.jsonl", [folder])


def row(**changes: object) -> dict[str, object]:
    image = "direct_attributes/sa_2.x.jpg"
    return {"image": image, "text": TEXT, "category": "c", "question_id": 7, "label": "B"} | changes


def test_the_questions_get_their_boxes(folder: Path) -> None:
    (sample,) = questions(folder, row())
    (same,) = (s for s in Vstar(folder, [folder]) if "sa_2" in s.source)
    assert sample.question == "What is the material of the glove?"
    assert sample.options == ("cotton", "rubber", "leather", "kevlar")
    assert sample.options[sample.answer] == same.options[same.answer]
    assert sample.targets == same.targets
    assert sample.image == same.image


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"label": "E"}, "answer"),
        ({"label": "rubber"}, "answer"),
        ({"text": "Is it?"}, "options"),
        ({"text": "Is it?\n(A) yes\n(C) no"}, "options"),
        ({"text": "(A) yes\n(B) no"}, "fields"),
        ({"image": "direct_attributes/sa_3.jpg"}, "path"),
        ({"image": "../x.jpg"}, "path"),
        ({"label": None}, "fields"),
    ],
)
def test_a_bad_question_is_skipped_and_reported(folder: Path, changes: dict[str, object], fault: str) -> None:
    reader = questions(folder, row(**changes), row())
    assert len(list(reader)) == 1
    assert [(bad.place, bad.fault) for bad in reader.report.skipped] == [("line 1", fault)]
