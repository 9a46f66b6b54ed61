from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from sparring.samples.pope import Pope, PopeTable
from tests.samples.files import cell, png, write_table


def question(number: int, text: str = "Is there a cup in the image?", **changes: object) -> dict[str, object]:
    return {"question_id": number, "image": f"{number % 3}.png", "text": text, "label": "yes"} | changes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(3):
        (tmp_path / f"{seed}.png").write_bytes(png(seed))
    return tmp_path


def lines(folder: Path, variant: str, *rows: object) -> Path:
    path = folder / f"coco_pope_{variant}.json"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def variants(reader: Pope) -> list[list[str]]:
    return [[value for _, value in sample.groups] for sample in reader]


def test_one_variant(folder: Path) -> None:
    reader = Pope(lines(folder, "random", question(1), question(2, "Is there a dog?", label="no")), [folder])
    for _ in range(2):
        first, second = reader
        assert (first.question, first.options, first.answer) == ("Is there a cup in the image?", ("Yes", "No"), 0)
        assert (second.question, second.answer, second.image) == ("Is there a dog?", 1, png(2))
        assert (first.category, first.groups, first.targets) == ("existence", (("variant", "random"),), ())
        assert reader.report.remarks == ["coco_pope_random.json: 2 rows, 3000 are published"]


def test_an_array_in_place_of_lines(folder: Path) -> None:
    path = folder / "gqa_seem_pope_adversarial.json"
    path.write_text(json.dumps([question(1), question(2)], indent=4))
    assert variants(Pope(path, [folder])) == [["adversarial"], ["adversarial"]]


def test_a_question_of_several_variants_is_asked_once(folder: Path) -> None:
    lines(folder, "adversarial", question(1), question(2, "Is there a fork?", label="no"))
    lines(folder, "popular", question(1, "Is there a car?", image="1.png", label="no"), question(2, image="1.png"))
    lines(folder, "random", question(1, label="no"), question(7, image="1.png"))
    reader = Pope(folder, [folder])
    assert variants(reader) == [["adversarial", "popular", "random"], ["adversarial"], ["popular"], ["random"]]
    assert len({sample.digest for sample in reader}) == 4
    assert (reader.report.samples, reader.report.merged, reader.report.rows) == (4, 2, 6)
    assert Counter(message.partition(":")[0] for message in reader.report.remarks) == {
        f"coco_pope_{variant}.json": 1 for variant in ("adversarial", "popular", "random")
    }


def test_bad_rows_are_named(folder: Path) -> None:
    rows = [question(1), "{", question(1, "Is there a dog?"), question(4), question(5, label="maybe"), {"text": "?"}]
    lines(folder, "random", *rows, "x" * 3_000_000, question(9, image="9.png"), question(2))
    reader = Pope(folder, [folder])
    assert len(list(reader)) == 2
    assert sorted((bad.place.partition(", ")[2], bad.fault) for bad in reader.report.skipped) == [
        ("line 2", "syntax"),
        ("line 3", "id"),
        ("line 4", "repeat"),
        ("line 5", "answer"),
        ("line 6", "fields"),
        ("line 7", "syntax"),
        ("line 8", "path"),
    ]
    assert reader.report.rows == 9


def test_a_folder_without_questions(tmp_path: Path) -> None:
    reader = Pope(tmp_path, [tmp_path])
    assert list(reader) == []
    assert [bad.reason for bad in reader.report.skipped] == ["it holds no file of questions, *pope*.json"]


def test_a_link_out_of_the_roots_is_not_read(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (folder / "pope_a.json").symlink_to(lines(tmp_path_factory.mktemp("away"), "random", question(1)))
    lines(folder, "random", question(1))
    reader = Pope(folder, [folder])
    assert len(list(reader)) == 1
    assert [(bad.place, bad.fault) for bad in reader.report.skipped] == [("pope_a.json", "path")]


def test_one_question_under_two_variants_of_a_table(tmp_path: Path) -> None:
    rows = [
        {
            "index": "0",
            "question": "Is there a cup?",
            "answer": "Yes",
            "category": "adversarial,random",
            "image": cell(1),
        },
        {"index": "1", "question": "Is there a dog?", "answer": "No", "category": "popular", "image": "0"},
        {"index": "2", "question": "Is there a dog?", "answer": "No", "category": "random", "image": "0"},
        {"index": "3", "question": "Is there a dog?", "answer": "No", "category": "random", "image": "0"},
    ]
    reader = PopeTable(write_table(tmp_path / "POPE.tsv", rows), [tmp_path])
    samples = list(reader)
    assert [sample.groups for sample in samples] == [
        (("variant", "adversarial"), ("variant", "random")),
        (("variant", "popular"),),
        (("variant", "random"),),
    ]
    assert [sample.answer for sample in samples] == [0, 1, 1]
    assert {sample.category for sample in samples} == {"existence"}
    assert {sample.image_digest for sample in samples} == {samples[0].image_digest}
    assert [str(bad).partition(", ")[2] for bad in reader.report.skipped] == ["row 4: repeat: it asks what row 3 asks"]
    assert [message.partition(" ")[0] for message in reader.report.remarks] == ["POPE.tsv:", "POPE.tsv:"]
