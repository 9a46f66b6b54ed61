"""What a match pays: pure functions of what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points

from sparring.referee.config import RewardConfig

AttackerReward = Callable[[Sequence[bool], float], float]
"""From (which answers to the edit were right, share of wrong answers to the control) to a reward in [0, 1]."""


def failure(correct: Sequence[bool]) -> float:
    """Share of answers that are wrong, 0 to 1."""
    return sum(not right for right in correct) / len(correct)


def excess(correct: Sequence[bool], control_failure: float) -> float:
    """max(0, fail(edit) - fail(control)): the attacker is not paid for the defender's own errors."""
    return max(0.0, failure(correct) - control_failure)


def all_wrong(correct: Sequence[bool], control_failure: float) -> float:
    """The paper's form: full pay if every answer is wrong, else nothing (arXiv 2602.22227)."""
    return float(not any(correct))


BUILT_IN: dict[str, AttackerReward] = {"excess": excess, "all_wrong": all_wrong}


def attacker_reward(name: str) -> AttackerReward:
    """The reward of that name, built in or registered as entry point `sparring.rewards`.

    Raises:
        ValueError: there is none.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    found = entry_points(group="sparring.rewards", name=name)
    if not found:
        raise ValueError(f"no attacker reward is called {name!r}; there are {sorted(BUILT_IN)} and entry points")
    reward: AttackerReward = next(iter(found)).load()
    return reward


def defender_reward(correct: bool, exact: bool, config: RewardConfig) -> float:
    """letter c + form c f: nothing for a well-formatted wrong answer."""
    return config.letter * correct + config.form * (correct and exact)
