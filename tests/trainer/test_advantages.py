"""Advantages against their closed forms, and what has signal."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparring.trainer.advantages import answer_advantages, edit_advantages

rewards = st.lists(st.floats(0, 1), min_size=2, max_size=8)


def test_answers_are_compared_as_trl_compares_them() -> None:
    """TRL divides by torch's unbiased deviation plus 1e-4; ours adds 1e-6, so a wide group agrees."""
    given_rewards = torch.tensor([0.0, 0.8, 1.0, 1.0])
    expected = (given_rewards - given_rewards.mean()) / given_rewards.std()
    np.testing.assert_allclose(answer_advantages(given_rewards.tolist()), expected, rtol=1e-5)


@given(rewards)
def test_advantages_of_a_group_add_up_to_nothing(values: list[float]) -> None:
    for found in (answer_advantages(values), *edit_advantages([values], "group", 1e9)):
        assert found.dtype == np.float32
        assert found.sum() == pytest.approx(0, abs=1e-4)
        assert (np.diff(found[np.argsort(values)]) >= 0).all()


@given(rewards, st.floats(0.1, 5))
def test_edits_are_clipped(values: list[float], clip: float) -> None:
    (found,) = edit_advantages([values], "group", clip)
    assert np.abs(found).max() <= np.float32(clip)


def test_edits_are_divided_by_the_spread_of_group_or_batch() -> None:
    groups = [[0.0, 1.0], [0.4, 0.6]]
    first, second = edit_advantages(groups, "group", 5)
    np.testing.assert_allclose(first, [-1, 1], rtol=1e-3)
    np.testing.assert_allclose(second, [-1, 1], rtol=2e-3)
    whole = np.std([0.0, 1.0, 0.4, 0.6])
    first, second = edit_advantages(groups, "batch", 5)
    np.testing.assert_allclose(first, np.array([-0.5, 0.5]) / whole, rtol=1e-3)
    np.testing.assert_allclose(second, np.array([-0.1, 0.1]) / whole, rtol=1e-3)
