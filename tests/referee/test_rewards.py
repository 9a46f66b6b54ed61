"""What a match pays, by hand."""

from __future__ import annotations

import pytest

from sparring.referee import rewards
from sparring.referee.config import RewardConfig
from sparring.referee.rewards import attacker_reward, defender_reward, failure

R, W = True, False


@pytest.mark.parametrize(
    ("correct", "control_failure", "excess", "all_wrong"),
    [
        ([R, R, R, R], 0.0, 0.0, 0.0),
        ([W, R, R, R], 0.0, 0.25, 0.0),
        ([W, W, W, W], 0.0, 1.0, 1.0),
        ([W, W, W, W], 0.25, 0.75, 1.0),
        ([W, R, R, R], 0.5, 0.0, 0.0),
        ([W], 0.0, 1.0, 1.0),
    ],
)
def test_the_attacker_is_paid_for_failures_beyond_the_controls(
    correct: list[bool], control_failure: float, excess: float, all_wrong: float
) -> None:
    assert attacker_reward("excess")(correct, control_failure) == pytest.approx(excess)
    assert attacker_reward("all_wrong")(correct, control_failure) == all_wrong


def test_failure_is_the_share_of_wrong_answers() -> None:
    assert failure([R, W, W, W]) == 0.75


@pytest.mark.parametrize(("correct", "exact", "reward"), [(R, R, 1.0), (R, W, 0.8), (W, R, 0.0), (W, W, 0.0)])
def test_the_defender_is_paid_for_form_only_if_it_is_right(correct: bool, exact: bool, reward: float) -> None:
    assert defender_reward(correct, exact, RewardConfig()) == pytest.approx(reward)


def test_weights_are_configuration() -> None:
    assert defender_reward(True, True, RewardConfig(letter=0.5, form=0.1)) == pytest.approx(0.6)


def test_an_unknown_reward_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"'generous'; there are \['all_wrong', 'excess'\]"):
        attacker_reward("generous")


def test_rewards_of_others_are_found_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        def load(self) -> rewards.AttackerReward:
            return lambda correct, control_failure: 0.123

    monkeypatch.setattr(
        rewards,
        "entry_points",
        lambda group, name: [Entry()] if (group, name) == ("sparring.rewards", "steady") else [],
    )
    assert attacker_reward("steady")([R], 0.0) == 0.123
