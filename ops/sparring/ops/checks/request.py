"""From the settings of a check to what is asked of the referee."""

from __future__ import annotations

from pathlib import Path

from sparring.ledgers.weights import WeightsLedger
from sparring.ops.aim import pin
from sparring.ops.checks.campaigns import Campaigned
from sparring.ops.checks.config import CheckConfig, ModelTarget, RunTarget
from sparring.ops.checks.folder import REQUEST
from sparring.ops.messages import to_answer_sampling
from sparring.ops.plays import learned
from sparring.referee.targets.config import OipConfig, OpenAiConfig
from sparring.serving.reconciler import BASE
from sparring.v1 import attacker_pb2, checks_pb2, revision_pb2, sample_pb2

ENDPOINT = "target"
"""What the referee's configuration calls the endpoint under test."""


def to_spec(config: CheckConfig, attackers: Campaigned | None) -> checks_pb2.CheckSpec:
    """What is asked of the referee.

    Args:
        config: of the check.
        attackers: the campaign whose attackers edit, if any do.
    """
    data = config.data
    return checks_pb2.CheckSpec(
        request_id=REQUEST,
        model=to_model(config),
        dataset=sample_pb2.Dataset(uri=data.uri, offset=data.offset, limit=data.limit),
        attacks=[to_attack(name, attackers) for name in config.attacks],
        budget=config.budget,
        again=config.repeats,
        seed=config.seed,
        sampling=to_answer_sampling(config.answering),
        max_calls=config.max_calls,
        label=config.label or (config.target.label if isinstance(config.target, RunTarget | ModelTarget) else ""),
    )


def to_attack(name: str, attackers: Campaigned | None) -> checks_pb2.CheckAttack:
    """One attack: that of a revision if its name has a slash."""
    if "/" not in name:
        return checks_pb2.CheckAttack(procedural=attacker_pb2.ProceduralAttack(name=name))
    assert attackers is not None, "loading refuses a revision without a campaign"
    campaign = attackers.config
    revision = pin(WeightsLedger(attackers.folder.root), attackers.revision("attacker", name))
    return checks_pb2.CheckAttack(learned=learned(revision, campaign.instructions[0], campaign.suite.editing))


def to_model(config: CheckConfig) -> checks_pb2.TestedModel:
    """The model under test."""
    match config.target:
        case RunTarget(run=run, revision=name):
            campaign = Campaigned(Path(run))
            revision = campaign.revision("defender", name)
            return checks_pb2.TestedModel(defender=pin(WeightsLedger(campaign.folder.root), revision))
        case ModelTarget():
            return checks_pb2.TestedModel(defender=revision_pb2.Revision(name=BASE))
        case OpenAiConfig() | OipConfig():
            return checks_pb2.TestedModel(endpoint=ENDPOINT)
