"""What a campaign does next: a pure function of what has been decided and what has been trained.

    for each iteration: attacker phase, check, gate, release; defender phase, check, gate, release

Nothing else is remembered, so a conductor that is killed at any moment is replaced by one that reads on. Each action
ends with an entry in the journal or with a manifest; doing one twice does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparring.ledgers.entries import (
    CampaignFinished,
    CheckFinished,
    GateDecided,
    JournalEntry,
    PhaseFinished,
    PhaseStarted,
    Promoted,
)
from sparring.ledgers.manifest import Manifest
from sparring.ledgers.records import RevisionName
from sparring.ledgers.revision import ROLES, Role


@dataclass(frozen=True)
class Plan:
    """What was asked for.

    Attributes:
        iterations: of an attacker phase and a defender phase each.
        steps: optimizer steps of a role's phase; with 0 the role does not learn.
    """

    iterations: int
    steps: Mapping[Role, int]


@dataclass(frozen=True)
class PublishBases:
    """Make the base weights the first revision of these roles: number 0, or the next if that was begun and given up."""

    roles: tuple[Role, ...]


@dataclass(frozen=True)
class Promote:
    """Point the release channel of `role` at `revision`."""

    role: Role
    revision: RevisionName


@dataclass(frozen=True)
class Check:
    """Let a defender answer the suite: the originals, and every edit of these attackers, made if they are not there."""

    defender: RevisionName
    attackers: tuple[RevisionName, ...]


@dataclass(frozen=True)
class StartPhase:
    """Say who learns from here on, from which weights, against whom."""

    phase: str
    role: Role
    iteration: int
    parent: RevisionName
    opponent: RevisionName
    steps: int


@dataclass(frozen=True)
class Train:
    """Play and train until the phase has all its manifests.

    Attributes:
        started: the phase.
        done: optimizer steps that have their manifest.
        revision: the learner's newest, which is played with until the next step is done.
    """

    started: PhaseStarted
    done: int
    revision: RevisionName


@dataclass(frozen=True)
class FinishPhase:
    """Say that the phase has all its steps."""

    phase: str
    revision: RevisionName


@dataclass(frozen=True)
class Decide:
    """Hold the outcome of a phase against what is released."""

    phase: str
    role: Role
    candidate: RevisionName
    incumbent: RevisionName
    opponent: RevisionName


@dataclass(frozen=True)
class Finish:
    """Write the last entry."""

    iterations: int


Action = PublishBases | Promote | Check | StartPhase | Train | FinishPhase | Decide | Finish


def phase_name(iteration: int, role: Role) -> str:
    """For example `i1-attacker`."""
    return f"i{iteration}-{role}"


def next_action(plan: Plan, journal: Sequence[JournalEntry], manifests: Sequence[Manifest]) -> Action | None:
    """What to do now; None when the campaign is over.

    Args:
        plan: what was asked for.
        journal: every entry so far; the first says that the campaign has started.
        manifests: of both roles, each role's lowest number first.
    """
    return _Position(plan, journal, manifests).action()


def current(journal: Sequence[JournalEntry], role: Role) -> RevisionName | None:
    """What is released of a role; None before the campaign has its bases."""
    promotions = [entry.revision for entry in journal if isinstance(entry, Promoted) and entry.role == role]
    return promotions[-1] if promotions else None


def suite_attackers(journal: Sequence[JournalEntry], until: int | None = None) -> tuple[RevisionName, ...]:
    """Whose edits the suite holds, or is to hold next.

    Args:
        journal: every entry so far.
        until: the last iteration that counts; None is all of them.

    Returns:
        the base, then the outcome of each attacker phase, refused ones too.
    """
    return (*_base(journal, "attacker"), *_outcomes(journal, "attacker", until))


def defenders(journal: Sequence[JournalEntry]) -> tuple[RevisionName, ...]:
    """Who answers the suite: the base, then the outcome of each defender phase, refused ones too."""
    return (*_base(journal, "defender"), *_outcomes(journal, "defender", None))


def _base(journal: Sequence[JournalEntry], role: Role) -> list[RevisionName]:
    """What was released first."""
    return [entry.revision for entry in journal if isinstance(entry, Promoted) and entry.role == role][:1]


def _outcomes(journal: Sequence[JournalEntry], role: Role, until: int | None) -> list[RevisionName]:
    phases = {
        entry.phase
        for entry in journal
        if isinstance(entry, PhaseStarted) and entry.role == role and (until is None or entry.iteration <= until)
    }
    return [entry.revision for entry in journal if isinstance(entry, PhaseFinished) and entry.phase in phases]


class _Position:
    """Reads journal and manifests from the beginning, and stops at what is missing first."""

    def __init__(self, plan: Plan, journal: Sequence[JournalEntry], manifests: Sequence[Manifest]) -> None:
        self._plan, self._journal, self._manifests = plan, journal, manifests
        self._started = {e.phase: e for e in journal if isinstance(e, PhaseStarted)}
        self._finished = {e.phase: e for e in journal if isinstance(e, PhaseFinished)}
        self._decided = {e.phase: e for e in journal if isinstance(e, GateDecided)}
        self._promoted = {e.revision for e in journal if isinstance(e, Promoted)}
        self._checked = {(e.defender, e.attackers) for e in journal if isinstance(e, CheckFinished)}

    def action(self) -> Action | None:
        if any(isinstance(entry, CampaignFinished) for entry in self._journal):
            return None
        return self._opening() or self._iterations() or self._closing()

    def _opening(self) -> Action | None:
        bases: dict[Role, RevisionName] = {m.role: m.name for m in reversed(self._manifests) if m.parent is None}
        missing = tuple(role for role in ROLES if role not in bases)
        if missing:
            return PublishBases(missing)
        for role in ROLES:
            if current(self._journal, role) is None:
                return Promote(role, bases[role])
        return self._check(defenders(self._journal)[0], suite_attackers(self._journal, until=0))

    def _iterations(self) -> Action | None:
        for iteration in range(1, self._plan.iterations + 1):
            for role in ROLES:
                action = self._phase(iteration, role) if self._plan.steps[role] else None
                if action is not None:
                    return action
        return None

    def _closing(self) -> Action:
        """Every defender answers the whole suite, so that first and last are compared on the same edits."""
        attackers = suite_attackers(self._journal)
        for defender in defenders(self._journal):
            check = self._check(defender, attackers)
            if check is not None:
                return check
        return Finish(self._plan.iterations)

    def _phase(self, iteration: int, role: Role) -> Action | None:
        phase = phase_name(iteration, role)
        started, finished = self._started.get(phase), self._finished.get(phase)
        if started is None:
            return self._start(phase, iteration, role)
        if finished is None:
            return self._train(started)
        return self._judge(started, finished.revision)

    def _start(self, phase: str, iteration: int, role: Role) -> Action:
        parent = current(self._journal, role)
        opponent = current(self._journal, _other(role))
        assert parent is not None
        assert opponent is not None
        return StartPhase(phase, role, iteration, parent, opponent, self._plan.steps[role])

    def _train(self, started: PhaseStarted) -> Action:
        steps = [manifest for manifest in self._manifests if manifest.phase == started.phase]
        if not steps:
            return Train(started, 0, started.parent)
        # The newest decides: one with a higher step may have been abandoned with its checkpoint.
        newest = steps[-1]
        if newest.step < started.steps:
            return Train(started, newest.step, newest.name)
        return FinishPhase(started.phase, newest.name)

    def _judge(self, started: PhaseStarted, candidate: RevisionName) -> Action | None:
        """Check, gate and release; None when all is done."""
        decided = self._decided.get(started.phase)
        if decided is None:
            defender = candidate if started.role == "defender" else started.opponent
            attackers = suite_attackers(self._journal, started.iteration)
            return self._check(defender, attackers) or Decide(
                started.phase, started.role, candidate, started.parent, started.opponent
            )
        if decided.accepted and candidate not in self._promoted:
            return Promote(started.role, candidate)
        return None

    def _check(self, defender: RevisionName, attackers: tuple[RevisionName, ...]) -> Check | None:
        return None if (defender, attackers) in self._checked else Check(defender, attackers)


def _other(role: Role) -> Role:
    return "defender" if role == "attacker" else "attacker"
