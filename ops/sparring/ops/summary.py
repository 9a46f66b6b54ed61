"""`summary.json`: the result of a campaign for programs. docs/summary.md explains every field."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, JsonValue

from sparring.ledgers.entries import Measures, Share
from sparring.ledgers.revision import Role
from sparring.ops import findings


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measured(_Model):
    """One defender on the suite."""

    defender: str
    clean: Share
    control: Share
    robust: Share
    asr: Share
    validity: Share
    missing: int


class Difference(_Model):
    """The last defender less the first, paired on the same samples and edits."""

    robust: Share
    clean: Share
    asr: Share


class Change(_Model):
    """A share, 0 to 1, before and after; None where it could not be measured."""

    before: float | None
    after: float | None
    difference: Share


class Phase(_Model):
    """One phase, in the order of the campaign."""

    iteration: int
    role: Role
    steps: int
    asr: Change | None
    robust: Change | None
    promoted: bool | None
    reasons: tuple[str, ...]
    seconds: float


class Cell(_Model):
    """Attack success of one attacker's edits against one defender."""

    attacker: str
    defender: str
    asr: Share
    robust: Share


class Summary(_Model):
    """All of it."""

    campaign: str
    finished: bool
    before: Measured | None
    after: Measured | None
    difference: Difference | None
    phases: tuple[Phase, ...]
    cross_play: tuple[Cell, ...]
    seed: int
    wall_seconds: float
    peak_pss_bytes: int
    commit: str
    config: dict[str, JsonValue]


def summarise(found: findings.Findings) -> Summary:
    """The summary of what was found."""
    measured = {side.label: _measured(side.name, measures) for side, measures in found.defenders}
    difference = None
    if found.robust is not None and found.clean is not None and found.asr is not None:
        difference = Difference(robust=found.robust, clean=found.clean, asr=found.asr)
    return Summary(
        campaign=found.campaign,
        finished=found.finished,
        before=next(iter(measured.values()), None),
        after=measured.get(found.last),
        difference=difference,
        phases=tuple(_phase(phase) for phase in found.phases),
        cross_play=tuple(
            Cell(attacker=attacker, defender=defender, asr=cell.asr, robust=cell.robust)
            for (attacker, defender), cell in found.cells.items()
        ),
        seed=found.seed,
        wall_seconds=found.wall_seconds,
        peak_pss_bytes=found.peak_pss_bytes,
        commit=found.commit,
        config=dict(found.config),
    )


def _measured(defender: str, measures: Measures) -> Measured:
    return Measured(defender=defender, **dict(measures))


def _phase(phase: findings.Phase) -> Phase:
    return Phase(
        iteration=phase.iteration,
        role=phase.role,
        steps=len(phase.steps),
        asr=_change(phase.asr),
        robust=_change(phase.robust),
        promoted=phase.promoted,
        reasons=phase.reasons,
        seconds=phase.seconds,
    )


def _change(change: findings.Change | None) -> Change | None:
    if change is None:
        return None
    return Change(before=change.before.value, after=change.after.value, difference=change.difference)
