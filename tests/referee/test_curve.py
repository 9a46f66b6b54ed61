"""The curve over the budget against a suite drawn from known probabilities, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sparring.ledgers.records import EditId, SampleId
from sparring.referee.curve import climb, rungs
from sparring.referee.items import Item, Reply
from sparring.referee.statistics import share

YES, NO = Reply(True, 0), Reply(False, 1)


def item(edits: dict[int, Reply], again: tuple[Reply, ...] = (), original: Reply = YES) -> Item:
    return Item(
        original=original,
        control=YES,
        again=again,
        edits={EditId(f"suite/s/procedural:add/x/e{number}"): reply for number, reply in edits.items()},
    )


@pytest.mark.parametrize(
    ("budget", "expected"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8]), (10, [1, 2, 4, 8, 10])]
)
def test_rungs_double_up_to_the_budget(budget: int, expected: list[int]) -> None:
    assert rungs(budget) == expected


def test_by_hand() -> None:
    suite = {
        SampleId("falls at the second"): item({0: YES, 1: NO, 3: YES}, (YES, YES, YES, NO)),
        # Its first edit was not valid: with a budget of one there is nothing to hold out against.
        SampleId("holds"): item({1: YES, 2: YES}, (NO, YES, YES, YES)),
        # Wrong without any edit: no attacker's doing, yet not robust.
        SampleId("errs"): item({0: YES}, (NO, NO, NO, NO), original=NO),
    }
    first, second, last = climb(suite, 4)
    assert [first.edits, second.edits, last.edits] == [1, 2, 4]
    assert (first.robust, second.robust, last.robust) == (share(1, 2), share(1, 3), share(1, 3))
    assert (first.beaten, second.beaten, last.beaten) == (share(0, 1), share(1, 2), share(1, 2))
    assert (first.chance, second.chance, last.chance) == (share(1, 2), share(1, 2), share(2, 2))


def test_chance_and_an_attack_that_does_nothing_rise_alike() -> None:
    """A defender that errs at random in one answer of ten, whatever it is shown."""
    rng, samples, budget = np.random.default_rng(0), 4000, 8
    draws = rng.random((samples, 2 * budget)) < 0.9
    replies = [[YES if right else NO for right in row] for row in draws]
    suite = {
        SampleId(str(n)): item(dict(enumerate(row[:budget])), tuple(row[budget:])) for n, row in enumerate(replies)
    }
    for rung in climb(suite, budget):
        expected = 1 - 0.9**rung.edits
        assert rung.beaten.value == pytest.approx(expected, abs=0.025)
        assert rung.chance.value == pytest.approx(expected, abs=0.025)
        assert rung.robust.value == pytest.approx(1 - rung.beaten.value)
