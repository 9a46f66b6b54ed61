"""The measures, by hand on small suites and by another way of counting on random ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sparring.ledgers.records import (
    AnswerRecord,
    EditId,
    EpisodeId,
    EpisodeRecord,
    GroupId,
    Learner,
    Outcome,
    Purpose,
    SampleId,
)
from sparring.referee.items import Failure, Item, Reply, read
from sparring.referee.measures import asr, attack_difference, compare, consistency, mean, measure, pool, unscored
from sparring.referee.statistics import NOTHING, share

A0, A1 = "c/attacker/000000", "c/attacker/000001"
NUMBERS = np.empty(0, dtype=np.float32)


def episode(
    sample: str,
    right: bool | None = None,
    *,
    edit: str | None = None,
    attacker: str = "",
    outcome: Outcome = Outcome.PLAYED,
    match: str = "",
    index: int = 0,
    letter: str | None = None,
) -> EpisodeRecord:
    """One greedy answer, or none; by default A if it is right, else B. An empty letter is one that can't be read."""
    letter = ("A" if right else "B") if letter is None else letter
    answer = AnswerRecord("", NUMBERS.astype(np.int32), NUMBERS, letter or None, "boxed", bool(right), True)
    group = match or f"suite/{sample}/{attacker or 'original'}"
    return EpisodeRecord(
        episode_id=EpisodeId(f"{group}#{index}"),
        sample_id=SampleId(sample),
        edit_id=EditId(edit) if edit else None,
        prompt="",
        option_order=(0, 1, 2),
        temperature=0,
        defender="c/defender/000000",
        defender_digest="",
        attacker=attacker,
        answers=() if right is None else (answer,),
        rewards=(),
        purpose=Purpose.EVALUATE,
        campaign="c",
        phase="check-000000",
        learner=Learner.NONE,
        group_id=GroupId(group),
        group_size=1,
        index=index,
        outcome=outcome,
    )


def original(sample: str, right: bool) -> EpisodeRecord:
    return episode(sample, right)


def control(sample: str, right: bool) -> EpisodeRecord:
    return episode(sample, right, edit=f"{sample}/control", attacker="control")


def edited(sample: str, number: int, right: bool | None, attacker: str = A0) -> EpisodeRecord:
    """An edit that was answered, or rejected where `right` is None."""
    outcome = Outcome.REJECTED if right is None else Outcome.PLAYED
    return episode(sample, right, edit=f"{sample}/{attacker}/e{number}", attacker=attacker, outcome=outcome)


def failed(sample: str, attacker: str = "", attempt: str = "") -> EpisodeRecord:
    match = f"suite/{sample}/{attacker or 'original'}{attempt}"
    return episode(sample, attacker=attacker, outcome=Outcome.FAILED, match=match)


SUITE = [
    # Robust: right on everything valid.
    *(original("a", True), control("a", True), edited("a", 0, True), edited("a", 1, None), edited("a", 2, True)),
    # One of two edits fools it.
    *(original("b", True), control("b", True), edited("b", 0, False), edited("b", 1, True)),
    # Wrong on the original: neither robust, nor counted for the attacker.
    *(original("c", False), control("c", True), edited("c", 0, True), edited("c", 1, False)),
    # Wrong on the control: the attacker is not credited, but robust is as it is.
    *(original("d", True), control("d", False), edited("d", 0, False), edited("d", 1, False)),
    # No valid edit: counts for clean and control alone.
    *(original("e", True), control("e", True), edited("e", 0, None), edited("e", 1, None)),
]


def test_by_hand() -> None:
    report = measure(read(SUITE))
    assert report.clean == share(4, 5)
    assert report.control == share(4, 5)
    assert report.robust == share(1, 4)
    assert (report.asr.value, report.asr.n) == (1 / 4, 4)
    assert (report.validity.value, report.validity.n) == (8 / 11, 11)
    assert (report.missing, report.robust_bounds) == (0, (0.25, 0.25))


def test_the_order_of_episodes_does_not_matter() -> None:
    """Not to what a match came to in its attempts either, nor to which of two answers about one image counts."""
    pair = enumerate((True, False))
    twice = [episode("b", right, match=f"suite/b/original/{n}", letter="AB"[n]) for n, right in pair]
    filled = episode("f", True, edit="f/e0", attacker=A0, match=f"suite/f/{A0}/retry1")
    lost = [failed("g", A1, attempt) for attempt in ("", "/retry1", "/retry10", "/retry2")]
    told = [replace(one, error=f"attempt {number}") for number, one in enumerate(lost)]
    episodes = [*SUITE, *twice, failed("f", A0), filled, *told]
    expected = read(episodes)
    assert expected[SampleId("b")].original == Reply(False, 1, "boxed")
    assert expected[SampleId("f")].failed == {}
    assert list(expected[SampleId("g")].failed.values()) == [Failure(A1, "attempt 2")]
    for seed in range(20):
        turned = read([episodes[index] for index in np.random.default_rng(seed).permutation(len(episodes))])
        assert turned == expected
        assert list(turned) == list(expected)
        assert [list(item.edits) for item in turned.values()] == [list(item.edits) for item in expected.values()]


def test_nothing_played_is_nothing_measured() -> None:
    report = measure(read([]))
    assert report.clean == report.robust == report.asr == report.validity == NOTHING
    assert math.isnan(report.robust_bounds[0])


def test_a_missing_answer_is_counted_and_bounded_and_not_wrong() -> None:
    report = measure(read([*SUITE, original("f", True), failed("f", A0), failed("g")]))
    assert report.missing == 2
    assert report.clean == share(5, 6)
    assert report.robust == share(1, 4)
    low, high = report.robust_bounds
    assert low <= report.robust.value <= high
    assert low == pytest.approx(1 / 6)


def test_a_later_attempt_fills_the_gap() -> None:
    gap = [original("a", True), failed("a", A0), failed("a", A0, "/retry1")]
    filled = episode("a", True, edit="a/e0", attacker=A0, match=f"suite/a/{A0}/retry2")
    assert measure(read(gap)).missing == 1
    assert measure(read([*gap, filled])).missing == 0
    assert measure(read([*gap, filled])).robust == share(1, 1)


def test_one_attackers_edits_alone() -> None:
    episodes = [
        *(original("a", True), control("a", True), edited("a", 0, True), edited("a", 0, False, A1)),
        *(edited("a", 1, None), edited("a", 1, None, A1), edited("a", 2, None, A1), failed("b", A1)),
    ]
    suite = read(episodes)
    first, second = ({name: item.by(frozenset({who})) for name, item in suite.items()} for who in (A0, A1))
    assert (measure(first).robust.value, measure(second).robust.value) == (1, 0)
    assert (measure(first).validity.n, measure(second).validity.n) == (2, 3)
    assert (measure(first).missing, measure(second).missing) == (0, 1)
    assert measure(first).clean == measure(second).clean == share(1, 1)


def counted(episodes: Iterable[EpisodeRecord]) -> dict[str, float]:
    """Clean, control, robust and ASR, counted by sets instead of items."""
    played = [each for each in episodes if each.outcome is Outcome.PLAYED]
    right = {(each.sample_id, each.edit_id) for each in played if each.answers[0].correct}
    shown = {(each.sample_id, each.edit_id) for each in played}
    clean = {sample for sample, edit in right if edit is None}
    samples = {sample for sample, _ in shown}
    calm = {sample for sample, edit in right if edit is not None and edit.endswith("control")}
    attacks = {(sample, edit) for sample, edit in shown if edit is not None and not edit.endswith("control")}
    beaten = {sample for sample, _ in attacks - right}
    attacked = {sample for sample, _ in attacks}
    fair = {(sample, edit) for sample, edit in attacks if sample in clean & calm}
    return {
        "clean": len(clean) / len(samples),
        "control": len(calm) / len(samples),
        "robust": len((attacked & clean) - beaten) / len(attacked),
        "asr": len(fair - right) / len(fair),
    }


def drawn(rng: np.random.Generator, samples: int, edits: Sequence[str], skill: float) -> list[EpisodeRecord]:
    """A random suite; which edits are valid does not depend on `skill`."""
    valid = np.random.default_rng(9).random((samples, len(edits))) < 0.8
    found = []
    for number in range(samples):
        name = f"s{number}"
        found += [original(name, bool(rng.random() < 0.9)), control(name, bool(rng.random() < 0.9))]
        for index, attacker in enumerate(edits):
            answer = bool(rng.random() < skill) if valid[number, index] else None
            found.append(edited(name, index, answer, attacker))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_counted_in_another_way(seed: int) -> None:
    episodes = drawn(np.random.default_rng(seed), 60, [A0, A0, A1], 0.6)
    report = measure(read(episodes))
    found = {name: getattr(report, name).value for name in ("clean", "control", "robust", "asr")}
    assert found == pytest.approx(counted(episodes))


def test_two_defenders_are_compared_sample_by_sample() -> None:
    before, after = (
        read(drawn(np.random.default_rng(seed), 200, [A0, A0], skill)) for seed, skill in ((1, 0.5), (2, 0.9))
    )
    difference = compare(after, before)
    robust = [(after[name].robust, before[name].robust) for name in after if after[name].robust is not None]
    expected = stats.ttest_rel([float(a or 0) for a, _ in robust], [float(b or 0) for _, b in robust])
    interval = expected.confidence_interval(0.95)
    assert (difference.robust.low, difference.robust.high) == pytest.approx((interval.low, interval.high))
    assert difference.robust.n == len(robust)
    assert difference.robust.low > 0.2
    assert difference.clean.n == 200
    assert difference.clean.low < difference.clean_bound < difference.clean.value


def test_a_defender_does_not_differ_from_itself() -> None:
    suite = read(drawn(np.random.default_rng(3), 100, [A0], 0.7))
    difference = compare(suite, suite)
    assert (difference.robust.value, difference.clean.value) == (0, 0)
    assert difference.clean.low < 0 < difference.clean.high


def test_other_edits_are_not_compared() -> None:
    one, other = read(SUITE), read([*SUITE, edited("a", 9, True)])
    with pytest.raises(ValueError, match="same edits"):
        compare(one, other)


def test_a_sample_that_only_one_has_answered_is_left_out_of_the_comparison() -> None:
    one = read([*SUITE, original("z", True)])
    assert compare(one, read(SUITE)).clean.n == 5


def test_two_attackers_are_compared_on_samples_that_both_edited_and_that_are_steady() -> None:
    episodes = [
        *(
            original("a", True),
            control("a", True),
            edited("a", 0, True),
            edited("a", 1, False),
            edited("a", 0, False, A1),
        ),
        *(original("b", True), control("b", True), edited("b", 0, True), edited("b", 0, True, A1)),
        *(original("c", True), control("c", False), edited("c", 0, True), edited("c", 0, False, A1)),
        *(original("d", True), control("d", True), edited("d", 0, True), edited("d", 0, None, A1)),
    ]
    found = attack_difference(read(episodes), A1, A0)
    assert (found.value, found.n) == ((0.5 + 0) / 2, 2)


def replies(right: bool, names: Iterable[str]) -> Item:
    """A steady item."""
    yes = Reply(True, 0)
    return Item(yes, yes, edits={EditId(name): Reply(right, 0 if right else 1) for name in names})


def test_a_measure_is_clustered_by_image() -> None:
    alike = {SampleId(f"s{n}"): replies(n % 3 > 0, [f"{n}/{edit}" for edit in range(9)]) for n in range(90)}
    apart = {SampleId(f"s{n}"): replies(n % 3 > 0, [f"{n}"]) for n in range(90)}
    wide, narrow = pool(alike, asr), pool(apart, asr)
    assert (wide.value, wide.n, narrow.n) == (pytest.approx(1 / 3), 810, 90)
    assert narrow == share(30, 90)
    assert wide.high - wide.low == pytest.approx(narrow.high - narrow.low, rel=0.05)
    # Questions about one image count as one draw.
    images = {name: str(int(name[1:]) // 3) for name in apart}
    together = pool(apart, asr, images)
    assert (together.value, together.n) == (narrow.value, 90)
    assert together.low == pytest.approx(together.high)


def test_an_answer_agrees_with_the_original_whether_right_or_wrong() -> None:
    episodes = [
        episode("a", False, letter="B"),
        *(episode("a", answer, edit=f"a/e{n}", attacker=A0, index=n, letter=letter) for n, (answer, letter) in
          enumerate([(False, "B"), (True, "A"), (False, "C"), (False, "")])),
        # An unreadable answer agrees with nothing, not even with another one.
        episode("b", False, letter=""),
        episode("b", False, edit="b/e0", attacker=A0, letter=""),
    ]  # fmt: skip
    suite = read(episodes)
    assert (pool(suite, consistency).value, pool(suite, consistency).n) == (1 / 5, 5)
    assert (pool(suite, mean).value, pool(suite, mean).n) == (1 / 5, 5)
    assert (pool(suite, unscored).value, pool(suite, unscored).n) == (3 / 7, 7)


def test_the_option_chosen_is_the_samples_own() -> None:
    turned = replace(episode("a", True, letter="A"), option_order=(2, 0, 1))
    item = read([turned])[SampleId("a")]
    assert item.original == Reply(True, 2, "boxed")


def test_a_large_suite_is_measured_in_no_time() -> None:
    suite = read(drawn(np.random.default_rng(4), 2000, [A0] * 10, 0.7))
    report = measure(suite)
    assert report.clean.n == 2000
    assert report.validity.n == 20_000
