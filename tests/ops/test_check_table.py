"""The result of a check in the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sparring.ops.check_table import print_check, print_comparison, told
from sparring.referee.comparison import Checked, compare
from sparring.referee.evidence import Evidence
from sparring.referee.facts import DatasetFacts
from sparring.referee.items import read
from sparring.referee.report import report
from tests.referee.played import ADD, ASKED, SHIFT, played


def gathered(seed: int) -> Evidence:
    groups = list(played(60, seed))
    samples = {row.sample_id: row for group in groups for row in group.samples}
    edits = {edit.edit_id: edit for group in groups for edit in group.edits if edit.attacker in (ADD, SHIFT)}
    return Evidence(read(episode for group in groups for episode in group.episodes), samples, edits)


@pytest.fixture
def checked() -> Checked:
    evidence, facts = gathered(0), DatasetFacts(rows=70, samples=60, skipped={"image": 1, "box": 9})
    asked = ASKED.model_copy(update={"target": "openai:[red]m@h"})
    return Checked(report(asked, evidence, facts, "capped"), evidence)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=160)


def text(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_a_check(console: Console, checked: Checked) -> None:
    print_check(console, checked.report)
    lines, found = text(console), checked.report.semantic
    assert lines[0] == "openai:[red]m@h on shapes:suite: 60 samples about 30 images"
    value, low, high = (100 * (each or 0) for each in (found.robust.value, found.robust.low, found.robust.high))
    (robust,) = [line for line in lines if line.startswith("robust accuracy")]
    assert robust.startswith(f"robust accuracy {value:.1f} % ({low:.1f} – {high:.1f}) {found.robust.n} ")
    edits = checked.report.by_attack[0].edits
    assert any(line.startswith(f"add 89 / {edits} ") for line in lines)
    assert any(line.startswith("MMVP: pairs") for line in lines)
    assert "rows that are no samples: 9 box, 1 image of 70" in lines
    doubts = [line for line in lines if line.startswith("unreliable: ")]
    assert len(doubts) == len(checked.report.unreliable) == 4


def test_a_comparison(console: Console, checked: Checked) -> None:
    other = gathered(0)
    for item in list(other.suite.values())[:10]:
        item.original = None if item.original is None else next(iter(item.replies), item.original)
    comparison = compare(checked, Checked(checked.report, other))
    print_comparison(console, comparison)
    lines, clean = text(console), comparison.clean
    (told,) = [line for line in lines if line.startswith("clean accuracy")]
    assert f"{clean.gained}, {clean.lost}" in told
    assert any(line.startswith("attack success, shift") for line in lines)


def test_counts_in_a_row() -> None:
    assert told({"a": 1, "b": 3, "c": 1}) == "3 b, 1 a, 1 c"
