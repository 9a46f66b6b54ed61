"""A phase whose parts do not belong together is refused before anything is loaded."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sparring.trainer.config import TrainerConfig

MLLM = {"base": "b", "max_pixels": 4096}
EDITOR = {"base": "b", "pixels": 4096}
ANSWERING = {"max_tokens": 9}
EDITING = {"steps": 6}
ADAPTER = {"targets": ["q_proj"]}
SFT = {"kind": "sft", "dataset": "shapes:train"}


def config(**changes: object) -> TrainerConfig:
    values: dict[str, object] = {
        "storage": {"root": "r"},
        "campaign": "c",
        "phase": "p",
        "role": "defender",
        "policy": MLLM,
        "sampling": ANSWERING,
        "start": "c/defender/000000",
        "steps": 1,
        "objective": {"kind": "dapo"},
        "checkpoints": "k",
    }
    return TrainerConfig.model_validate(values | changes)


ATTACKER = {"role": "attacker", "policy": EDITOR, "sampling": EDITING, "objective": {"kind": "flow_grpo"}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        ATTACKER,
        ATTACKER | {"objective": {"kind": "nft"}},
        {"objective": SFT, "sampling": None},
        ATTACKER | {"objective": SFT, "sampling": None},
        {"policy": MLLM | {"dtype": "bfloat16"}, "engine": {"bf16": True, "zero_stage": 2}},
        {"policy": MLLM | {"dtype": "bfloat16", "adapter": ADAPTER}},
    ],
    ids=str,
)
def test_what_belongs_together_survives_json(changes: dict[str, object]) -> None:
    made = config(**changes)
    assert TrainerConfig.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": {"kind": "nft"}}, "the defender cannot learn by nft with Nft; expected Dapo or Sft"),
        ({"policy": EDITOR}, "the defender cannot learn by dapo with EditorConfig; expected MllmConfig"),
        ({"sampling": EDITING}, "dapo with EditSampling; expected AnswerSampling"),
        ({"sampling": None}, "dapo with NoneType; expected AnswerSampling"),
        (ATTACKER | {"objective": {"kind": "dapo"}}, "the attacker cannot learn by dapo"),
        ({"objective": SFT}, "sft with AnswerSampling; expected NoneType"),
        ({"engine": {"bf16": True}}, "set zero_stage to 1 or more"),
        ({"engine": {"bf16": True, "zero_stage": 1}}, "engine.bf16 trains in bfloat16 and policy.dtype"),
        ({"policy": MLLM | {"dtype": "bfloat16"}}, "whole weights in bfloat16 lose small updates"),
        ({"engine": {"zero_stage": 3}}, "zero_stage"),
        ({"stepz": 1}, "stepz"),
    ],
)
def test_what_does_not_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**changes)


def test_the_mismatch_that_is_sound_follows_from_the_objective() -> None:
    assert config().mismatch == 1e-4
    assert config(**ATTACKER | {"objective": {"kind": "flow_grpo", "clip": 1e-3}}).mismatch == pytest.approx(1e-4)
    assert config(limits={"mismatch": 0.1}).mismatch == 0.1
