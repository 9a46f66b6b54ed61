"""What is asked, from messages of the contract to the referee's values."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.timestamp_pb2 import Timestamp

from sparring.ledgers.records import Learner, Purpose
from sparring.referee.check import Plan, fingerprint, suite_name
from sparring.referee.checks.record import CheckRecord
from sparring.referee.checks.standing import Standing
from sparring.referee.terms import Attack, Terms
from sparring.serving.errors import Violation
from sparring.v1 import checks_pb2, revision_pb2

PHASE = "check"
STATES = {
    "waiting": checks_pb2.CHECK_STATE_WAITING,
    "running": checks_pb2.CHECK_STATE_RUNNING,
    "finished": checks_pb2.CHECK_STATE_FINISHED,
    "cancelled": checks_pb2.CHECK_STATE_CANCELLED,
    "capped": checks_pb2.CHECK_STATE_CAPPED,
    "failed": checks_pb2.CHECK_STATE_FAILED,
}


def unclear(spec: checks_pb2.CheckSpec, uploaded: int) -> Iterator[Violation]:
    """What the contract's field rules can't say: revisions that are left open, and where samples come from."""
    if spec.model.HasField("defender") and not spec.model.defender.name:
        yield Violation("spec.model.defender.name", "a check must name the revision that it measures", "check.pinned")
    for index, attack in enumerate(spec.attacks):
        if attack.HasField("learned") and not attack.learned.revision.name:
            field = f"spec.attacks[{index}].learned.revision.name"
            yield Violation(field, "a check must name the revision that edits", "check.pinned")
    if len({attack.SerializeToString(deterministic=True) for attack in spec.attacks}) < len(spec.attacks):
        yield Violation("spec.attacks", "an attack is named twice; raise the budget instead", "check.attacks")
    if spec.HasField("dataset") and uploaded:
        yield Violation("spec.dataset", "samples were sent as well; name a dataset or send samples", "check.samples")
    if not spec.HasField("dataset") and not uploaded:
        yield Violation("spec.dataset", "there are no samples; name a dataset, or send some", "check.samples")


def to_plan(record: CheckRecord, tested: revision_pb2.Revision, option_seed: int) -> Plan:
    """What is to be played.

    Args:
        record: the check.
        tested: the model under test, as the ledger names it.
        option_seed: what options are shuffled by.
    """
    spec, check_id = record.spec, record.check_id
    attacks = (attack.learned if attack.HasField("learned") else attack.procedural for attack in spec.attacks)
    terms = Terms(
        match_id=check_id,
        campaign=check_id,
        phase=PHASE,
        purpose=Purpose.CHECK,
        learner=Learner.NONE,
        seed=spec.seed,
        defender=tested,
        answers=1,
        sampling=spec.sampling,
    )
    return Plan(
        suite=suite_name(record.uri, spec.dataset.offset, record.wanted, spec.seed),
        attacks=tuple(Attack(spec.budget, by) for by in attacks),
        terms=terms,
        # Edits are shared by all checks of a suite; answers belong to one.
        asking=fingerprint(check_id, spec.sampling.SerializeToString(deterministic=True), option_seed),
        again=spec.again,
    )


def to_check(standing: Standing) -> checks_pb2.Check:
    """How far a check is, for its owner."""
    record = standing.record
    submitted, ended = Timestamp(), Timestamp()
    submitted.FromDatetime(record.submitted)
    if record.ended is not None:
        ended.FromDatetime(record.ended.time)
    return checks_pb2.Check(
        check_id=record.check_id,
        request_id=record.spec.request_id,
        state=STATES[standing.state],
        done=standing.done,
        wanted=record.wanted,
        missing=standing.missing,
        error=record.ended.error if record.ended else "",
        submitted=submitted,
        ended=ended if record.ended else None,
    )
