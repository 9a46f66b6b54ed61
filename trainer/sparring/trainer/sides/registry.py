"""The one place that knows which role learns how."""

from __future__ import annotations

from typing import Any

from sparring.ledgers.episodes import EpisodeLedger
from sparring.policies.config import AnswerSampling, EditorConfig, EditSampling, MllmConfig
from sparring.trainer.config import Dapo, FlowGrpo, Nft, TrainerConfig
from sparring.trainer.sides.side import Side


def open_side(config: TrainerConfig, ledger: EpisodeLedger) -> Side[Any]:
    """The policy of the phase's role with its objective.

    Raises:
        ValueError: policy, sampling and objective do not belong together.
    """
    match (config.policy, config.sampling, config.objective):
        case (MllmConfig() as policy, AnswerSampling() as sampling, Dapo() as objective):
            from sparring.policies.mllm import Mllm
            from sparring.trainer.sides.answers import Answers

            return Answers(Mllm(policy), ledger, sampling, objective)
        case (EditorConfig() as policy, EditSampling() as sampling, FlowGrpo() as objective):
            from sparring.policies.editor import Editor
            from sparring.trainer.sides.edits import EditsByGrpo

            return EditsByGrpo(Editor(policy), ledger, sampling, objective)
        case (EditorConfig() as policy, EditSampling() as sampling, Nft() as objective):
            from sparring.policies.editor import Editor
            from sparring.trainer.sides.edits import EditsByNft

            return EditsByNft(Editor(policy), ledger, sampling, objective, config.seed)
    parts = ", ".join(type(part).__name__ for part in (config.policy, config.sampling, config.objective))
    raise ValueError(f"phase {config.phase}: {parts} do not belong together")
