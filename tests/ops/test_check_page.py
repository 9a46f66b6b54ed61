"""The pages of a check and of a comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ops.report.check_charts import attack_chart, curve_chart
from sparring.ops.report.check_page import asked, headline, render_check, render_comparison
from sparring.ops.report.flips import flips
from sparring.referee.asked import Asked
from sparring.referee.comparison import Checked, compare
from sparring.referee.evidence import Evidence, gather
from sparring.referee.facts import DatasetFacts
from sparring.referee.report import CheckReport, report
from tests.referee.played import ASKED, CHECK, played

from .pages import read_page

FACTS = DatasetFacts(rows=50, samples=40, skipped={"image": 10}, named=("d.jsonl, line 3: image: <cut> & torn",))
LOUD = ASKED.model_copy(update={"target": "openai:<b>m</b>@h"})


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> EpisodeLedger:
    ledger = EpisodeLedger(tmp_path_factory.mktemp("page"))
    ledger.append_groups(list(played(80)))
    return ledger


@pytest.fixture(scope="module")
def evidence(ledger: EpisodeLedger) -> Evidence:
    return gather(ledger, ledger.scan(campaign=CHECK))


@pytest.fixture(scope="module")
def found(evidence: Evidence) -> CheckReport:
    return report(LOUD, evidence, FACTS, "capped")


def test_the_page_of_a_check_is_self_contained(ledger: EpisodeLedger, evidence: Evidence, found: CheckReport) -> None:
    page = render_check(found, flips(ledger, ledger.scan(campaign=CHECK), evidence, 4))
    read = read_page(page)
    assert read.images == 4 * 3
    assert page.count("<svg") == 2
    assert page.count('class="worse">✗') == page.count('class="better">✓') == 4


def test_the_page_has_every_number_and_every_doubt(found: CheckReport) -> None:
    page = render_check(found, [])
    for value in (found.semantic.robust.value, found.semantic.asr.value, found.semantic.clean.value):
        assert f"{100 * (value or 0):.1f} %" in page
    for doubt in found.unreliable:
        assert doubt in page
    for score in found.scores:
        assert f"{score.benchmark}, {score.name}" in page
    assert "1 structure" not in page
    assert f"{found.counts.rejected['structure']} structure" in page
    assert "10 image" in page


def test_the_page_says_where_chance_is_not_shown(found: CheckReport) -> None:
    silent = found.model_copy(update={"asked": LOUD.model_copy(update={"again": 0})})
    missing = "What chance does was not asked for"
    assert (missing in render_check(found, []), missing in render_check(silent, [])) == (False, True)


def test_the_page_has_everything_that_was_asked(found: CheckReport) -> None:
    page = render_check(found, [])
    assert [name for name, _ in asked(found.asked)] == list(Asked.model_fields)
    for name, value in asked(ASKED):
        assert f"<th>{name}</th>" in page
        assert name == "target" or f"<td>{value}</td>" in page
    assert ASKED.extraction.digest in page


def test_what_others_wrote_is_shown_and_not_run(found: CheckReport) -> None:
    page = render_check(found, [])
    assert "openai:&lt;b&gt;m&lt;/b&gt;@h" in page
    assert "image: &lt;cut&gt; &amp; torn" in page
    assert "<b>" not in page


def test_a_page_is_the_same_each_time(found: CheckReport) -> None:
    assert render_check(found, []) == render_check(found, [])


def test_a_check_without_a_sample_has_a_page() -> None:
    page = render_check(report(ASKED, Evidence({}, {}, {}), DatasetFacts(), "failed"), [])
    read_page(page)
    assert "broken off by an error" in page
    assert "no valid edit was answered" in page


def test_where_there_are_corruptions_alone_they_are_the_headline(evidence: Evidence) -> None:
    bare = {name: item.by(frozenset({"procedural:shift"})) for name, item in evidence.suite.items()}
    told = report(ASKED, Evidence(bare, evidence.samples, evidence.edits), DatasetFacts(), "finished")
    measures, what = headline(told)
    assert (measures, what) == (told.corruption, "corruption")
    assert "under every valid corruption" in render_check(told, [])


def test_charts_of_nothing_are_nothing() -> None:
    assert curve_chart({}) == attack_chart([]) == ""


def test_the_page_of_a_comparison(evidence: Evidence, found: CheckReport, tmp_path: Path) -> None:
    ledger = EpisodeLedger(tmp_path)
    ledger.append_groups(list(played(80)))
    other = gather(ledger, ledger.scan(campaign=CHECK))
    for item in other.suite.values():
        item.edits = dict.fromkeys(item.edits, item.original)
    second = Checked(report(ASKED, other, DatasetFacts(), "finished"), other)
    comparison = compare(Checked(found, evidence), second)
    page = render_comparison(comparison)
    read_page(page)
    duel = comparison.semantic.robust
    assert duel.gained > 0
    assert f"{duel.gained} gained, {duel.lost} lost" in page
    assert "openai:&lt;b&gt;m&lt;/b&gt;@h → openai:small@h:1" in page
    assert f"{ASKED.target} is more robust" in page
    for doubt in comparison.unreliable:
        assert doubt.removeprefix(LOUD.target) in page
