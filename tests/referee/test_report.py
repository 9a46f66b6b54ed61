"""The report of a check, on suites whose numbers are known by construction."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from sparring.ledgers.entries import Ending
from sparring.ledgers.records import EditId, EditRecord, Kind, SampleId, SampleRecord, TargetRecord, VerdictRecord
from sparring.referee.evidence import Evidence
from sparring.referee.items import Failure, Item, Reply
from sparring.referee.report import Asked, CheckReport, DatasetFacts, report

UNREAD = DatasetFacts()
YES, NO, MUTE = Reply(True, 0), Reply(False, 1), Reply(False, None)
ADD, NOISE = "procedural:add", "procedural:noise"
ASKED = Asked(
    target="openai:m@h",
    dataset="vstar:photos",
    limit=100,
    attacks=(ADD, NOISE),
    budget=2,
    again=2,
    max_tokens=64,
    prompt="Give the answer.",
    max_pixels=10**6,
    versions={"sparring": "0"},
)


def sample(number: int, side: float) -> SampleRecord:
    name, kind = SampleId(f"s{number}"), "cross" if number % 2 else "single"
    targets = (TargetRecord("cup", (0, 0, side, side)),)
    return SampleRecord(name, b"", "?", ("x", "y"), 0, targets, kind, "here", image_digest=f"image {number // 2}")


def edit(name: EditId, attacker: str, valid: bool) -> EditRecord:
    kind = Kind.CORRUPTION if attacker == NOISE else Kind.SEMANTIC
    attack_type = "add" if valid and kind is Kind.SEMANTIC else ""
    return EditRecord(
        name, SampleId(""), attacker, "", "", 0, kind, None, b"", VerdictRecord(valid, (), ()), attack_type
    )


def evidence(samples: int, added: Reply = YES, noised: Reply = YES, original: Reply = YES) -> Evidence:
    """Two edits of each sample by either attack, the second addition rejected."""
    suite, edits = {}, {}
    for number in range(samples):
        names = {EditId(f"s{number}/{who}/e{index}"): who for who in (ADD, NOISE) for index in range(2)}
        rejected = {EditId(f"s{number}/{ADD}/e1")}
        edits |= {name: edit(name, who, name not in rejected) for name, who in names.items()}
        answers = {name: added if who == ADD else noised for name, who in names.items() if name not in rejected}
        suite[SampleId(f"s{number}")] = Item(original, YES, (YES, NO), dict(answers), rejected, dict(names))
    return Evidence(suite, {name: sample(int(name[1:]), 10 if name < "s5" else 200) for name in suite}, edits)


def reported(given: Evidence, facts: DatasetFacts = UNREAD, ended: Ending = "finished") -> CheckReport:
    return report(ASKED, given, facts, ended)


def test_corruptions_are_told_apart() -> None:
    told = reported(evidence(40, noised=NO), DatasetFacts(rows=100, samples=98, skipped={"box": 2}))
    assert (told.samples, told.images) == (40, 20)
    assert told.semantic.robust.value == 1
    assert (told.semantic.validity.value, told.semantic.validity.n) == (0.5, 80)
    assert told.corruption is not None
    assert (told.corruption.robust.value, told.corruption.asr.value) == (0, 1)
    assert [(part.name, part.samples, part.edits) for part in told.by_attack] == [(ADD, 40, 80), (NOISE, 40, 80)]
    assert told.dataset.skipped == {"box": 2}
    assert told.unreliable == ("20 images are too few for an interval; 30 or more are needed",)
    assert {part.name: part.samples for part in told.by_category} == {"cross": 20, "single": 20}
    assert sum(part.samples for part in told.by_area) == 40
    assert [(part.name, part.samples, part.edits) for part in told.by_type] == [("add", 40, 40)]
    assert [part.kind for part in told.by_attack] == [Kind.SEMANTIC, Kind.CORRUPTION]


def test_a_curve_stands_beside_chance() -> None:
    one, two = reported(evidence(40)).curves[ADD]
    assert (one.edits, two.edits) == (1, 2)
    assert (one.beaten.value, one.chance.value, two.chance.value) == (0, 0, 1)


def test_it_survives_json() -> None:
    told = reported(evidence(40, noised=NO))
    text = told.model_dump_json(by_alias=True)
    assert '"schema":"sparring.check/1"' in text
    assert CheckReport.model_validate_json(text) == told


def test_few_observations_have_no_interval() -> None:
    """Two samples are about one image, and count as one."""
    few, many = reported(evidence(58)), reported(evidence(60))
    assert (few.semantic.clean.value, few.semantic.clean.low, few.semantic.clean.high) == (1, None, None)
    assert many.semantic.clean.low is not None
    assert (few.semantic.mean.n, few.semantic.mean.low) == (58, None)
    assert any("too few" in doubt for doubt in few.unreliable)
    assert many.unreliable == ()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (evidence(40, added=MUTE), "no choice could be read"),
        (evidence(40, original=NO), "no edit can be credited"),
    ],
)
def test_what_speaks_against_the_numbers_is_said(given: Evidence, told: str) -> None:
    assert any(told in doubt for doubt in reported(given).unreliable)


def test_matches_without_result_are_bounded_and_told() -> None:
    given = evidence(40)
    for number in range(4):
        given.suite[SampleId(f"s{number}")].failed["match"] = Failure(ADD)
    found = reported(given)
    assert (found.semantic.missing, found.semantic.robust.n) == (4, 36)
    assert (found.semantic.robust_low, found.semantic.robust_high) == (pytest.approx(0.9), 1)
    assert any("no result" in doubt for doubt in found.unreliable)
    assert found.corruption is not None
    assert found.corruption.missing == 0


def test_mostly_rejected_edits_are_no_fair_sample() -> None:
    given = evidence(40)
    for item in given.suite.values():
        item.rejected |= {name for name in item.edits if ADD in name}
        for name in item.rejected:
            item.edits.pop(name, None)
    assert any("rejected" in doubt for doubt in reported(given).unreliable)


@pytest.mark.parametrize(
    ("ended", "facts", "told"),
    [
        ("capped", UNREAD, "reached the most calls that it may make: 60 of up to 100 samples"),
        ("cancelled", UNREAD, "cancelled"),
        ("failed", UNREAD, "broken off by an error"),
        ("finished", DatasetFacts(rows=100, skipped={"image": 2, "box": 1}), "3 of 100 rows of the dataset are no sam"),
    ],
)
def test_a_part_of_the_samples_is_told_to_be_one(ended: Ending, facts: DatasetFacts, told: str) -> None:
    found = reported(evidence(60), facts, ended)
    assert found.ended == ended
    assert [told in doubt for doubt in found.unreliable] == [True]


def test_a_check_without_a_sample_has_a_report_all_the_same() -> None:
    found = reported(Evidence({}, {}, {}), ended="failed")
    assert (found.samples, found.semantic.clean.value, found.counts.answers) == (0, None, 0)
    assert CheckReport.model_validate_json(found.model_dump_json(by_alias=True)) == found


def test_what_stands_in_for_boxes_is_said() -> None:
    given = evidence(40)
    bare = {name: replace(sample, targets=()) if name < "s2" else sample for name, sample in given.samples.items()}
    (remark,) = reported(replace(given, samples=bare)).remarks
    assert remark.startswith("12 of 40 samples have no boxes")
    assert reported(given).remarks == ()


def test_the_rules_of_extraction_are_told() -> None:
    assert ASKED.extraction.rules == ("boxed", "bare", "stated", "marked", "yes_no", "option_text")
    assert re.fullmatch("[0-9a-f]{12}", ASKED.extraction.digest)
