"""What went wrong on the way, by hand."""

from __future__ import annotations

import grpc
import pytest

from sparring.client.errors import Refused
from sparring.ledgers.records import EditId, EditRecord, Kind, SampleId, SampleRecord, VerdictRecord
from sparring.referee.counts import blame, count
from sparring.referee.doubts import of_counts
from sparring.referee.errors import OpponentError, nonsense
from sparring.referee.evidence import Evidence
from sparring.referee.facts import NAMED, DatasetFacts, to_facts
from sparring.referee.items import Failure, Item, Reply
from sparring.samples.report import BadRow, Report

ADD = "procedural:add"


def boxed(rule: str = "boxed") -> Reply:
    return Reply(True, 0, rule)


def mute(rule: str) -> Reply:
    return Reply(False, None, rule)


def gathered(*items: Item, rejected: dict[str, tuple[str, ...]] | None = None) -> Evidence:
    """Items with the reasons for which edits were rejected."""
    suite = {SampleId(f"s{number}"): item for number, item in enumerate(items)}
    samples = {name: SampleRecord(name, b"", "?", ("x", "y"), 0, (), "", "") for name in suite}
    edits = {
        EditId(name): EditRecord(
            EditId(name), SampleId(""), ADD, "", "", 0, Kind.SEMANTIC, None, b"", VerdictRecord(False, reasons, ())
        )
        for name, reasons in (rejected or {}).items()
    }
    return Evidence(suite, samples, edits)


def test_every_answer_is_counted_by_its_rule() -> None:
    found = count(
        gathered(
            Item(boxed(), boxed("bare"), (mute("empty"), boxed("boxed_truncated")), {EditId("e"): mute("none")}),
            Item(mute("empty_truncated"), None, (), {EditId("f"): None, EditId("g"): mute("stated_ambiguous")}),
        )
    )
    assert dict(found.by_rule) == {"bare": 1, "boxed": 2, "empty": 2, "none": 1, "stated_ambiguous": 1}
    assert list(found.by_rule) == sorted(found.by_rule)
    assert (found.answers, found.empty, found.truncated) == (7, 2, 2)


def test_rejected_edits_are_counted_under_each_objection() -> None:
    item = Item(boxed(), rejected={EditId("a"), EditId("b"), EditId("c")})
    reasons = {"a": ("structure", "copy"), "b": ("structure",), "c": ("no_room",)}
    assert count(gathered(item, rejected=reasons)).rejected == {"copy": 1, "no_room": 1, "structure": 2}


def test_another_maker_in_mid_run_is_a_doubt() -> None:
    one, other = (count(gathered(*(Item(boxed(), makers={name}) for name in names))) for names in ("aa", "ab"))
    assert (one.makers, other.makers) == (1, 2)
    assert list(of_counts(one, 2)) == []
    assert "changed in mid-run" in next(of_counts(other, 2))


def test_answers_that_were_cut_off_are_a_doubt() -> None:
    def told(cut: int) -> list[str]:
        replies = tuple(boxed("boxed_truncated" if number < cut else "boxed") for number in range(100))
        return list(of_counts(count(gathered(Item(again=replies))), 1))

    assert told(5) == []
    assert told(6) == ["6.0% of answers were cut off; a higher limit of tokens may change the result"]


def test_failures_are_counted_by_who_was_to_blame() -> None:
    failed = [Failure(ADD, "target at h:1: UNAVAILABLE: HTTP 503: busy")] * 2 + [Failure("", "attacker: INTERNAL: x")]
    items = [Item(boxed(), failed={f"{number}": failure}) for number, failure in enumerate(failed)]
    assert count(gathered(*items)).failed == {"attacker: INTERNAL": 1, "target: UNAVAILABLE: HTTP 503": 2}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (str(OpponentError("attacker", Refused(grpc.StatusCode.UNAVAILABLE, "gone"), "h:1")), "attacker: UNAVAILABLE"),
        (str(OpponentError("target", Refused(grpc.StatusCode.NOT_FOUND, "HTTP 404: no"), "h")),
         "target: NOT_FOUND: HTTP 404"),
        (str(nonsense("defender", "no answers")), "defender: INTERNAL"),
        ("disk full\n  at block 7", "disk full at block 7"),
        ("x" * 100, "x" * 60),
        ("", "unknown"),
    ],
)  # fmt: skip
def test_blame_has_nothing_that_differs_from_match_to_match(error: str, told: str) -> None:
    assert blame(error) == told


def test_the_facts_of_a_dataset_survive_a_journal() -> None:
    met = Report(samples=5, merged=2, clipped=1, boxless=3, complete=True, verified=["rows"], remarks=["a part"])
    for number in range(NAMED + 1):
        met.skip(BadRow("data.jsonl", f"line {number}", "path" if number % 2 else "box", "it is bad"))
    facts = to_facts(met)
    assert DatasetFacts.model_validate_json(facts.model_dump_json()) == facts
    assert (facts.rows, facts.samples, facts.merged, facts.clipped, facts.boxless) == (28, 5, 2, 1, 3)
    assert list(facts.skipped.items()) == [("box", 11), ("path", 10)]
    assert (len(facts.named), facts.named[0]) == (NAMED, "data.jsonl, line 0: box: it is bad")
    assert (facts.verified, facts.remarks, facts.complete) == (("rows",), ("a part",), True)
