"""Makes the weights that a campaign starts from its first revisions.

    python -m sparring.ops.bases --config FILE

A process of its own, because it opens the models. The policy itself writes the revision, so the first has the layout
of all that follow: whole weights, or an adapter that changes nothing yet.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from sparring.ledgers.manifest import Draft
from sparring.ledgers.revision import Role
from sparring.ledgers.storage import Storage
from sparring.ledgers.weights import WeightsLedger
from sparring.policies.config import EditorConfig, MllmConfig


class BasesConfig(BaseModel):
    """Which revisions to make."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    storage: Storage
    campaign: str
    seed: int = 0
    """Of what is new in an adapter."""
    roles: tuple[Role, ...]
    attacker: EditorConfig
    defender: MllmConfig


class _Exports(Protocol):
    def export(self, folder: Path) -> None: ...


def publish(config: BasesConfig) -> None:
    """Publish the first revision of each role that is asked for."""
    import torch

    ledger = WeightsLedger(config.storage.root)
    for role in config.roles:
        torch.manual_seed(config.seed)
        policy = config.attacker if role == "attacker" else config.defender
        with tempfile.TemporaryDirectory() as folder:
            _open(policy).export(Path(folder))
            layout = "full" if policy.adapter is None else "peft"
            # A number that an earlier attempt claimed and left is never used again.
            number = ledger.next_number(config.campaign, role)
            draft = Draft(campaign=config.campaign, role=role, number=number, layout=layout, base=policy.base)
            ledger.publish(Path(folder), draft)


def _open(config: EditorConfig | MllmConfig) -> _Exports:
    if isinstance(config, EditorConfig):
        from sparring.policies.editor import Editor

        return Editor(config)
    from sparring.policies.mllm import Mllm

    return Mllm(config)


def main() -> None:
    """Read the configuration and publish."""
    parser = argparse.ArgumentParser(prog="sparring.ops.bases", description="Publish the first revision of each role.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with a BasesConfig")
    publish(BasesConfig.model_validate_json(parser.parse_args().config.read_text()))


if __name__ == "__main__":
    main()
