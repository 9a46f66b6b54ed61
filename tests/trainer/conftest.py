"""An arena for trainers: ledgers under a folder, filled with what a tiny untrained policy really did.

Models are of the real classes. What an act earned is up to the test, so that groups have the signal that they should.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.manifest import Draft, Manifest
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
    RevisionName,
    SampleId,
    SampleRecord,
    VerdictRecord,
)
from sparring.ledgers.storage import Storage
from sparring.ledgers.weights import WeightsLedger
from sparring.ops.making.small_mllm import MllmShape, build, write
from sparring.ops.making.tokenizer import make_tokenizer
from sparring.policies.config import Adapter, AnswerSampling, MllmConfig
from sparring.policies.mllm import Mllm
from sparring.policies.policy import Ask, Reply
from sparring.samples.images import encode_png
from sparring.trainer.config import TrainerConfig

SAMPLING = AnswerSampling(temperature=1.2, max_tokens=6)
ADAPTER = Adapter(rank=4, alpha=8, targets=("q_proj", "v_proj"))
CAMPAIGN, PHASE = "c", "i1-defender"
BASE_NAME = RevisionName(f"{CAMPAIGN}/defender/000000")
ANSWERS = 4


@dataclass
class Arena:
    """Ledgers under `root`, and the defender's phase in them."""

    root: Path
    policy: MllmConfig
    played: int = 0

    def __post_init__(self) -> None:
        self.ledger, self.weights = EpisodeLedger(self.root), WeightsLedger(self.root)
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            Mllm(self.policy).export(Path(folder))
            self.publish(Path(folder), 0)

    def publish(self, folder: Path, number: int, **changes: object) -> Manifest:
        layout = "full" if self.policy.adapter is None else "peft"
        draft = {"campaign": CAMPAIGN, "role": "defender", "number": number, "layout": layout, "base": "b"}
        return self.weights.publish(folder, Draft.model_validate(draft | changes))

    def defender(self, name: RevisionName) -> Mllm:
        """A service's policy that has the revision installed."""
        service = Mllm(self.policy.model_copy(update={"adapter": None}))
        service.install(name, self.weights.fetch(name, None, self.root / "cache"))
        return service

    def play(self, count: int, revision: RevisionName = BASE_NAME, **changes: object) -> list[GroupId]:
        """Append `count` groups of answers by a revision, each about a new image, with rewards that differ."""
        rng = np.random.default_rng(self.played)
        images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        asks = [Ask(image, prompt(index), seed=index, count=ANSWERS) for index, image in enumerate(images)]
        groups = []
        for ask, replies in zip(asks, self.defender(revision).rollout(asks, SAMPLING, revision), strict=True):
            groups.append(answers_group(f"m{self.played:04d}", ask, replies, rng, revision, changes))
            self.played += 1
        self.ledger.append_groups(groups)
        return [group.group_id for group in groups]

    def config(self, **changes: object) -> TrainerConfig:
        """A phase of two steps, two groups each, with `changes` by dotted... field."""
        values: dict[str, object] = {
            "storage": Storage(root=str(self.root)),
            "campaign": CAMPAIGN,
            "phase": PHASE,
            "role": "defender",
            "policy": self.policy,
            "sampling": SAMPLING,
            "start": BASE_NAME,
            "steps": 2,
            "groups": 2,
            "objective": {"kind": "dapo"},
            "optimizer": {"rate": 1e-3},
            "checkpoints": str(self.root / "checkpoints"),
        }
        return TrainerConfig.model_validate(values | changes)

    def train(self, config: TrainerConfig, ranks: int = 1) -> subprocess.CompletedProcess[str]:
        """Run the trainer as it is run in earnest."""
        file = self.root / "trainer.json"
        file.write_text(config.model_dump_json())
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
        command = [*launcher, "-m", "sparring.trainer", "--config", str(file)]
        return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)

    def revisions(self) -> list[Manifest]:
        return self.weights.revisions(CAMPAIGN, "defender")


def environment() -> dict[str, str]:
    return os.environ | {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def prompt(index: int) -> str:
    return ("where is the cross", "What is the location of the red circle compared with the blue square?")[index % 2]


def answers_group(
    name: str, ask: Ask, replies: Sequence[Reply], rng: np.random.Generator, revision: str, changes: dict[str, object]
) -> Group:
    """One image, one edit of it, one episode; the rewards are of any size but not all alike."""
    image = encode_png(ask.image)
    sample = SampleRecord(SampleId(f"s-{name}"), image, ask.prompt, ("left", "right"), 0, (), "", "s:1")
    verdict = VerdictRecord(True, (), ())
    edit = EditRecord(
        EditId(f"{name}/e0"), sample.sample_id, "c/attacker/000000", "", "", 0, Kind.SEMANTIC, None, image, verdict
    )
    rewards = rng.permutation(np.linspace(0, 1, len(replies)))
    answers = tuple(
        AnswerRecord(reply.text, reply.tokens, reply.logprobs, None, "none", bool(reward > 0.5), False)
        for reply, reward in zip(replies, rewards, strict=True)
    )
    episode = EpisodeRecord(
        episode_id=EpisodeId(f"{name}/0"),
        sample_id=sample.sample_id,
        edit_id=edit.edit_id,
        prompt=ask.prompt,
        option_order=(0, 1),
        temperature=SAMPLING.temperature,
        defender=revision,
        defender_digest="",
        attacker=edit.attacker,
        answers=answers,
        rewards=tuple(float(reward) for reward in rewards),
        purpose=Purpose.TRAIN,
        campaign=CAMPAIGN,
        phase=PHASE,
        learner=Learner.DEFENDER,
        group_id=GroupId(name),
        group_size=1,
        index=0,
        outcome=Outcome.PLAYED,
    )
    return Group((sample,), (edit,), (), (replace(episode, **changes),))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mllm")
    torch.manual_seed(0)
    shape = MllmShape(text_layers=2, vision_layers=1, text_width=64, vision_width=64, text_mlp=64, spread=0.2)
    model = build(shape, make_tokenizer()).eval()
    model.generation_config.eos_token_id = [2, *range(30, 60)]  # so that answers end early, at different lengths
    write(folder, model, shape)
    return folder


@pytest.fixture
def arena(tmp_path: Path, base: Path) -> Arena:
    return Arena(tmp_path, MllmConfig(base=str(base)))
