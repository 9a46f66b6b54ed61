from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring.samples.sample import Box, Target
from sparring.samples.vstar import Vstar, VstarQuestions

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


def put(folder: Path, stem: str, suffix: str, annotation: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.full((30, 40, 3), len(stem), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{stem}{suffix}", {".png": "PNG", ".webp": "WEBP"}.get(suffix, "JPEG"))
    (folder / f"{stem}.json").write_text(json.dumps(annotation))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "v.bench"
    put(folder / "direct_attributes", "sa_2.x", ".jpg", GLOVE)
    put(folder / "direct_attributes", "sa_10", ".PNG".lower(), GLOVE)
    put(folder / "relative_position", "sa_1", ".webp", GLOVE | {"options": ["left", "right"]})
    put(folder, "upper", ".JPG", GLOVE)
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
    put(folder, "bad", ".jpg", GLOVE | change)
    reader = Vstar(folder, [folder])
    assert len(list(reader)) == 4
    assert [(bad.place, bad.fault) for bad in reader.report.skipped] == [("bad.json", fault)]


def test_a_file_without_image_or_sense(folder: Path, tmp_path: Path) -> None:
    (folder / "alone.json").write_text(json.dumps(GLOVE))
    put(folder, "torn", ".jpg", GLOVE)
    (folder / "torn.json").write_text('{"target_object": ["gl')
    (tmp_path / "away.json").write_text(json.dumps(GLOVE))
    put(folder, "link", ".jpg", GLOVE)
    (folder / "link.json").unlink()
    (folder / "link.json").symlink_to(tmp_path / "away.json")
    reader = Vstar(folder, [folder])
    assert len(list(reader)) == 4
    assert {bad.place: bad.fault for bad in reader.report.skipped} == {
        "alone.json": "path",
        "torn.json": "syntax",
        "link.json": "path",
    }


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
