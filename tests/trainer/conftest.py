"""An arena for trainers: ledgers under a folder, filled with what a tiny policy of the real class really did.

What an act earned is up to the arena, so that groups have signal although nobody has learnt anything yet.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

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
from sparring.policies.config import AnswerSampling, MllmConfig
from sparring.policies.mllm import Mllm
from sparring.policies.policy import Ask, Reply
from sparring.samples.images import encode_png
from sparring.trainer.config import TrainerConfig
from sparring.trainer.phase import train

SAMPLING = AnswerSampling(temperature=1.2, max_tokens=6)
Tensors = dict[str, torch.Tensor]
CAMPAIGN, PHASE = "c", "i1-defender"
FIRST = RevisionName(f"{CAMPAIGN}/defender/000000")
ANSWERS = 4
PROMPTS = ("where is the cross", "What is the location of the red circle compared with the blue square?")


@dataclass
class Arena:
    """Ledgers under `root` and a defender's phase in them."""

    root: Path
    policy: MllmConfig
    played: int = 0

    def __post_init__(self) -> None:
        self.ledger, self.weights = EpisodeLedger(self.root), WeightsLedger(self.root)

    def found(self) -> None:
        """Publish the first revision."""
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            Mllm(self.policy).export(Path(folder))
            layout = "full" if self.policy.adapter is None else "peft"
            draft = Draft(campaign=CAMPAIGN, role="defender", number=0, layout=layout, base=self.policy.base)
            self.weights.publish(Path(folder), draft)

    def defender(self, name: RevisionName) -> Mllm:
        """A service's policy that has the revision."""
        service = Mllm(self.policy.model_copy(update={"adapter": None}))
        service.install(name, self.weights.fetch(name, None, self.root / "cache"))
        return service

    def play(self, many: int, revision: RevisionName = FIRST, **changes: object) -> list[GroupId]:
        """Append groups of answers by a revision, each about another image, every third about an original."""
        service = self.defender(revision)
        rng = np.random.default_rng(self.played)
        images = rng.integers(0, 256, (many, 32, 32, 3), dtype=np.uint8)
        asks = [Ask(image, PROMPTS[index % 2], seed=index, count=ANSWERS) for index, image in enumerate(images)]
        groups = []
        for ask, replies in zip(asks, service.rollout(asks, SAMPLING, revision), strict=True):
            groups.append(answered(f"g{self.played:03d}", ask, replies, rng, defender=revision, **changes))
            self.played += 1
        self.ledger.append_groups(groups)
        return [group.group_id for group in groups]

    def config(self, **changes: object) -> TrainerConfig:
        """A phase of two steps of two groups each, or as `changes` have it."""
        values: dict[str, object] = {
            "storage": Storage(root=str(self.root)),
            "campaign": CAMPAIGN,
            "phase": PHASE,
            "role": "defender",
            "policy": self.policy,
            "sampling": SAMPLING,
            "start": FIRST,
            "steps": 2,
            "groups": 2,
            "max_staleness": 9,
            "objective": {"kind": "dapo"},
            "optimizer": {"rate": 1e-3},
            "limits": {"starve_seconds": 0.5},
            "checkpoints": str(self.root / "checkpoints"),
        }
        return TrainerConfig.model_validate(values | changes)

    def train(self, **changes: object) -> list[Manifest]:
        """Train in this process, as its only rank; the phase's revisions so far."""
        train(self.config(**changes))
        return self.steps

    @property
    def steps(self) -> list[Manifest]:
        return self.weights.revisions(CAMPAIGN, "defender", after=0)

    def tensors(self, name: RevisionName) -> Tensors:
        (file,) = self.weights.fetch(name, None, self.root / "cache").glob("*.safetensors")
        return load_file(file)


def answered(name: str, ask: Ask, replies: Sequence[Reply], rng: np.random.Generator, **changes: object) -> Group:
    """One image with its answers, which earn 0 to 1 in some order."""
    image, clean = encode_png(ask.image), rng.random() < 1 / 3
    sample = SampleRecord(SampleId(f"s-{name}"), image, ask.prompt, ("left", "right"), 0, (), "", "")
    edit = EditRecord(
        EditId(f"{name}/e0"), sample.sample_id, "a", "", "", 0, Kind.SEMANTIC, None, image, VerdictRecord(True, (), ())
    )
    rewards = rng.permutation(np.linspace(0, 1, len(replies))).tolist()
    episode = EpisodeRecord(
        episode_id=EpisodeId(f"{name}/0"),
        sample_id=sample.sample_id,
        edit_id=None if clean else edit.edit_id,
        prompt=ask.prompt,
        option_order=(0, 1),
        temperature=SAMPLING.temperature,
        defender=FIRST,
        defender_digest="",
        attacker="a",
        answers=tuple(
            AnswerRecord(reply.text, reply.tokens, reply.logprobs, None, "", reward > 0.5, False)
            for reply, reward in zip(replies, rewards, strict=True)
        ),
        rewards=tuple(rewards),
        purpose=Purpose.TRAIN,
        campaign=CAMPAIGN,
        phase=PHASE,
        learner=Learner.DEFENDER,
        group_id=GroupId(name),
        group_size=1,
        index=0,
        outcome=Outcome.PLAYED,
    )
    return Group((sample,), () if clean else (edit,), (), (replace(episode, **changes),))  # type: ignore[arg-type]


def apart(found: Tensors, expected: Tensors, start: Tensors) -> float:
    """How far two outcomes of training lie apart, as a share of how far they lie from the start."""
    difference = sum(float((found[name] - tensor).square().sum()) for name, tensor in expected.items())
    moved = sum(float((start[name] - tensor).square().sum()) for name, tensor in expected.items())
    return float(np.sqrt(difference / moved))


@pytest.fixture(autouse=True)
def _only_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process be a whole group of ranks; port 0 is any free one."""
    place = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mllm")
    torch.manual_seed(0)
    shape = MllmShape(text_layers=2, vision_layers=1, text_width=64, vision_width=64, text_mlp=64, spread=0.2)
    model = build(shape, make_tokenizer()).eval()
    model.generation_config.eos_token_id = [2, *range(30, 60)]  # so that answers end early, at different lengths
    write(folder, model, shape)
    return folder


@pytest.fixture(scope="session")
def played(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ledgers with eight groups by the first revision."""
    arena = Arena(tmp_path_factory.mktemp("played"), MllmConfig(base=str(base)))
    arena.found()
    arena.play(8)
    return arena.root


@pytest.fixture
def make_arena(base: Path, played: Path, tmp_path: Path) -> Callable[[], Arena]:
    """Makes a copy of those ledgers, as often as it is called."""
    numbers = count()

    def make() -> Arena:
        root = shutil.copytree(played, tmp_path / f"arena{next(numbers)}")
        return Arena(root, MllmConfig(base=str(base)), played=8)

    return make


@pytest.fixture
def arena(make_arena: Callable[[], Arena]) -> Arena:
    return make_arena()
