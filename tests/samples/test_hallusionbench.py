from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from sparring.samples.hallusionbench import HallusionBench, HallusionBenchTable
from sparring.samples.sample import Sample
from tests.samples.files import cell, png, write_table


def record(
    kind: str = "VD/ocr", set_id: int = 0, figure: int = 0, question: int = 0, **changes: object
) -> dict[str, object]:
    category, subcategory = kind.split("/")
    return {
        "category": category,
        "subcategory": subcategory,
        "visual_input": "2" if figure else "1",
        "set_id": str(set_id),
        "figure_id": str(figure),
        "question_id": str(question),
        "sample_note": "sign",
        "question": f"Does it say {question}?",
        "gt_answer": str((figure + question) % 2),
        "gt_answer_details": "",
        "filename": f"./hallusion_bench/{kind}/{set_id}_{figure}.png",
    } | changes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place, name in enumerate(f"{kind}/{figure}" for kind in ("VD/ocr", "VS/ocr") for figure in ("0_0", "0_1")):
        path = tmp_path / "hallusion_bench" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(place))
    return tmp_path


def write(folder: Path, *records: object) -> HallusionBench:
    (folder / "HallusionBench.json").write_text(json.dumps(records, indent=1))
    return HallusionBench(folder / "HallusionBench.json", [folder])


def grouped(samples: list[Sample], name: str) -> dict[str, int]:
    sizes: dict[str, int] = defaultdict(int)
    for sample in samples:
        sizes[dict(sample.groups)[name]] += 1
    return dict(sizes)


def test_figures_and_questions_keep_their_categories_apart(folder: Path) -> None:
    records = [
        record(kind, 0, figure, question) for kind in ("VD/ocr", "VS/ocr") for figure in (0, 1) for question in (0, 1)
    ]
    samples = list(write(folder, *records))
    assert grouped(samples, "figure") == dict.fromkeys(["VD/ocr/0/0", "VD/ocr/0/1", "VS/ocr/0/0", "VS/ocr/0/1"], 2)
    assert grouped(samples, "question") == dict.fromkeys(["VD/ocr/0/0", "VD/ocr/0/1", "VS/ocr/0/0", "VS/ocr/0/1"], 2)
    assert [sample.category for sample in samples[::4]] == ["VD/ocr", "VS/ocr"]
    assert [sample.options[sample.answer] for sample in samples[:4]] == ["No", "Yes", "Yes", "No"]
    assert samples[1].image == png(0)


def test_a_question_without_a_figure_is_no_sample(folder: Path) -> None:
    textual = [record("VS/ocr", question=n, visual_input="0", filename=name) for n, name in enumerate([None, ""])]
    reader = write(folder, record(), *textual, record(question=1))
    assert len(list(reader)) == 2
    assert reader.report.counts == {"imageless": 2}
    assert [bad.place for bad in reader.report.skipped] == ["record 1", "record 2"]
    assert reader.report.remarks == ["HallusionBench.json: 4 rows, 1129 are published"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"gt_answer": "2"}, "fields"),
        ({"gt_answer": 1}, "fields"),
        ({"question": ""}, "fields"),
        ({"filename": "../../x.png"}, "path"),
        ({"filename": "hallusion_bench/none.png"}, "path"),
        ({"question": "Another?"}, "id"),
    ],
)
def test_a_bad_record_is_skipped_and_reported(folder: Path, changes: dict[str, object], fault: str) -> None:
    bad = record(question=0 if fault == "id" else 5) | changes
    reader = write(folder, record(), bad, record(question=1))
    assert len(list(reader)) == 2
    assert [(bad.place, bad.fault) for bad in reader.report.skipped] == [("record 1", fault)]


def row(index: str, **changes: str) -> dict[str, str]:
    good = {"question": f"What of {index}?", "answer": "Yes", "category": "VD", "l2-category": "ocr", "image_path": ""}
    return {"index": index, **good, "image": cell(0)} | changes


def test_the_table(tmp_path: Path) -> None:
    rows = [
        row("VD_ocr_1_3_0_0"),
        row("VD_ocr_2_3_1_0", image="VD_ocr_1_3_0_0", answer="No"),
        row("VS_ocr_1_3_0_0", category="VS"),
        row("VS_ocr_0_3_0_1", category="VS", image=""),
        row("17"),
    ]
    reader = HallusionBenchTable(write_table(tmp_path / "HallusionBench.tsv", rows), [tmp_path])
    samples = list(reader)
    assert [sample.groups for sample in samples] == [
        (("figure", "VD/ocr/3/0"), ("question", "VD/ocr/3/0")),
        (("figure", "VD/ocr/3/1"), ("question", "VD/ocr/3/0")),
        (("figure", "VS/ocr/3/0"), ("question", "VS/ocr/3/0")),
    ]
    assert [sample.answer for sample in samples] == [0, 1, 0]
    assert [(bad.place, bad.fault) for bad in reader.report.skipped] == [("row 4", "imageless"), ("row 5", "fields")]
