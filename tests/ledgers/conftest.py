from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import (
    AnswerRecord,
    EditId,
    EditRecord,
    EpisodeId,
    EpisodeRecord,
    Group,
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

MakeGroup = Callable[..., Group]


def make_sample(name: str) -> SampleRecord:
    targets = (TargetRecord("red circle", (1.5, 2.0, 10.25, 0.1)), TargetRecord("it's", (0.0, 0.0, 3.0, 4.0)))
    image, groups = b"image of " + name.encode(), (("variant", "random"), ("variant", "popular"))
    return SampleRecord(SampleId(name), image, "Where?", ("left", "right"), 1, targets, "", "s:1", groups, "ab" * 32)


def make_edit(name: str, sample: str, *, valid: bool = True) -> EditRecord:
    verdict = VerdictRecord(valid, () if valid else ("ssim",), (("ssim", 0.1 + 0.2), ("colour", 3.0)))
    affine = (1.0, 0.0, 2.5, 0.0, 1.0, -3.0) if valid else None
    return EditRecord(
        edit_id=EditId(name),
        sample_id=SampleId(sample),
        attacker="c/attacker/000001",
        attacker_digest="ab" * 32,
        instruction='Add "it", isn\'t it?',
        seed=2**64 - 1,
        kind=Kind.SEMANTIC,
        affine=affine,
        image=b"\x89PNG" + name.encode() * 20,
        verdict=verdict,
        attack_type="add" if valid else "",
    )


def make_trajectory(name: str) -> TrajectoryRecord:
    rng = np.random.default_rng(len(name))
    return TrajectoryRecord(
        edit_id=EditId(name),
        sigmas=np.linspace(1, 0, 7, dtype=np.float32),
        start=1,
        latents=rng.standard_normal((3, 16, 64)).astype(np.float32),
        final=rng.standard_normal((16, 64)).astype(np.float32),
        logprobs=np.array([-1.1, -2.2], dtype=np.float32),
        noise_level=0.7,
        variant="flow_sde",
        guidance=1.0,
    )


def make_answer(index: int) -> AnswerRecord:
    tokens = np.arange(index, dtype=np.int32)
    logprobs = -np.arange(index, dtype=np.float32) / 3
    letter = None if index == 0 else "A"
    return AnswerRecord(f"answer {index} \\boxed{{A}}", tokens, logprobs, letter, "boxed", index % 2 == 0, index > 1)


def make_episode(group: str, index: int, size: int, **changes: Any) -> EpisodeRecord:
    values: dict[str, Any] = {
        "episode_id": EpisodeId(f"{group}/e{index}"),
        "sample_id": SampleId(f"sample of {group}"),
        "edit_id": EditId(f"{group}/e{index}"),
        "prompt": "Where?\n(A) left\n(B) right",
        "option_order": (1, 0),
        "temperature": 0.9,
        "defender": "c/defender/000002",
        "defender_digest": "cd" * 32,
        "attacker": "c/attacker/000001",
        "answers": tuple(make_answer(i) for i in range(3)),
        "rewards": (index / 3,),
        "purpose": Purpose.TRAIN,
        "campaign": "c",
        "phase": "i1-attacker",
        "learner": Learner.ATTACKER,
        "group_id": GroupId(group),
        "group_size": size,
        "index": index,
        "outcome": Outcome.PLAYED,
    }
    return EpisodeRecord(**(values | changes))


def build(name: str, *, sample: str | None = None, size: int = 3, **changes: object) -> Group:
    """A group with a sample, `size` edits with trajectories, and `size` episodes with `changes`."""
    sample = sample or f"sample of {name}"
    edits = tuple(make_edit(f"{name}/e{i}", sample, valid=i != 1) for i in range(size))
    return Group(
        samples=(make_sample(sample),),
        edits=edits,
        trajectories=tuple(make_trajectory(edit.edit_id) for edit in edits),
        episodes=tuple(make_episode(name, i, size, sample_id=SampleId(sample), **changes) for i in range(size)),
    )


@pytest.fixture
def make_group() -> MakeGroup:
    return build


@pytest.fixture
def ledger(tmp_path: object) -> EpisodeLedger:
    return EpisodeLedger(str(tmp_path))
