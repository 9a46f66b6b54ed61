"""Which benchmark a file is, by its suffix, its columns and its first record."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import JsonValue

from sparring.samples.arrays import is_array, read_array
from sparring.samples.jsonl import read_lines
from sparring.samples.tables import BadTable, Table

V_STAR_QUESTIONS = "test_questions.jsonl"


def kind_of(file: Path) -> str | None:
    """The kind of dataset, as `open_dataset` calls it; None if it is none that is known."""
    match file.suffix.lower():
        case ".tsv":
            return _table_kind(file)
        case ".csv":
            return "mmvp" if {"Options", "Correct Answer"} <= _columns(file, ",") else None
        case ".jsonl":
            return "vstar" if file.name == V_STAR_QUESTIONS else _record_kind(file, "jsonl")
        case ".json":
            return _record_kind(file, "seal")
        case _:
            return None


def _table_kind(file: Path) -> str:
    columns, name = _columns(file, "\t"), file.name.lower()
    if "cycle_category" in columns:
        return "hrbench"
    if "l2-category" in columns and "A" not in columns:
        return "hallusionbench"
    return next((kind for kind in ("pope", "vstar") if kind in name), "tsv")


def _record_kind(file: Path, default: str) -> str:
    record = _first(file)
    if not isinstance(record, dict):
        return default
    if "gt_answer" in record:
        return "hallusionbench"
    return "pope" if {"question_id", "image", "text", "label"} <= record.keys() else default


def _columns(file: Path, delimiter: str) -> set[str]:
    try:
        return set(Table(file, delimiter).columns)
    except BadTable:
        return set()


def _first(file: Path) -> JsonValue:
    """The first record of an array or of lines; None if it can't be read."""
    try:
        if is_array(file):
            return next(read_array(file), None)
        _, line = next(read_lines(file), (0, None))
        value: JsonValue = json.loads(line) if line else None
        return value
    except (ValueError, RecursionError):
        return None
