"""Records to rows of the tables and back. Values come back as they went in, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from sparring.ledgers.records import (
    AnswerRecord,
    EditId,
    EditRecord,
    EpisodeId,
    EpisodeRecord,
    GroupId,
    Kind,
    Learner,
    Outcome,
    Purpose,
    SampleId,
    SampleRecord,
    TargetRecord,
    TrajectoryRecord,
    VerdictRecord,
)

Row = Mapping[str, Any]
"""Column name to what Arrow takes or gives for it."""


def sample_row(record: SampleRecord) -> Row:
    return asdict(record) | {"groups": [{"name": name, "value": value} for name, value in record.groups]}


def to_sample(row: Row) -> SampleRecord:
    return SampleRecord(
        sample_id=SampleId(row["sample_id"]),
        image=row.get("image", b""),
        question=row["question"],
        options=tuple(row["options"]),
        answer=row["answer"],
        targets=tuple(TargetRecord(target["name"], tuple(target["box"])) for target in row["targets"]),
        category=row["category"],
        source=row["source"],
        groups=tuple((group["name"], group["value"]) for group in row["groups"] or ()),
        image_digest=row["image_digest"] or "",
    )


def edit_row(record: EditRecord) -> Row:
    verdict = record.verdict
    return {
        "edit_id": record.edit_id,
        "sample_id": record.sample_id,
        "attacker": record.attacker,
        "attacker_digest": record.attacker_digest,
        "instruction": record.instruction,
        "seed": record.seed,
        "kind": record.kind.value,
        "affine": record.affine,
        "image": record.image,
        "valid": verdict.valid,
        "reasons": verdict.reasons,
        "measures": [{"name": name, "value": value} for name, value in verdict.measures],
        "attack_type": record.attack_type,
    }


def to_edit(row: Row) -> EditRecord:
    return EditRecord(
        edit_id=EditId(row["edit_id"]),
        sample_id=SampleId(row["sample_id"]),
        attacker=row["attacker"],
        attacker_digest=row["attacker_digest"],
        instruction=row["instruction"],
        seed=row["seed"],
        kind=Kind(row["kind"]),
        affine=None if row["affine"] is None else tuple(row["affine"]),
        image=row.get("image", b""),
        verdict=to_verdict(row),
        attack_type=row["attack_type"] or "",
    )


def to_verdict(row: Row) -> VerdictRecord:
    measures = tuple((measure["name"], measure["value"]) for measure in row["measures"])
    return VerdictRecord(row["valid"], tuple(row["reasons"]), measures)


def trajectory_row(record: TrajectoryRecord, campaign: str, phase: str) -> Row:
    return {
        "edit_id": record.edit_id,
        "campaign": campaign,
        "phase": phase,
        "sigmas": record.sigmas,
        "start": record.start,
        "latents": record.latents.astype("<f4").tobytes(),
        "final": record.final.astype("<f4").tobytes(),
        "shape": record.latents.shape,
        "logprobs": record.logprobs,
        "noise_level": record.noise_level,
        "variant": record.variant,
        "guidance": record.guidance,
    }


def to_trajectory(row: Row) -> TrajectoryRecord:
    shape = tuple(row["shape"])
    return TrajectoryRecord(
        edit_id=EditId(row["edit_id"]),
        sigmas=np.array(row["sigmas"], dtype=np.float32),
        start=row["start"],
        latents=np.frombuffer(row["latents"], dtype="<f4").reshape(shape),
        final=np.frombuffer(row["final"], dtype="<f4").reshape(shape[1:]),
        logprobs=np.array(row["logprobs"], dtype=np.float32),
        noise_level=row["noise_level"],
        variant=row["variant"],
        guidance=row["guidance"],
    )


def episode_row(record: EpisodeRecord) -> Row:
    return {
        "episode_id": record.episode_id,
        "sample_id": record.sample_id,
        "edit_id": record.edit_id,
        "prompt": record.prompt,
        "option_order": record.option_order,
        "temperature": record.temperature,
        "defender": record.defender,
        "defender_digest": record.defender_digest,
        "attacker": record.attacker,
        "answers": [vars(answer) for answer in record.answers],
        "rewards": record.rewards,
        "purpose": record.purpose.value,
        "campaign": record.campaign,
        "phase": record.phase,
        "learner": record.learner.value,
        "group_id": record.group_id,
        "group_size": record.group_size,
        "index": record.index,
        "outcome": record.outcome.value,
        "error": record.error,
    }


def to_episode(row: Row) -> EpisodeRecord:
    return EpisodeRecord(
        episode_id=EpisodeId(row["episode_id"]),
        sample_id=SampleId(row["sample_id"]),
        edit_id=None if row["edit_id"] is None else EditId(row["edit_id"]),
        prompt=row["prompt"],
        option_order=tuple(row["option_order"]),
        temperature=row["temperature"],
        defender=row["defender"],
        defender_digest=row["defender_digest"],
        attacker=row["attacker"],
        answers=tuple(_to_answer(answer) for answer in row["answers"]),
        rewards=tuple(row["rewards"]),
        purpose=Purpose(row["purpose"]),
        campaign=row["campaign"],
        phase=row["phase"],
        learner=Learner(row["learner"]),
        group_id=GroupId(row["group_id"]),
        group_size=row["group_size"],
        index=row["index"],
        outcome=Outcome(row["outcome"]),
        error=row["error"],
    )


def _to_answer(row: Row) -> AnswerRecord:
    return AnswerRecord(
        text=row["text"],
        tokens=np.array(row["tokens"], dtype=np.int32),
        logprobs=np.array(row["logprobs"], dtype=np.float32),
        letter=row["letter"],
        rule=row["rule"],
        correct=row["correct"],
        exact=row["exact"],
    )
