"""What a campaign found, in values that summary, table and report are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from sparring.ledgers.entries import Measures, Share
from sparring.ledgers.records import RevisionName
from sparring.ledgers.revision import Role


@dataclass(frozen=True)
class Side:
    """One revision that took part in the suite.

    Attributes:
        name: of the revision.
        label: a short one: A0, A1 for attackers, D0, D1 for defenders, in the order of the campaign.
        released: whether it was ever released.
    """

    name: RevisionName
    label: str
    released: bool


@dataclass(frozen=True)
class Cell:
    """One attacker's edits against one defender: the attack success rate, and robust accuracy on these edits alone."""

    asr: Share
    robust: Share


@dataclass(frozen=True)
class Step:
    """One training step, from its manifest. What is not known is None; shares are 0 to 1."""

    number: int
    reward: float | None
    failure: float | None
    """Share of the defender's answers that were wrong."""


@dataclass(frozen=True)
class Change:
    """A measure before and after, and the paired difference."""

    before: Share
    after: Share
    difference: Share


@dataclass(frozen=True)
class Phase:
    """One phase.

    Attributes:
        iteration, role, name: which.
        parent, outcome: labels of the side that learned, before and after; the outcome is empty until it is there.
        opponent: label of the other side.
        steps: as they were trained, in order; abandoned ones are left out.
        asr, robust: for an attacker, its own edits against the opponent; for a defender, the whole suite as it was.
            None before the check.
        promoted: whether the outcome was released; None before the gate.
        reasons: what spoke against it.
        seconds: from its start to the gate, or to the last entry.
    """

    iteration: int
    role: Role
    name: str
    parent: str
    outcome: str
    opponent: str
    steps: tuple[Step, ...]
    asr: Change | None
    robust: Change | None
    promoted: bool | None
    reasons: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Findings:
    """Everything that is told about a campaign.

    Attributes:
        campaign, seed, commit, config: what was run.
        finished: whether it has run to its end.
        defenders: with what the whole suite says of each; the first is the base.
        last: label of the defender that is released now.
        attackers: whose edits the suite holds.
        cells: attack success by (attacker's label, defender's label).
        robust, clean, asr: the last defender less the first, paired. None while only the base has been checked.
        phases: in order.
        wall_seconds, peak_pss_bytes: of all runs of the conductor.
        samples, edits: of the suite.
    """

    campaign: str
    seed: int
    commit: str
    config: Mapping[str, JsonValue]
    finished: bool
    defenders: tuple[tuple[Side, Measures], ...]
    last: str
    attackers: tuple[Side, ...]
    cells: Mapping[tuple[str, str], Cell]
    robust: Share | None
    clean: Share | None
    asr: Share | None
    phases: tuple[Phase, ...]
    wall_seconds: float
    peak_pss_bytes: int
    samples: int
    edits: int

    @property
    def before(self) -> Measures:
        """Of the base defender."""
        return self.defenders[0][1]

    @property
    def after(self) -> Measures:
        """Of the defender that is released."""
        return next(measures for side, measures in self.defenders if side.label == self.last)
