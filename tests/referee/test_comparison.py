"""Two models on one suite: against SciPy, by hand, and what is not compared at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sparring.ledgers.records import EditId, EditRecord, Kind, SampleId, SampleRecord, VerdictRecord
from sparring.referee.asked import Asked
from sparring.referee.comparison import Checked, Comparison, Duel, compare
from sparring.referee.evidence import Evidence
from sparring.referee.facts import DatasetFacts
from sparring.referee.items import Failure, Item, Reply
from sparring.referee.report import report
from sparring.referee.suites import OtherSuite

ADD, BLUR = "procedural:add", "procedural:blur"
ASKED = Asked(
    target="one", dataset="d", limit=400, attacks=(ADD, BLUR), budget=2, max_tokens=64, prompt="?", max_pixels=1,
    versions={},
)  # fmt: skip


def yes(right: bool) -> Reply:
    return Reply(bool(right), 0 if right else 1, "boxed")


def made(name: EditId, valid: bool = True) -> EditRecord:
    who = name.split("/")[1]
    kind = Kind.CORRUPTION if who == BLUR else Kind.SEMANTIC
    return EditRecord(
        name, SampleId(name.split("/")[0]), who, "", "", 0, kind, None, b"", VerdictRecord(valid, (), ())
    )  # fmt: skip


def gathered(clean: list[bool], added: list[tuple[bool, ...]], blurred: list[bool], per_image: int = 1) -> Evidence:
    """Right or wrong, sample by sample: the original, each edit of one attack, the one edit of the other."""
    suite, edits = {}, {}
    for number, (original, adds, blur) in enumerate(zip(clean, added, blurred, strict=True)):
        name = f"s{number:03d}"
        replies = {EditId(f"{name}/{ADD}/e{index}"): yes(right) for index, right in enumerate(adds)}
        replies[EditId(f"{name}/{BLUR}/e0")] = yes(blur)
        edits |= {edit: made(edit) for edit in replies}
        attackers = {edit: edits[edit].attacker for edit in replies}
        suite[SampleId(name)] = Item(yes(original), yes(True), (), dict(replies), set(), attackers, prompts={"p"})
    samples = {
        name: SampleRecord(name, b"", "?", ("x", "y"), 0, (), "", "", image_digest=str(int(name[1:]) // per_image))
        for name in suite
    }
    return Evidence(suite, samples, edits)


def checked(evidence: Evidence, asked: Asked = ASKED) -> Checked:
    return Checked(report(asked, evidence, DatasetFacts(), "finished"), evidence)


def drawn(seed: int, skill: float, samples: int = 300, per_image: int = 1) -> Evidence:
    rng = np.random.default_rng(seed)
    clean, blurred = (rng.random((2, samples)) < 0.9).tolist()
    return gathered(clean, [tuple(row) for row in (rng.random((samples, 2)) < skill).tolist()], blurred, per_image)


def answers(evidence: Evidence, attacker: str) -> np.ndarray:
    """Right on the original and on every edit of one attack: bool [samples]."""
    items = evidence.suite.values()
    views = ([item.original, *(reply for edit, reply in item.edits.items() if attacker in edit)] for item in items)
    return np.array([all(reply is not None and reply.right for reply in row) for row in views])


def test_robust_accuracy_against_scipy() -> None:
    before, after = drawn(1, 0.6), drawn(2, 0.8)
    found = compare(checked(before), checked(after)).semantic.robust
    first, second = answers(before, ADD), answers(after, ADD)
    reference = stats.ttest_rel(second.astype(float), first.astype(float)).confidence_interval(0.95)
    assert (found.before, found.after) == (pytest.approx(first.mean()), pytest.approx(second.mean()))
    assert found.difference.value == pytest.approx(second.mean() - first.mean())
    assert (found.difference.low, found.difference.high) == pytest.approx((reference.low, reference.high))
    gained, lost = int((second & ~first).sum()), int((first & ~second).sum())
    assert (found.gained, found.lost) == (gained, lost)
    assert found.p == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)


def test_what_is_needed_to_see_a_difference_sees_it() -> None:
    """At that many items the paired t-test finds four differences of five."""
    before, after = drawn(1, 0.72), drawn(2, 0.8)
    found = compare(checked(before), checked(after)).semantic.robust
    assert found.needed is not None
    rng, n = np.random.default_rng(0), sum(answers(before, ADD) | True)
    first, second = (answers(evidence, ADD).astype(float) for evidence in (before, after))
    draws = rng.integers(0, n, (2000, found.needed))
    pvalues = stats.ttest_rel(second[draws], first[draws], axis=1).pvalue
    assert (pvalues < 0.05).mean() == pytest.approx(0.8, abs=0.04)


def test_attack_success_is_compared_where_both_are_steady() -> None:
    before = gathered([True] * 40 + [False], [(True, False)] * 41, [True] * 41)
    after = gathered([False] + [True] * 40, [(True, True)] * 41, [True] * 41)
    found = compare(checked(before), checked(after)).semantic.asr
    assert (found.before, found.after, found.difference.value, found.difference.n) == (0.5, 0, -0.5, 39)


def test_attacks_are_compared_one_by_one_and_corruptions_apart() -> None:
    before = gathered([True] * 40, [(False, True)] * 10 + [(True, True)] * 30, [True] * 40)
    after = gathered([True] * 40, [(True, True)] * 40, [False] * 4 + [True] * 36)
    found = compare(checked(before), checked(after))
    assert found.corruption is not None
    assert (found.semantic.robust.gained, found.semantic.robust.lost) == (10, 0)
    assert (found.corruption.robust.gained, found.corruption.robust.lost) == (0, 4)
    told = {attack.name: (attack.robust.gained, attack.robust.lost) for attack in found.by_attack}
    assert told == {ADD: (10, 0), BLUR: (0, 4)}
    assert (found.samples, found.images, found.edits) == (40, 40, 120)


def test_a_model_does_not_differ_from_itself() -> None:
    found = compare(checked(drawn(3, 0.7)), checked(drawn(3, 0.7)))
    duel = found.semantic.robust
    assert (duel.difference.value, duel.gained, duel.lost, duel.p, duel.needed) == (0, 0, 0, 1, None)
    assert Comparison.model_validate_json(found.model_dump_json(by_alias=True)) == found
    assert '"schema":"sparring.comparison/1"' in found.model_dump_json(by_alias=True)


def test_questions_about_one_image_are_drawn_together() -> None:
    """Four questions about each image that are answered alike are worth one."""
    rng = np.random.default_rng(5)
    right = rng.random((2, 100)) < [[0.5], [0.7]]
    one, other = (gathered([True] * 100, [(bool(r),) for r in row], [True] * 100) for row in right)
    four = [
        gathered([True] * 400, [(bool(r),) for r in row for _ in range(4)], [True] * 400, per_image=4) for row in right
    ]
    narrow = compare(checked(one), checked(other)).semantic.robust.difference
    wide = compare(checked(four[0]), checked(four[1])).semantic.robust.difference
    assert wide.value == pytest.approx(narrow.value)
    assert (wide.low, wide.high) == pytest.approx((narrow.low, narrow.high), abs=0.02)


def test_the_order_of_samples_does_not_matter() -> None:
    before, after = drawn(1, 0.6, per_image=3), drawn(2, 0.8, per_image=3)
    turned = replace(after, suite=dict(reversed(after.suite.items())), edits=dict(reversed(after.edits.items())))
    one, other = (compare(checked(before), checked(evidence)) for evidence in (after, turned))
    assert one.model_dump_json() == other.model_dump_json()


def test_a_sample_that_one_has_no_result_for_is_left_out_and_told() -> None:
    before, after = drawn(1, 0.6), drawn(2, 0.8)
    item = after.suite[SampleId("s007")]
    lost = {edit for edit in item.edits if ADD in edit}
    item.failed["m"] = Failure(ADD, "target: UNAVAILABLE: gone")
    for edit in lost:
        del item.edits[edit], item.attackers[edit]
    found = compare(checked(before), checked(after))
    assert (found.semantic.robust.difference.n, found.clean.difference.n) == (299, 300)
    assert "robust accuracy leaves out 1 of 300 samples" in found.unreliable[0]


def other_sample(evidence: Evidence) -> Evidence:
    suite = {SampleId("t" if name == "s000" else name): item for name, item in evidence.suite.items()}
    return replace(
        evidence, suite=suite, samples={**evidence.samples, SampleId("t"): evidence.samples[SampleId("s000")]}
    )


def other_edit(evidence: Evidence) -> Evidence:
    item, old, new = evidence.suite[SampleId("s000")], EditId(f"s000/{ADD}/e1"), EditId(f"s000/{ADD}/e2")
    item.edits[new], item.attackers[new] = item.edits.pop(old), item.attackers.pop(old)
    return replace(evidence, edits={**evidence.edits, new: made(new)})


def other_words(evidence: Evidence) -> Evidence:
    evidence.suite[SampleId("s000")].prompts = {"q"}
    return evidence


def other_verdict(evidence: Evidence) -> Evidence:
    name = EditId(f"s000/{ADD}/e0")
    return replace(evidence, edits={**evidence.edits, name: made(name, valid=False)})


def other_maker(evidence: Evidence) -> Evidence:
    name = EditId(f"s000/{ADD}/e0")
    return replace(evidence, edits={**evidence.edits, name: replace(made(name), attacker_digest="ab")})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (other_sample, "1 samples are in the first alone, for one s000; 1 samples are in the second alone, for one t"),
        (other_edit, "2 edits were shown to one alone, for one s000/procedural:add/e1"),
        (other_words, "1 questions were put in other words or another order of options, for one s000"),
        (other_verdict, "1 edits have the same names but were made or judged otherwise"),
        (other_maker, "1 edits have the same names but were made or judged otherwise"),
    ],
)
def test_other_suites_are_not_compared(change: Callable[[Evidence], Evidence], told: str) -> None:
    with pytest.raises(OtherSuite) as caught:
        compare(checked(drawn(1, 0.6, 40)), checked(change(drawn(1, 0.6, 40))))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("options", "unshuffled"), ("option_seed", 1), ("prompt", "!"), ("temperature", 0.5), ("max_tokens", 65),
     ("extraction", ASKED.extraction.model_copy(update={"digest": "0" * 12}))],
)  # fmt: skip
def test_other_ways_of_asking_are_not_compared(field: str, value: object) -> None:
    asked = ASKED.model_copy(update={field: value})
    with pytest.raises(OtherSuite, match=f"{field} is .* and "):
        compare(checked(drawn(1, 0.6, 40)), checked(drawn(1, 0.6, 40), asked))


def test_another_target_is_compared() -> None:
    asked = ASKED.model_copy(update={"target": "two", "versions": {"sparring": "2"}})
    found = compare(checked(drawn(1, 0.6, 40)), checked(drawn(1, 0.6, 40), asked))
    assert (found.before.target, found.after.target) == ("one", "two")
    assert isinstance(found.clean, Duel)


def test_doubts_about_either_are_doubts_about_both() -> None:
    few = drawn(1, 0.6, 20)
    found = compare(checked(few), checked(few, ASKED.model_copy(update={"target": "two"})))
    assert [doubt.partition(":")[0] for doubt in found.unreliable] == ["one", "two"]
    assert found.clean.difference.low is None
