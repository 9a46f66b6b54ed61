"""What a check asked of whom, for its report."""

from __future__ import annotations

from importlib.metadata import version

from sparring.referee.asked import Asked
from sparring.referee.checks.endpoint import to_endpoint
from sparring.referee.checks.record import CheckRecord
from sparring.referee.config import RefereeConfig
from sparring.referee.targets.config import TargetsConfig
from sparring.samples.prompt import FORMAT
from sparring.v1 import checks_pb2

PACKAGES = ("sparring", "numpy", "pillow", "scikit-image", "scipy")
"""Packages that a report's numbers depend on."""


def to_asked(record: CheckRecord, config: RefereeConfig, *, shuffled: bool) -> Asked:
    """What was asked.

    Args:
        record: the check.
        config: of the referee that played it.
        shuffled: whether the options were.
    """
    spec = record.spec
    return Asked(
        target=spec.label or model_name(spec.model, config.targets),
        dataset=record.uri,
        offset=spec.dataset.offset,
        limit=record.wanted,
        attacks=tuple(attack_name(attack) for attack in spec.attacks),
        instructions={
            attack_name(attack): attack.learned.instruction for attack in spec.attacks if attack.HasField("learned")
        },
        budget=spec.budget,
        again=spec.again,
        seed=spec.seed,
        temperature=spec.sampling.temperature,
        max_tokens=spec.sampling.max_tokens,
        options="shuffled" if shuffled else "unshuffled",
        option_seed=config.option_seed,
        prompt=FORMAT,
        max_pixels=config.serving.max_pixels,
        versions={name: version(name) for name in PACKAGES},
    )


def model_name(model: checks_pb2.TestedModel, rules: TargetsConfig) -> str:
    """As the ledger names the model under test."""
    endpoint = to_endpoint(model, rules)
    return model.defender.name if endpoint is None else endpoint.target.name


def attack_name(attack: checks_pb2.CheckAttack) -> str:
    """As the ledger names whoever edits."""
    return str(attack.learned.revision.name) if attack.HasField("learned") else f"procedural:{attack.procedural.name}"
