"""What to do next depends on journal and manifests alone, so a kill at any moment changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from sparring.ledgers.entries import (
    CampaignFinished,
    CampaignStarted,
    CheckFinished,
    GateDecided,
    JournalEntry,
    Measures,
    PhaseFinished,
    PhaseStarted,
    Promoted,
    Share,
    Usage,
)
from sparring.ledgers.manifest import Draft, Manifest
from sparring.ledgers.records import RevisionName
from sparring.ledgers.revision import ROLES, Revision, Role
from sparring.ops.conductor import (
    Action,
    Check,
    Decide,
    Finish,
    FinishPhase,
    Plan,
    Promote,
    PublishBases,
    StartPhase,
    Train,
    current,
    defenders,
    next_action,
    suite_attackers,
)

NOTHING = Share(value=None, low=None, high=None, n=0)
STARTED = CampaignStarted(campaign="c", config={}, seed=0, commit="")
MEASURES = Measures(clean=NOTHING, control=NOTHING, robust=NOTHING, asr=NOTHING, validity=NOTHING, missing=0)


def plan(iterations: int = 2, attacker: int = 2, defender: int = 2) -> Plan:
    return Plan(iterations, {"attacker": attacker, "defender": defender})


@dataclass
class World:
    """A campaign whose services do at once what is asked of them."""

    plan: Plan
    refused: frozenset[str] = frozenset()
    journal: list[JournalEntry] = field(default_factory=lambda: [STARTED])
    manifests: list[Manifest] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)

    def next(self) -> Action | None:
        ordered = sorted(self.manifests, key=lambda m: (m.role, m.number))
        return next_action(self.plan, self.journal, ordered)

    def publish(self, role: Role, phase: str, step: int, parent: RevisionName | None) -> None:
        number = sum(manifest.role == role for manifest in self.manifests)
        self.manifests.append(
            Manifest(
                campaign="c",
                role=role,
                number=number,
                layout="full",
                base="b",
                parent=parent,
                step=step,
                phase=phase,
                files={},
            )
        )

    def perform(self, action: Action) -> None:
        self.actions.append(action)
        match action:
            case PublishBases(roles):
                for role in roles:
                    self.publish(role, "", 0, None)
            case Promote(role, revision):
                self.journal.append(Promoted(role=role, revision=revision))
            case Check(defender, attackers):
                self.journal.append(Usage(wall_seconds=1, peak_pss_bytes=1))
                self.journal.append(CheckFinished(check="k", defender=defender, attackers=attackers, measures=MEASURES))
            case StartPhase(phase, role, iteration, parent, opponent, steps):
                self.journal.append(
                    PhaseStarted(
                        phase=phase, role=role, iteration=iteration, parent=parent, opponent=opponent, steps=steps
                    )
                )
            case Train(started, done, revision):
                self.publish(started.role, started.phase, done + 1, revision)
            case FinishPhase(phase, revision):
                self.journal.append(PhaseFinished(phase=phase, revision=revision))
            case Decide(phase, _, candidate):
                accepted = phase not in self.refused
                self.journal.append(
                    GateDecided(phase=phase, candidate=candidate, accepted=accepted, reasons=(), numbers={})
                )
            case Finish(iterations):
                self.journal.append(CampaignFinished(iterations=iterations))

    def run(self, most: int = 200) -> World:
        for _ in range(most):
            action = self.next()
            if action is None:
                return self
            self.perform(action)
        raise AssertionError("the campaign does not end")


def name(role: Role, number: int) -> RevisionName:
    return Revision("c", role, number).name


def facts(journal: list[JournalEntry]) -> list[dict[str, object]]:
    """Decisions, without the time at which they were made and what they took."""
    return [entry.model_dump(exclude={"time"}) for entry in journal if not isinstance(entry, Usage)]


CAMPAIGNS = [
    pytest.param(plan(), frozenset(), id="all accepted"),
    pytest.param(plan(), frozenset({"i1-attacker", "i1-defender"}), id="first iteration refused"),
    pytest.param(plan(), frozenset({"i2-defender"}), id="last phase refused"),
    pytest.param(plan(iterations=1), frozenset(), id="one iteration"),
    pytest.param(plan(attacker=0), frozenset(), id="only the defender learns"),
    pytest.param(plan(iterations=0), frozenset(), id="nobody learns"),
]


@pytest.mark.parametrize(("asked", "refused"), CAMPAIGNS)
def test_table_of_kills(asked: Plan, refused: frozenset[str]) -> None:
    """Cut the journal after every entry: it continues to the same end."""
    whole = World(asked, refused).run()
    for kept in range(1, len(whole.journal)):
        again = World(asked, refused, whole.journal[:kept], list(whole.manifests))
        assert facts(again.run().journal) == facts(whole.journal), f"after {kept} entries"


@pytest.mark.parametrize(("asked", "refused"), CAMPAIGNS)
def test_kills_between_manifests(asked: Plan, refused: frozenset[str]) -> None:
    """Cut the manifests in the middle of the last phase: the steps that are missing are trained, and only they."""
    whole = World(asked, refused).run()
    for kept in range(len(whole.manifests)):
        lost = whole.manifests[kept]
        boundary = next(
            (i for i, e in enumerate(whole.journal) if isinstance(e, PhaseFinished) and e.phase == lost.phase), 1
        )
        again = World(asked, refused, whole.journal[:boundary], whole.manifests[:kept]).run()
        assert [m.name for m in again.manifests] == [m.name for m in whole.manifests]
        assert facts(again.journal) == facts(whole.journal)


def test_order_of_one_iteration() -> None:
    """The order that the design gives."""
    steps = World(plan(iterations=1, attacker=1, defender=1)).run().actions
    a0, a1, d0, d1 = (name(role, number) for role in ROLES for number in (0, 1))
    assert [action for action in steps if not isinstance(action, Train)] == [
        PublishBases(ROLES),
        Promote("attacker", a0),
        Promote("defender", d0),
        Check(d0, (a0,)),
        StartPhase("i1-attacker", "attacker", 1, a0, d0, 1),
        FinishPhase("i1-attacker", a1),
        Check(d0, (a0, a1)),
        Decide("i1-attacker", "attacker", a1, a0, d0),
        Promote("attacker", a1),
        StartPhase("i1-defender", "defender", 1, d0, a1, 1),
        FinishPhase("i1-defender", d1),
        Check(d1, (a0, a1)),
        Decide("i1-defender", "defender", d1, d0, a1),
        Promote("defender", d1),
        Finish(1),
    ]


def test_first_and_last_defender_meet_every_attacker() -> None:
    world = World(plan()).run()
    attackers = suite_attackers(world.journal)
    checked = {(e.defender, e.attackers) for e in world.journal if isinstance(e, CheckFinished)}
    assert len(attackers) == 3
    assert {(defender, attackers) for defender in defenders(world.journal)} <= checked


def test_a_refused_phase_leaves_the_role_where_it_was() -> None:
    world = World(plan(), frozenset({"i1-defender"})).run()
    second = next(e for e in world.journal if isinstance(e, PhaseStarted) and e.phase == "i2-defender")
    assert second.parent == name("defender", 0)
    assert current(world.journal, "defender") == name("defender", 4)
    assert name("defender", 2) in defenders(world.journal)


def test_an_abandoned_manifest_does_not_count() -> None:
    """The trainer lost the checkpoint of step 2 and went on from step 1, so the newest manifest is the head."""
    world = World(plan(iterations=1, attacker=3))
    while not isinstance(world.next(), Train):
        action = world.next()
        assert action is not None
        world.perform(action)
    for step in (1, 2, 2):
        world.publish("attacker", "i1-attacker", step, None)
    action = world.next()
    assert isinstance(action, Train)
    assert (action.done, action.revision) == (2, name("attacker", 3))


def test_steps_of_another_phase_are_not_counted() -> None:
    world = World(plan(iterations=2, attacker=1, defender=1))
    while not (isinstance(action := world.next(), StartPhase) and action.phase == "i2-attacker"):
        assert action is not None
        world.perform(action)
    world.perform(action)
    action = world.next()
    assert isinstance(action, Train)
    assert (action.done, action.revision) == (0, name("attacker", 1))


def test_a_base_that_was_begun_and_given_up_gets_the_next_number() -> None:
    """Number 0 was claimed by a process that died: its successor publishes number 1, and that is the base."""
    world = World(plan(iterations=0))
    for role in ROLES:
        base = Draft(campaign="c", role=role, number=1, layout="full", base="b")
        world.manifests.append(Manifest(**dict(base), files={}))
    assert world.next() == Promote("attacker", name("attacker", 1))
    world.run()
    assert suite_attackers(world.journal) == (name("attacker", 1),)
