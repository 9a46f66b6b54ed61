"""A report depends on what was played, not on when: a check that was cut off and resumed has the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparring.ledgers.episodes import EpisodeLedger
from sparring.referee.comparison import Checked, compare
from sparring.referee.evidence import Evidence, gather
from sparring.referee.items import read
from sparring.referee.leaderboard import COLUMNS, HEADER, line
from sparring.referee.report import CheckReport, DatasetFacts, report
from tests.referee.played import ADD, ASKED, CHECK, SHIFT, played

GROUPS = list(played(100))
SAMPLES = {row.sample_id: row for group in GROUPS for row in group.samples}
EDITS = {edit.edit_id: edit for group in GROUPS for edit in group.edits if edit.attacker in (ADD, SHIFT)}


def told(evidence: Evidence) -> str:
    return report(ASKED, evidence, DatasetFacts(), "finished").model_dump_json(by_alias=True)


def turned(seed: int) -> Evidence:
    """The evidence with everything in another order."""
    rng = np.random.default_rng(seed)
    episodes = [episode for group in GROUPS for episode in group.episodes]
    names = {kind: [list(rows)[index] for index in rng.permutation(len(rows))] for kind, rows in
             (("samples", SAMPLES), ("edits", EDITS))}  # fmt: skip
    suite = read(episodes[index] for index in rng.permutation(len(episodes)))
    return Evidence(suite, {name: SAMPLES[name] for name in names["samples"]}, {n: EDITS[n] for n in names["edits"]})


@pytest.mark.parametrize("seed", range(10))
def test_shuffled_episodes_have_the_same_report(seed: int) -> None:
    straight = Evidence(read(episode for group in GROUPS for episode in group.episodes), SAMPLES, EDITS)
    assert told(turned(seed)) == told(straight)


def test_ledgers_that_were_filled_in_another_order_have_the_same_report(tmp_path: Path) -> None:
    """The images of edits do not matter to it."""
    order = np.random.default_rng(1).permutation(len(GROUPS))
    reports = []
    for name, groups in (("one", GROUPS), ("other", [GROUPS[index] for index in order])):
        ledger = EpisodeLedger(tmp_path / name)
        ledger.append_groups(groups)
        reports.append(told(gather(ledger, ledger.scan(campaign=CHECK))))
    assert reports[0] == reports[1] == told(turned(0))


def test_the_made_up_check_has_something_of_everything() -> None:
    """Else the tests above would show little."""
    found = CheckReport.model_validate_json(told(turned(0)))
    assert found.corruption is not None
    assert found.counts.truncated > 0 < sum(found.counts.failed.values())
    assert found.counts.rejected["structure"] > 0 < found.semantic.missing
    assert found.images == 50
    assert {score.benchmark for score in found.scores} == {"MMVP"}
    assert found.semantic.asr.low is not None
    assert found.semantic.asr.low < found.semantic.asr.high


def test_shuffled_comparisons_are_the_same() -> None:
    texts = set()
    for seed in range(3):
        checked = Checked(report(ASKED, turned(seed), DatasetFacts(), "finished"), turned(seed + 5))
        texts.add(compare(checked, checked).model_dump_json())
    assert len(texts) == 1


def test_a_line_of_a_leaderboard() -> None:
    found = CheckReport.model_validate_json(told(turned(0)))
    shown = line(found.model_copy(update={"asked": ASKED.model_copy(update={"target": "a|b\nc"})}))
    cells = [cell.strip() for cell in shown.replace("\\|", "/").strip("|").split("|")]
    robust = found.semantic.robust
    assert None not in (robust.value, robust.low, robust.high)
    values = (robust.value, robust.low, robust.high)
    assert cells[4] == "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * (value or 0) for value in values))
    assert cells[:3] == ["a/b c", "shapes:suite", "100"]
    assert cells[-6:] == [f"{ADD}, {SHIFT}", "2", "shuffled", "7", "sparring.check/1 (1.0)", "no"]
    assert len(cells) == len(COLUMNS) == HEADER.splitlines()[1].count("-|")
    assert "\n" not in shown
