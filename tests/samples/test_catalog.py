from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from sparring.samples import catalog
from sparring.samples.catalog import BadDataset, Location, open_dataset, sniff
from sparring.samples.hallusionbench import HallusionBench, HallusionBenchTable
from sparring.samples.hrbench import HrBench
from sparring.samples.images import encode_png
from sparring.samples.jsonl import Jsonl
from sparring.samples.mmvp import Mmvp
from sparring.samples.pope import Pope, PopeTable
from sparring.samples.roots import OutsideRoots
from sparring.samples.sample import SampleSource
from sparring.samples.seal import Seal
from sparring.samples.shapes import Shapes, World
from sparring.samples.tsv import Tsv
from sparring.samples.vstar import Vstar, VstarQuestions
from tests.samples.files import cell, write_table

PNG = encode_png(np.zeros((10, 20, 3), dtype=np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my data? 100%"
    (folder / "v" / "attributes").mkdir(parents=True)
    (folder / "v" / "attributes" / "1.png").write_bytes(PNG)
    note = {"target_object": ["a"], "bbox": [[1, 1, 2, 2]], "question": "?", "options": ["x", "y"]}
    (folder / "v" / "attributes" / "1.json").write_text(json.dumps(note))
    (folder / "v" / "test_questions.jsonl").write_text("")
    (folder / "lines").mkdir()
    line = {"image": "../v/attributes/1.png", "question": "?", "options": ["x", "y"], "answer": 1}
    (folder / "lines" / "q.jsonl").write_text(json.dumps(line))
    (folder / "seal").mkdir()
    (folder / "seal" / "spatial.json").write_text("[]")
    (folder / "tables").mkdir()
    row = {"index": "1", "question": "?", "answer": "Yes", "category": "a", "image": cell()}
    choice = row | {"A": "x", "B": "y", "answer": "A"}
    for name, columns in (
        ("HR.tsv", choice | {"cycle_category": "0"}),
        ("other.tsv", choice),
        ("MMBench.tsv", choice | {"l2-category": "b"}),
        ("VStarBench.tsv", choice),
        ("POPE.tsv", row),
        ("Hallusion.tsv", row | {"l2-category": "b", "index": "VD_b_1_0_0_0"}),
    ):
        write_table(folder / "tables" / name, [columns])
    (folder / "pope").mkdir()
    asked = {"question_id": 1, "image": "../v/attributes/1.png", "text": "?", "label": "yes"}
    (folder / "pope" / "coco_pope_random.json").write_text(json.dumps(asked))
    (folder / "hallusion").mkdir()
    figure = {"question": "?", "gt_answer": "1", "filename": "../v/attributes/1.png"}
    ids = ("category", "subcategory", "visual_input", "set_id", "figure_id", "question_id")
    (folder / "hallusion" / "data.json").write_text(json.dumps([figure | dict.fromkeys(ids, "1")], indent=2))
    (folder / "mmvp").mkdir()
    (folder / "mmvp" / "1.jpg").write_bytes(PNG)
    pair = {"Index": "1", "Question": "?", "Options": "(a) x (b) y", "Correct Answer": "(a)"}
    write_table(folder / "mmvp" / "Questions.csv", [pair], ",")
    return folder


def test_shapes() -> None:
    source = open_dataset("shapes:held-out?seed=7&bystanders=1-3&grounds=plain,striped&alike=0.25&size=96", [])
    assert source == Shapes(World(bystanders=(1, 3), grounds=("plain", "striped"), alike=0.25, size=96), 7, "held-out")
    assert open_dataset("shapes:train", []) == Shapes(World(), 0, "train")
    assert len({sample.digest for sample in islice(source, 5)}) == 5


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("shapes:train?seed=-1", "seed must be a whole number"),
        ("shapes:train?seed=x", "seed must be a whole number"),
        ("shapes:train?colour=red", "colour"),
        ("shapes:train?size=2", "size"),
        ("shapes:train?bystanders=3", "bystanders"),
        ("shapes:train?bystanders=3-1", "bystanders"),
        ("shapes:train?smallest=40&largest=20", "does not hold"),
        ("shapes:train?grounds=", "grounds"),
        ("coco:train", "unknown kind of dataset; known are: hallusionbench, hrbench, jsonl, mmvp"),
        ("", "unknown kind"),
        ("jsonl:nowhere.jsonl", "there is no nowhere.jsonl"),
        ("jsonl:lines/q.jsonl?seed=3", "unknown option seed; known are: images, protocol"),
        ("jsonl:lines", "is a folder; name the file"),
        ("hrbench:tables?images=v", "is a folder; name the file"),
        ("hrbench:tables/HR.tsv?images=nowhere", "there is no nowhere"),
        ("vstar:v?protocol=fair", "unknown protocol 'fair'; known are: shuffled, unshuffled"),
        ("seal:seal/spatial.json?speed=3", "unknown option speed; known are: images, protocol, seed"),
    ],
)
def test_a_bad_name_is_refused(folder: Path, uri: str, message: str) -> None:
    with pytest.raises(BadDataset, match=message):
        open_dataset(uri, [folder])


@pytest.mark.parametrize(
    ("uri", "kind", "count"),
    [
        ("vstar:v", Vstar, 1),
        ("vstar:v/test_questions.jsonl", VstarQuestions, 0),
        ("jsonl:lines/q.jsonl", Jsonl, 1),
        ("seal:seal/spatial.json?seed=4&images=v", Seal, 0),
        ("hrbench:tables/HR.tsv", HrBench, 1),
        ("vstar:tables/VStarBench.tsv", Tsv, 1),
        ("tsv:tables/other.tsv", Tsv, 1),
        ("pope:tables/POPE.tsv", PopeTable, 1),
        ("pope:pope", Pope, 1),
        ("pope:pope/coco_pope_random.json?images=pope", Pope, 1),
        ("hallusionbench:tables/Hallusion.tsv", HallusionBenchTable, 1),
        ("hallusionbench:hallusion/data.json", HallusionBench, 1),
        ("mmvp:mmvp", Mmvp, 1),
        ("mmvp:mmvp/Questions.csv", Mmvp, 1),
    ],
)
def test_files_under_a_root(folder: Path, uri: str, kind: type[object], count: int) -> None:
    source = open_dataset(uri, [folder.parent, folder])
    assert isinstance(source, kind)
    assert len(list(source)) == count


@pytest.mark.parametrize("uri", ["vstar:{0}", "jsonl:{0}/lines/q.jsonl", "jsonl:../lines/q.jsonl", "vstar:link"])
def test_nothing_outside_the_roots_is_opened(folder: Path, uri: str) -> None:
    (folder / "v" / "link").symlink_to(folder / "lines")
    with pytest.raises((OutsideRoots, BadDataset)):
        open_dataset(uri.format(folder), [folder / "v"])


def test_images_outside_the_roots_are_not_read(folder: Path) -> None:
    source = open_dataset("jsonl:q.jsonl", [folder / "lines"])
    assert isinstance(source, Jsonl)
    assert list(source) == []
    assert source.report.counts == {"path": 1}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("v", Vstar),
        ("v/test_questions.jsonl", VstarQuestions),
        ("lines", Jsonl),
        ("lines/q.jsonl", Jsonl),
        ("seal", Seal),
        ("seal/spatial.json", Seal),
        ("tables/HR.tsv", HrBench),
        ("tables/VStarBench.tsv", Tsv),
        ("tables/MMBench.tsv", Tsv),
        ("tables/other.tsv", Tsv),
        ("tables/POPE.tsv", PopeTable),
        ("tables/Hallusion.tsv", HallusionBenchTable),
        ("pope", Pope),
        ("pope/coco_pope_random.json", Pope),
        ("hallusion", HallusionBench),
        ("mmvp", Mmvp),
        ("mmvp/Questions.csv", Mmvp),
    ],
)
def test_naming_a_folder_is_enough(folder: Path, path: str, kind: type[object]) -> None:
    source = open_dataset(sniff(folder / path), [folder])
    assert type(source) is kind


def test_what_cannot_be_told_is_said(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "lines" / "r.jsonl").write_text("")
    for path, message in (
        ("empty", "holds no dataset"),
        ("lines", r"q\.jsonl, r\.jsonl: name the one"),
        ("missing", "no such file"),
        ("tables", r"MMBench\.tsv, .*: name the one"),
        ("v/attributes/1.png", r"expected a folder, or a \.jsonl"),
    ):
        with pytest.raises(BadDataset, match=message):
            sniff(folder / path)


def fives(location: Location) -> SampleSource:
    location.only("size")
    return Shapes(World(size=int(location.options["size"])), 5, location.rest)


def test_a_plugin_is_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point(EntryPoint):
        def load(self) -> Callable[[Location], SampleSource]:
            return fives

    points = EntryPoints([Point("fives", "anywhere:fives", catalog.PLUGINS)])
    monkeypatch.setattr(catalog, "entry_points", lambda group: points.select(group=group))
    assert open_dataset("fives:a%20b?size=64", []) == Shapes(World(size=64), 5, "a b")
    with pytest.raises(BadDataset, match="unknown option"):
        open_dataset("fives:a?speed=1", [])
