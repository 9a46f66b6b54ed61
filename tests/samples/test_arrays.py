from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from sparring.samples import arrays
from sparring.samples.arrays import is_array, read_array


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows end within elements, numbers and blanks."""
    monkeypatch.setattr(arrays, "_CHUNK", 7)


def write(folder: Path, text: str) -> Path:
    (folder / "a.json").write_text(text, encoding="utf-8")
    return folder / "a.json"


@pytest.mark.parametrize("indent", [None, 0, 3])
@pytest.mark.parametrize("seed", range(5))
def test_as_the_json_module_reads_it(tmp_path: Path, indent: int | None, seed: int) -> None:
    rng = random.Random(seed)
    leaves = ["a [b], {c}", 'say "é"\\', 12345678901234567890, -1.5e300, True, None, [], {}]
    whole = [{"k": rng.choice(leaves), "list": rng.sample(leaves, 3)} for _ in range(30)] + leaves
    assert list(read_array(write(tmp_path, json.dumps(whole, indent=indent)))) == whole


def test_an_empty_array(tmp_path: Path) -> None:
    assert list(read_array(write(tmp_path, "\ufeff \n[ \t\n ]\n"))) == []


@pytest.mark.parametrize(
    ("text", "whole", "message"),
    [
        ("", [], "expected a JSON array, found 'the end of the file'"),
        ('{"a": 1}', [], "expected a JSON array, found '{'"),
        ("[1, 2", [1, 2], "expected ',' or ']'"),
        ("[1 2]", [1], "expected ',' or ']' after an element, found '2'"),
        ("[1, 2,", [1, 2], "Expecting value"),
        ('[1, {"a": "b', [1], "Unterminated string"),
        ("[1, ]", [1], "Expecting value"),
    ],
)
def test_what_is_whole_is_given_before_the_error(tmp_path: Path, text: str, whole: list[int], message: str) -> None:
    elements, found = read_array(write(tmp_path, text)), []
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        found.extend(elements)
    assert found == whole


def test_an_element_without_end_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "_ELEMENT", 100)
    path = write(tmp_path, '["' + "x" * 1000 + '"]')
    with pytest.raises(ValueError, match="longer than 100 characters"):
        list(read_array(path))


def test_arrays_are_told_from_lines(tmp_path: Path) -> None:
    assert is_array(write(tmp_path, "\ufeff\n [1]"))
    assert not is_array(write(tmp_path, '{"a": [1]}\n'))
    assert not is_array(write(tmp_path, ""))
