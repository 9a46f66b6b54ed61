from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sparring.samples.images import encode_png
from sparring.samples.sample import Box
from sparring.samples.seal import Seal, make_options


def record(**changes: object) -> dict[str, object]:
    return {
        "id": "1",
        "image": "coco2017/train2017/1.jpg",
        "search": True,
        "target_instances": [
            {"name": "dog", "bbox": [10.5, 20.0, 9.0, 8.0], "instance_id": 4},
            {"name": "bench", "bbox": [30.0, 18.0, 60.0, 4.0]},
        ],
        "conversations": [
            {
                "from": "human",
                "value": "<image>\nAdditional visual information to focus on: <object>; <object>.\n"
                "Is the dog on the left or right side of the bench?",
            },
            {"from": "gpt", "value": "The dog is on the left side of the bench."},
        ],
    } | changes


def asking(question: str) -> dict[str, object]:
    """The same record with another question."""
    told = {"from": "gpt", "value": "The dog is on the left side of the bench."}
    return record(conversations=[{"from": "human", "value": f"<image>\n<object>.\n{question}"}, told])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "coco2017" / "train2017").mkdir(parents=True)
    pixels = np.zeros((40, 50, 3), dtype=np.uint8)
    (tmp_path / "coco2017" / "train2017" / "1.jpg").write_bytes(encode_png(pixels))
    return tmp_path


def write(folder: Path, text: str) -> Path:
    (folder / "spatial.json").write_text(text, encoding="utf-8")
    return folder / "spatial.json"


def test_a_record(folder: Path) -> None:
    reader = Seal(write(folder, json.dumps([record()])), [folder])
    for _ in range(2):
        (sample,) = reader
        assert sample.question == "Is the dog on the left or right side of the bench?"
        assert set(sample.options) == {
            "The dog is on the left side of the bench.",
            "The dog is on the right side of the bench.",
        }
        assert sample.options[sample.answer] == "The dog is on the left side of the bench."
        assert [target.box for target in sample.targets] == [Box(10, 20, 10, 8), Box(30, 18, 20, 4)]
        assert [target.name for target in sample.targets] == ["dog", "bench"]
        assert reader.report.clipped == 1


def test_the_order_of_options_follows_the_seed(folder: Path) -> None:
    path = write(folder, json.dumps([asking(f"Where is dog {index}?") for index in range(40)], indent=1))
    answers = {seed: [sample.answer for sample in Seal(path, [folder], seed=seed)] for seed in (0, 1)}
    assert answers[0] == [sample.answer for sample in Seal(path, [folder], seed=0)]
    assert answers[0] != answers[1]
    assert 8 < sum(answers[0]) < 32


def test_images_may_be_elsewhere(folder: Path) -> None:
    (folder / "lists").mkdir()
    path = write(folder / "lists", json.dumps([record()]))
    assert len(list(Seal(path, [folder], images=folder))) == 1
    assert list(Seal(path, [folder])) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"target_instances": []}, "fields"),
        ({"conversations": []}, "fields"),
        ({"conversations": [{"value": "<image>\n"}, {"value": "It is left."}]}, "fields"),
        ({"conversations": [{"value": "Where?"}, {"value": "The dog is red."}]}, "options"),
        ({"conversations": [{"value": "Where?"}, {"value": "Left, not right."}]}, "options"),
        ({"image": "coco2017/2.jpg"}, "path"),
        ({"image": "../../x.jpg"}, "path"),
        ({"target_instances": [{"name": "dog", "bbox": [1, 2, float("inf"), 3]}]}, "box"),
        ({"target_instances": [{"name": "dog", "bbox": [1, 2, 3]}]}, "fields"),
    ],
)
def test_a_bad_record_is_skipped_and_reported(folder: Path, changes: dict[str, object], fault: str) -> None:
    reader = Seal(write(folder, json.dumps([record(), record(**changes), asking("Where?")])), [folder])
    assert len(list(reader)) == 2
    assert [(bad.place, bad.fault) for bad in reader.report.skipped] == [("record 1", fault)]


def test_a_record_without_boxes_is_another_kind(folder: Path) -> None:
    plain = {key: value for key, value in record().items() if key != "search"}
    reader = Seal(write(folder, json.dumps([plain, record(search=None)])), [folder])
    assert len(list(reader)) == 1
    assert "search: Field required" in str(reader.report.skipped[0])


@pytest.mark.parametrize(
    "rest", [", {", "", ", " + "[" * 100_000, ", \udcff".encode("utf-8", "surrogateescape").decode("latin1")]
)
def test_a_torn_file_gives_what_is_whole(folder: Path, rest: str) -> None:
    reader = Seal(write(folder, "[" + json.dumps(record()) + rest), [folder])
    assert len(list(reader)) == 1
    assert [(bad.place, bad.fault) for bad in reader.report.skipped] == [("record 1 and after", "syntax")]


def test_an_empty_array(folder: Path) -> None:
    reader = Seal(write(folder, "\ufeff [ ]\n"), [folder])
    assert list(reader) == []
    assert reader.report.skipped == []


@pytest.mark.parametrize(
    ("sentence", "opposite"),
    [
        ("Left of it.", "Right of it."),
        ("the RIGHT one", "the left one"),
        ("The leftover is right.", "The leftover is left."),
    ],
)
def test_opposites(sentence: str, opposite: str) -> None:
    assert make_options(sentence) == (sentence, opposite)
