from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from sparring.samples.catalog import open_dataset
from sparring.samples.hrbench import HrBench
from sparring.samples.prompt import put, shuffled
from tests.samples.files import cell, png, write_table

OPTIONS = ["red", "blue", "green", "white"]


def rows(questions: int) -> list[dict[str, str]]:
    """Each question four times, its options moved on by one each time; the right one is always `red`."""
    return [
        {
            "index": str(4 * question + rotation),
            "question": f"What colour is cup {question}?",
            "answer": "ABCD"[rotation],
            "category": ["single", "cross"][question % 2],
            **{letter: OPTIONS[(place - rotation) % 4] for place, letter in enumerate("ABCD")},
            "cycle_category": str(rotation),
            "image": cell(question) if rotation == 0 else str(4 * question),
        }
        for question in range(questions)
        for rotation in range(4)
    ]


def test_rotations(tmp_path: Path) -> None:
    samples = list(HrBench(write_table(tmp_path / "hr.tsv", rows(3)), [tmp_path]))
    assert len({sample.digest for sample in samples}) == len(samples) == 12
    assert {sample.options[sample.answer] for sample in samples} == {"red"}
    assert [sample.image for sample in samples[4:8]] == [png(1)] * 4
    assert len({sample.image_digest for sample in samples}) == 3
    assert [sample.category for sample in samples[::4]] == ["single", "cross", "single"]
    cycles = defaultdict(list)
    for sample in samples:
        cycles[dict(sample.groups)["rotation"]].append(sample)
    assert {rotation: len(cycle) for rotation, cycle in cycles.items()} == {"0": 3, "1": 3, "2": 3, "3": 3}


def test_its_rotations_are_asked_as_they_stand(tmp_path: Path) -> None:
    write_table(tmp_path / "hr.tsv", rows(2))
    letters = [put(sample, shuffled(sample, 0)).letter for sample in open_dataset("hrbench:hr.tsv", [tmp_path])]
    assert letters == list("ABCDABCD")
    orders = {shuffled(sample, 0) for sample in open_dataset("hrbench:hr.tsv?protocol=shuffled", [tmp_path])}
    assert len(orders) > 2


def test_images_by_path(tmp_path: Path) -> None:
    (tmp_path / "0.jpg").write_bytes(png(0))
    local = [row | {"image_path": "0.jpg"} for row in rows(1)]
    for row in local:
        del row["image"]
    reader = HrBench(write_table(tmp_path / "hr_bench_4k_local.tsv", local), [tmp_path])
    assert [sample.image for sample in reader] == [png(0)] * 4
    assert reader.report.remarks == ["hr_bench_4k_local.tsv: 4 rows, 800 are published"]


def test_another_table_is_none(tmp_path: Path) -> None:
    other = [{key: value for key, value in row.items() if key != "cycle_category"} for row in rows(1)]
    reader = HrBench(write_table(tmp_path / "t.tsv", other), [tmp_path])
    assert list(reader) == []
    assert [bad.reason for bad in reader.report.skipped] == ["there is no column cycle_category"]
