"""The one place that knows which role learns how, and from what."""

from __future__ import annotations

from typing import Any

from sparring.ledgers.episodes import EpisodeLedger
from sparring.policies.config import AnswerSampling, EditorConfig, EditSampling, MllmConfig
from sparring.trainer.config import Dapo, FlowGrpo, Nft, Sft, TrainerConfig
from sparring.trainer.feed import Feed
from sparring.trainer.health import Gauges
from sparring.trainer.lessons import Pairs, Samples
from sparring.trainer.lineage import Standing
from sparring.trainer.sides.side import Side
from sparring.trainer.supply import Supply


def open_side(config: TrainerConfig, ledger: EpisodeLedger) -> Side[Any, Any]:
    """The policy of the phase's role with its objective."""
    match (config.policy, config.sampling, config.objective):
        case (MllmConfig() as policy, AnswerSampling() as sampling, Dapo() as objective):
            from sparring.policies.mllm import Mllm
            from sparring.trainer.sides.answers import Answers

            again = None if config.updates == 1 else config.engine.micro_batch
            return Answers(Mllm(policy), ledger, sampling, objective, again)
        case (EditorConfig() as policy, EditSampling() as sampling, FlowGrpo() as objective):
            from sparring.policies.editor import Editor
            from sparring.trainer.sides.edits import EditsByGrpo

            return EditsByGrpo(Editor(policy), ledger, sampling, objective)
        case (EditorConfig() as policy, _, Nft() as objective):
            from sparring.policies.editor import Editor
            from sparring.trainer.sides.nft import EditsByNft

            return EditsByNft(Editor(policy), ledger, objective, config.seed, single=config.updates == 1)
        case (MllmConfig() as policy, _, Sft()):
            from sparring.policies.mllm import Mllm
            from sparring.trainer.sides.warm_up import AnswersBySft

            return AnswersBySft(Mllm(policy), config.seed)
        case (EditorConfig() as policy, _, Sft()):
            from sparring.policies.editor import Editor
            from sparring.trainer.sides.warm_up import EditsBySft

            return EditsBySft(Editor(policy), config.seed)
    raise AssertionError("the configuration has seen to it that its parts belong together")


def open_supply(config: TrainerConfig, ledger: EpisodeLedger, standing: Standing, gauges: Gauges) -> Supply[Any]:
    """What the phase's steps are made of; `gauges` show what is waited for.

    Raises:
        Unusable: there is no such dataset.
    """
    if not isinstance(config.objective, Sft):
        return Feed(ledger, config, standing.consumed, gauges.watch)
    if config.role == "defender":
        return Samples(config.objective, config.groups)
    return Pairs(config.objective, config.groups, config.seed)
