"""Whether the outcome of a phase may be released: pure functions of paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sparring.ledgers.entries import Share
from sparring.ops.config import GateConfig
from sparring.ops.text import points, points_interval
from sparring.referee import statistics
from sparring.referee.measures import Difference


@dataclass(frozen=True)
class Decision:
    """What the gate says. `reasons` speak against the candidate; without any it is accepted."""

    reasons: tuple[str, ...]
    numbers: Mapping[str, Share]

    @property
    def accepted(self) -> bool:
        return not self.reasons


def to_share(share: statistics.Share) -> Share:
    """The share as the journal keeps it: what is not a number is None."""
    return Share.model_validate(share, from_attributes=True)


def decide_defender(difference: Difference, config: GateConfig) -> Decision:
    """Candidate less incumbent: it must gain robustness and not lose clean accuracy by more than the margin."""
    robust, clean = to_share(difference.robust), to_share(difference.clean)
    reasons: list[str] = []
    if robust.low is None or robust.low <= config.robust_gain:
        reasons.append(
            f"robust accuracy changes by {_told(robust)}; the lower bound must be above {100 * config.robust_gain:+.1f}"
        )
    if math.isnan(difference.clean_bound) or difference.clean_bound <= -config.clean_margin:
        margin = f"{100 * config.clean_margin:.1f} points"
        reasons.append(f"clean accuracy changes by {_told(clean)}; a loss of {margin} is not ruled out")
    return Decision(tuple(reasons), {"robust": robust, "clean": clean})


def decide_attacker(difference: statistics.Share, config: GateConfig) -> Decision:
    """Candidate less incumbent against the same defender: its success must not be lower."""
    asr = to_share(difference)
    if asr.value is not None and asr.value >= config.asr_gain:
        return Decision((), {"asr": asr})
    reason = f"attack success changes by {_told(asr)}; it must change by at least {100 * config.asr_gain:+.1f}"
    return Decision((reason,), {"asr": asr})


def _told(share: Share) -> str:
    if share.value is None:
        return "an unknown amount (nothing could be compared)"
    return f"{points(share)} ({points_interval(share)})"
