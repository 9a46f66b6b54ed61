from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sparring.samples import published
from sparring.samples.jsonl import Jsonl
from sparring.samples.published import PUBLISHED, Finding, Published, compare

DATA = b"some\nrows\n"
MD5, SHA = hashlib.md5(DATA).hexdigest(), hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "HR-Bench_9K.tsv").write_bytes(DATA)
    return tmp_path / "HR-Bench_9K.tsv"


def know(monkeypatch: pytest.MonkeyPatch, known: Published) -> None:
    monkeypatch.setattr(published, "PUBLISHED", {"hrbench9k.tsv": known})


def test_another_file_is_not_compared(file: Path) -> None:
    assert list(compare(file, 2)) == []


@pytest.mark.parametrize("checksum", [f"md5:{MD5}", f"sha256:{SHA}"])
def test_the_published_file(file: Path, monkeypatch: pytest.MonkeyPatch, checksum: str) -> None:
    know(monkeypatch, Published(2, checksum))
    told = checksum.replace(":", " ")
    assert list(compare(file, 2)) == [
        Finding(True, "HR-Bench_9K.tsv: 2 rows"),
        Finding(True, f"HR-Bench_9K.tsv: {told}"),
    ]


def test_which_check_failed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, Published(800, "md5:00", "labels are disputed"))
    assert list(compare(file, 2)) == [
        Finding(False, "HR-Bench_9K.tsv: 2 rows, 800 are published"),
        Finding(False, f"HR-Bench_9K.tsv: md5 {MD5}, 00 is published"),
        Finding(False, "HR-Bench_9K.tsv: labels are disputed"),
    ]


def test_names_are_written_as_they_are_looked_up() -> None:
    assert all(name == name.lower().replace("_", "").replace("-", "") for name in PUBLISHED)


def test_a_reader_compares_what_it_has_read_to_the_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    know(monkeypatch, Published(2, f"md5:{MD5}"))
    reader = Jsonl(file, [file.parent])
    assert list(reader) == []
    assert reader.report.complete
    assert [text.partition(": ")[2] for text in reader.report.verified] == ["2 rows", f"md5 {MD5}"]
    assert reader.report.remarks == []
