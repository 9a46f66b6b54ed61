"""What the gate lets through."""

from __future__ import annotations

import math

import pytest

from sparring.ops.config import GateConfig
from sparring.ops.gate import decide_attacker, decide_defender
from sparring.referee.measures import Difference
from sparring.referee.statistics import NOTHING, Share

GATE = GateConfig()


def share(value: float, half: float = 0.01, n: int = 1000) -> Share:
    return Share(value, value - half, value + half, n)


@pytest.mark.parametrize(
    ("robust", "clean_bound", "reasons"),
    [
        (share(0.05), -0.01, []),
        (share(0.005), -0.01, ["robust"]),
        (share(0.05), -0.02, ["clean"]),
        (share(0.05), -0.0199, []),
        (share(-0.1), -0.1, ["robust", "clean"]),
        (NOTHING, math.nan, ["robust", "clean"]),
    ],
)
def test_defender(robust: Share, clean_bound: float, reasons: list[str]) -> None:
    decision = decide_defender(Difference(robust, share(0.0), clean_bound), GATE)
    assert [reason.split()[0] for reason in decision.reasons] == reasons
    assert decision.accepted == (not reasons)
    assert set(decision.numbers) == {"robust", "clean"}


@pytest.mark.parametrize(("change", "accepted"), [(0.02, True), (0.0, True), (-0.001, False), (math.nan, False)])
def test_attacker(change: float, accepted: bool) -> None:
    asr = NOTHING if math.isnan(change) else share(change)
    assert decide_attacker(asr, GATE).accepted is accepted


def test_a_reason_is_readable() -> None:
    (reason,) = decide_attacker(share(-0.012), GATE).reasons
    assert reason == "attack success changes by −1.2 points (−2.2 to −0.2); it must change by at least +0.0"
