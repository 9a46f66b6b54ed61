from __future__ import annotations

import pytest

from sparring.ledgers.records import EditId, EditRecord, Kind, SampleId, SampleRecord, TargetRecord, VerdictRecord
from sparring.referee.breakdown import area, by_attacker, by_sample, by_type, category
from sparring.referee.items import Failure, Item, Reply
from sparring.referee.measures import measure
from sparring.referee.statistics import share

YES, NO = Reply(True, 0), Reply(False, 1)
ADD, NOISE = "procedural:add", "procedural:noise"


def edits(sample: str, **replies: Reply | None) -> Item:
    """Answers to edits named after their attacker; None is an edit that was rejected."""
    names = {EditId(f"{sample}/{name}/e0"): reply for name, reply in replies.items()}
    return Item(
        original=YES,
        control=YES,
        edits={name: reply for name, reply in names.items() if reply is not None},
        rejected={name for name, reply in names.items() if reply is None},
        attackers={name: f"procedural:{name.split('/')[1]}" for name in names},
    )


SUITE = {SampleId("a"): edits("a", add=NO, noise=YES), SampleId("b"): edits("b", add=None, noise=NO)}


def sample(*boxes: tuple[float, float, float, float], kind: str = "") -> SampleRecord:
    targets = tuple(TargetRecord(str(number), box) for number, box in enumerate(boxes))
    return SampleRecord(SampleId("s"), b"", "?", ("x", "y"), 0, targets, kind, "here")


def test_each_attackers_edits_are_measured_alone() -> None:
    parts = {name: measure(part) for name, part in by_attacker(SUITE).items()}
    assert list(parts) == [ADD, NOISE]
    assert (parts[ADD].asr, parts[NOISE].asr) == (share(1, 1), share(1, 2))
    assert (parts[ADD].validity, parts[NOISE].validity) == (share(1, 2), share(2, 2))


def test_an_attacker_that_only_failed_is_not_forgotten() -> None:
    suite = {SampleId("a"): Item(original=YES, control=YES, failed={"suite/a/add": Failure(ADD)})}
    parts = by_attacker(suite)
    assert measure(parts[ADD]).missing == 1


def typed(name: EditId, attack_type: str) -> EditRecord:
    verdict = VerdictRecord(True, (), ())
    kind = Kind.SEMANTIC
    return EditRecord(name, SampleId(""), ADD, "", "", 0, kind, None, b"", verdict, attack_type=attack_type)


def test_each_type_of_edit_is_measured_alone() -> None:
    """An attack's name does not matter, nor what was rejected; a sample without an edit of the type is left out."""
    types = {"a/add/e0": "remove", "a/noise/e0": "hybrid", "b/noise/e0": "remove"}
    parts = by_type(SUITE, {EditId(name): typed(EditId(name), kind) for name, kind in types.items()})
    assert {name: sorted(part) for name, part in parts.items()} == {"hybrid": ["a"], "remove": ["a", "b"]}
    assert list(parts) == sorted(parts)
    assert (measure(parts["hybrid"]).asr, measure(parts["remove"]).asr) == (share(0, 1), share(2, 2))
    assert measure(parts["remove"]).robust == share(0, 2)
    assert measure(parts["remove"]).validity == share(2, 2)


def test_an_edit_of_no_recorded_type_is_counted_all_the_same() -> None:
    parts = by_type(SUITE, {name: typed(name, "") for item in SUITE.values() for name in item.edits})
    assert {name: sorted(part) for name, part in parts.items()} == {"untold": ["a", "b"]}


def test_parts_add_up_to_the_whole() -> None:
    attackers = by_attacker(SUITE)
    assert sum(measure(part).validity.n for part in attackers.values()) == measure(SUITE).validity.n == 4
    kinds = by_sample(SUITE, lambda name: "first" if name == "a" else "second")
    assert {label: set(part) for label, part in kinds.items()} == {"first": {"a"}, "second": {"b"}}


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([], "no boxes"),
        ([(0, 0, 31, 32)], "small"),
        ([(0, 0, 32, 32)], "medium"),
        ([(0, 0, 96, 96)], "medium"),
        ([(0, 0, 97, 96)], "large"),
        ([(0, 0, 500, 500), (0, 0, 10, 10)], "small"),
    ],
)
def test_objects_are_sorted_by_their_smallest(boxes: list[tuple[float, float, float, float]], expected: str) -> None:
    assert area(sample(*boxes)) == expected


def test_a_question_without_a_category_has_a_name_all_the_same() -> None:
    assert category(sample()) == "uncategorised"
    assert category(sample(kind="cross")) == "cross"
