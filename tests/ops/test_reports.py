"""Summary and report from a ledger whose every answer is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from sparring.ops.assemble import Assembly, find
from sparring.ops.errors import NoCampaign
from sparring.ops.folder import RunFolder
from sparring.ops.publish import write_reports
from sparring.ops.standing import describe_standing
from sparring.ops.summary import Summary, summarise

from .conftest import A0, A1, D0, D1, SAMPLES, STEPS, cut_journal, is_right, is_valid
from .pages import read_page


def robust(defender: str, *attackers: str) -> list[bool]:
    """By sample, straight from the definition."""
    return [
        is_right(sample, "", 0, defender)
        and all(
            is_right(sample, attacker, edit, defender)
            for attacker in attackers
            for edit in (0, 1)
            if is_valid(sample, attacker, edit)
        )
        for sample in range(SAMPLES)
    ]


def asr(defender: str, *attackers: str) -> float:
    """Over valid edits of samples that are right on original and control."""
    wrong = [
        not is_right(sample, attacker, edit, defender)
        for sample in range(SAMPLES)
        if is_right(sample, "", 0, defender)
        for attacker in attackers
        for edit in (0, 1)
        if is_valid(sample, attacker, edit)
    ]
    return float(np.mean(wrong))


def test_summary_has_the_true_numbers(toy: RunFolder) -> None:
    summary = summarise(find(toy))
    assert summary.before is not None
    assert summary.after is not None
    assert summary.difference is not None
    assert summary.before.clean.value == pytest.approx(11 / 12)
    assert summary.before.robust.value == pytest.approx(np.mean(robust(D0, A0, A1)))
    assert summary.after.robust.value == pytest.approx(np.mean(robust(D1, A0, A1)))
    assert summary.before.asr.value == pytest.approx(asr(D0, A0, A1))
    assert summary.before.validity.value == pytest.approx(47 / 48)
    wilson = stats.binomtest(sum(robust(D1, A0, A1)), SAMPLES).proportion_ci(method="wilson")
    assert (summary.after.robust.low, summary.after.robust.high) == pytest.approx((wilson.low, wilson.high))


def test_differences_are_paired(toy: RunFolder) -> None:
    difference = summarise(find(toy)).difference
    assert difference is not None
    change = np.array(robust(D1, A0, A1), float) - np.array(robust(D0, A0, A1), float)
    expected = stats.ttest_1samp(change, 0).confidence_interval(0.95)
    assert difference.robust.value == pytest.approx(change.mean())
    assert (difference.robust.low, difference.robust.high) == pytest.approx((expected.low, expected.high))
    assert difference.clean.value == 0
    assert difference.robust.n == SAMPLES


def test_phases_say_what_they_changed(toy: RunFolder) -> None:
    attacking, defending = summarise(find(toy)).phases
    assert (attacking.role, attacking.steps, attacking.promoted) == ("attacker", STEPS, True)
    assert attacking.asr is not None
    assert (attacking.asr.before, attacking.asr.after) == pytest.approx((asr(D0, A0), asr(D0, A1)))
    assert attacking.robust is not None
    assert attacking.robust.after == pytest.approx(np.mean(robust(D0, A1)))
    assert defending.robust is not None
    assert (defending.robust.before, defending.robust.after) == pytest.approx(
        (np.mean(robust(D0, A0, A1)), np.mean(robust(D1, A0, A1)))
    )
    assert defending.seconds == 3 * 60


def test_a_step_that_was_published_once_more_counts_once(toy: RunFolder) -> None:
    _, defending = find(toy).phases
    assert [(step.number, step.reward) for step in defending.steps] == [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]


def test_summary_says_what_was_run(toy: RunFolder) -> None:
    summary = summarise(find(toy))
    assert (summary.seed, summary.commit, summary.config["campaign"]) == (7, "abc1234", "toy")
    assert (summary.wall_seconds, summary.peak_pss_bytes) == (35, 300)
    assert summary.finished


def test_every_attacker_meets_every_defender(toy: RunFolder) -> None:
    cells = {(cell.attacker, cell.defender): cell.asr.value for cell in summarise(find(toy)).cross_play}
    named = {("A0", "D0"): (A0, D0), ("A1", "D0"): (A1, D0), ("A0", "D1"): (A0, D1), ("A1", "D1"): (A1, D1)}
    assert cells == {labels: pytest.approx(asr(d, a)) for labels, (a, d) in named.items()}


def test_both_files_are_made_again_from_nothing(toy: RunFolder) -> None:
    write_reports(toy)
    first = toy.summary.read_bytes(), toy.report.read_bytes()
    toy.summary.unlink()
    toy.report.unlink()
    write_reports(toy)
    assert (toy.summary.read_bytes(), toy.report.read_bytes()) == first
    assert Summary.model_validate_json(first[0]).difference is not None
    assert "NaN" not in first[0].decode()
    assert set(json.loads(first[0])) >= {
        "before", "after", "difference", "phases", "seed", "wall_seconds", "peak_pss_bytes", "commit", "config",
    }  # fmt: skip


def test_report_is_self_contained(toy: RunFolder) -> None:
    write_reports(toy)
    text = toy.report.read_text()
    assert read_page(text).images == 4 * 8
    assert text.count("<svg") == 2


def test_report_shows_what_a_config_says_and_runs_none_of_it(toy: RunFolder) -> None:
    write_reports(toy)
    assert "&lt;b&gt;" in toy.report.read_text()


def test_gallery_shows_flips(toy: RunFolder) -> None:
    write_reports(toy)
    text = toy.report.read_text()
    assert text.count('class="worse">✗') == text.count('class="better">✓') == 8


def test_a_report_can_be_made_at_any_time(toy: RunFolder) -> None:
    """Cut the journal after every entry: the report of what there is can be made, and says so."""
    entries = len((toy.own / "journal.jsonl").read_text().splitlines())
    for kept in range(entries - 1, 0, -1):
        cut_journal(toy, kept)
        found = write_reports(toy)
        assert not found.finished
        assert "unfinished" in toy.report.read_text()
        assert describe_standing(toy).startswith("toy: stopped")


def test_before_it_has_begun_there_is_nothing_to_report(toy: RunFolder) -> None:
    cut_journal(toy, 0)
    with pytest.raises(NoCampaign, match="has not begun"):
        find(toy)


def test_a_defender_that_is_not_released_is_not_the_last(toy: RunFolder) -> None:
    """Without its release the base stays, and differs from itself by nothing."""
    cut_journal(toy, 17)
    found = write_reports(toy)
    assert found.last == "D0"
    assert found.robust is not None
    assert (found.robust.value, found.robust.n) == (0, SAMPLES)
    assert Assembly(toy).labels[D1] == "D1"
    assert not found.defenders[1][0].released
    assert "No new defender was released" in toy.report.read_text()


def test_before_a_second_defender_there_is_no_difference(toy: RunFolder) -> None:
    cut_journal(toy, 14)
    assert summarise(find(toy)).difference is None
