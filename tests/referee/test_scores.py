"""The scores of benchmarks, on tables that were counted by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sparring.ledgers.records import EditId, EditRecord, Kind, SampleId, SampleRecord, VerdictRecord
from sparring.referee.evidence import Evidence
from sparring.referee.items import Item, Reply
from sparring.referee.scores import Score, scores
from sparring.referee.statistics import clustered_share, share
from sparring.samples import hallusionbench, pope

ADD = "procedural:add"
YES, NO, MUTE = 0, 1, None
"""Places of the options, and an answer that can't be read."""
Answers = Sequence[int | None]


def evidence(
    answers: Sequence[Answers],
    *,
    truths: Sequence[int] | None = None,
    groups: Sequence[tuple[tuple[str, str], ...]] = (),
    kinds: Sequence[str] = (),
    images: Sequence[str] = (),
    options: tuple[str, ...] = ("Yes", "No"),
) -> Evidence:
    """Of each sample the options chosen on the original and on each valid edit."""
    suite, samples, edits = {}, {}, {}
    for number, row in enumerate(answers):
        name, truth = SampleId(f"s{number:02d}"), truths[number] if truths else 0
        replies = [Reply(option == truth, option) for option in row]
        shown = {EditId(f"{name}/{ADD}/e{index}"): reply for index, reply in enumerate(replies[1:])}
        suite[name] = Item(replies[0], Reply(True, truth), (), dict(shown), set(), dict.fromkeys(shown, ADD))
        samples[name] = SampleRecord(
            name, b"", "?", options, truth, (), kinds[number] if kinds else "", "",
            groups[number] if groups else (), images[number] if images else name,
        )  # fmt: skip
        verdict = VerdictRecord(True, (), ())
        edits |= {edit: EditRecord(edit, name, ADD, "", "", 0, Kind.SEMANTIC, None, b"", verdict) for edit in shown}
    return Evidence(suite, samples, edits)


def table(found: Sequence[Score]) -> dict[str, tuple[float | None, float | None]]:
    return {f"{score.benchmark} {score.name}": (score.clean.value, score.robust.value) for score in found}


def test_pope_by_hand() -> None:
    """Clean: TP 3, FN 1, FP 1, TN 2, and one unreadable answer about what is not there. Attacked, one object more is
    denied by one of its edits, and one absence more is."""
    rows = [
        ([YES, YES, YES], YES),
        ([YES, YES, NO], YES),
        ([YES, YES], YES),
        ([NO, YES], YES),
        ([YES, NO], NO),
        ([NO, NO, YES], NO),
        ([NO, NO], NO),
        ([MUTE, NO], NO),
    ]
    given = evidence(
        [row for row, _ in rows], truths=[truth for _, truth in rows], groups=[pope.grouped(["popular"])] * 8
    )
    assert table(scores(given)) == {
        "POPE popular, accuracy": (5 / 8, 3 / 8),
        "POPE popular, precision": (3 / 4, 2 / 4),
        "POPE popular, recall": (3 / 4, 2 / 4),
        "POPE popular, F1": (6 / 8, 4 / 8),
        "POPE popular, yes ratio": (4 / 8, 4 / 8),
    }


def test_a_question_counts_in_each_of_its_variants() -> None:
    groups = [pope.grouped(names) for names in (["random", "popular"], ["random"], ["adversarial"])]
    found = table(scores(evidence([[YES], [NO], [YES]], groups=groups)))
    assert {name: clean for name, (clean, _) in found.items() if "accuracy" in name} == {
        "POPE adversarial, accuracy": 1,
        "POPE popular, accuracy": 1,
        "POPE random, accuracy": 1 / 2,
    }
    assert all(robust is None for _, robust in found.values())


@pytest.mark.parametrize("seed", range(4))
def test_pope_against_the_definitions_in_arrays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, said = rng.integers(0, 2, (2, 300))
    given = evidence([[int(s)] for s in said], truths=truth.tolist(), groups=[pope.grouped(["random"])] * 300)
    found = {score.name.removeprefix("random, "): score.clean for score in scores(given)}
    there, yes = truth == YES, said == YES
    precision, recall = there[yes].mean(), yes[there].mean()
    assert found["accuracy"].value == pytest.approx((truth == said).mean())
    assert (found["precision"].value, found["recall"].value) == pytest.approx((precision, recall))
    assert found["F1"].value == pytest.approx(2 * precision * recall / (precision + recall))
    wilson = share(int(there[yes].sum()), int(yes.sum()))
    assert (found["precision"].low, found["precision"].high, found["precision"].n) == (
        wilson.low,
        wilson.high,
        wilson.n,
    )


def test_hallusionbench_by_hand() -> None:
    """Two figures of one set, two questions about each; and a question of another kind with the same numbers."""
    ids = [
        ("VD/math", "0", "0", "0"),
        ("VD/math", "0", "0", "1"),
        ("VD/math", "0", "1", "0"),
        ("VD/math", "0", "1", "1"),
    ]
    groups = [hallusionbench.grouped(*each) for each in [*ids, ("VS/math", "0", "0", "0")]]
    answers = [[YES, YES], [YES, YES], [YES, NO], [NO, NO], [YES, YES]]
    assert table(scores(evidence(answers, groups=groups))) == {
        "HallusionBench aAcc": (4 / 5, 3 / 5),
        # Figures: VD 0 and VS 0 are right; of VD 1 one question is not.
        "HallusionBench fAcc": (2 / 3, 2 / 3),
        # Questions: VD 0 is right on both figures until it is attacked; VD 1 is not.
        "HallusionBench qAcc": (2 / 3, 1 / 3),
    }


def test_a_group_without_all_its_answers_is_not_scored() -> None:
    groups = [(("pair", "1"),), (("pair", "1"),), (("pair", "2"),), (("pair", "2"),)]
    given = evidence([[0, 0], [0], [0, 0], [0, 0]], groups=groups)
    pairs, average = scores(given)
    assert (pairs.clean.value, pairs.clean.n, pairs.robust.value, pairs.robust.n) == (1, 2, 1, 1)
    given.suite[SampleId("s03")].original = None
    assert scores(given)[0].clean.n == 1
    assert (average.name, average.clean.n, average.robust.n) == ("average", 4, 3)


def test_mmvp_by_hand() -> None:
    groups = [(("pair", str(number // 2)),) for number in range(6)]
    answers = [[0, 0], [0, 0], [0, 0], [0, 1], [0, 0], [1, 1]]
    assert table(scores(evidence(answers, groups=groups))) == {
        "MMVP pairs": (2 / 3, 1 / 3),
        "MMVP average": (5 / 6, 4 / 6),
    }


def test_hrbench_is_the_mean_over_rotations() -> None:
    """Right on two of two, one of two, and one of one: not the four of five that the pool would be."""
    rotations = ["0", "0", "1", "1", "2"]
    given = evidence(
        [[0, 0], [0, 0], [0, 0], [1, 0], [0, 1]],
        groups=[(("rotation", name),) for name in rotations],
        kinds=["single", "cross", "single", "cross", "single"],
        images=["a", "b", "a", "b", "a"],
        options=("w", "x", "y", "z"),
    )
    found = table(scores(given))
    assert found["HR-Bench overall"] == (pytest.approx((1 + 1 / 2 + 1) / 3), pytest.approx((1 + 1 / 2 + 0) / 3))
    assert found["HR-Bench cross"] == (1 / 2, 1 / 2)
    assert found["HR-Bench single"] == (1, pytest.approx(2 / 3))


def test_hrbenchs_interval_draws_the_rotations_of_a_question_together() -> None:
    rows = [(image, rotation) for image in range(40) for rotation in range(4)]
    given = evidence(
        [[int(image % 4 == 0)] for image, _ in rows],
        groups=[(("rotation", str(rotation)),) for _, rotation in rows],
        images=[f"i{image}" for image, _ in rows],
    )
    found = scores(given)[-1].clean
    pooled = clustered_share([(0, 4)] * 10 + [(4, 4)] * 30)
    assert (found.value, found.n) == (0.75, 160)
    assert (found.low, found.high) == pytest.approx((pooled.low, pooled.high))


def test_vstar_by_hand() -> None:
    kinds = ["direct_attributes", "direct_attributes", "relative_position", "OCR"]
    given = evidence([[0, 0], [1, 0], [0, 1], [0, 0]], kinds=kinds)
    assert table(scores(given)) == {
        "V*Bench direct_attributes": (1 / 2, 1 / 2),
        "V*Bench relative_position": (1, 0),
        "V*Bench overall": (2 / 3, 1 / 3),
    }


def test_other_samples_have_no_scores() -> None:
    assert scores(evidence([[0, 0]], kinds=["relative_position"])) == ()
    assert scores(Evidence({}, {}, {})) == ()
