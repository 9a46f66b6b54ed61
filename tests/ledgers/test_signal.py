from __future__ import annotations

import pytest

from sparring.ledgers.signal import has_signal


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ([], False),
        ([0.5, 0.5], False),
        ([0.0, 1.0], True),
        ([0.0] * 199 + [1.0], False),
        ([1.0] * 199 + [0.0], False),
        ([0.0, 0.02], False),
        ([0.0, 0.03], True),
        ([0.0, 0.0], False),
        ([1.0, 1.0], False),
        ([0.0, 0.0199], False),
        ([0.0, 0.0201], True),
        ([0.99, 1.0], False),
        ([0.98, 0.99], True),
        ([0.5], False),
    ],
)
def test_a_group_has_signal_if_its_rewards_differ_around_a_middling_mean(group: list[float], expected: bool) -> None:
    assert has_signal(group) is expected
