"""Settings of one training phase. Importable without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sparring.ledgers.records import RevisionName
from sparring.ledgers.storage import Storage
from sparring.policies.config import AnswerSampling, EditorConfig, EditSampling, MllmConfig


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dapo(_Model):
    """Decoupled clip and dynamic sampling policy optimisation (arXiv 2503.14476), for answers."""

    kind: Literal["dapo"] = "dapo"
    clip_low: float = Field(0.2, gt=0, lt=1)
    clip_high: float = Field(0.28, gt=0)
    dual_clip: float = Field(3.0, gt=1)
    """Most that an answer with a negative advantage can weigh, in units of the advantage."""


class FlowGrpo(_Model):
    """Group-relative policy optimisation of a flow (arXiv 2505.05470), for edits."""

    kind: Literal["flow_grpo"] = "flow_grpo"
    clip: float = Field(1e-4, gt=0)
    """Of the ratio; tiny, as log-probabilities are averaged over latent elements."""
    advantage_clip: float = Field(5.0, gt=0)
    spread: Literal["group", "batch"] = "group"
    """Whose standard deviation advantages are divided by."""
    kl: float = Field(0.0, ge=0)
    """Weight of the divergence from the revision that the phase started from."""


class Nft(_Model):
    """DiffusionNFT (arXiv 2509.16117), for edits: no trajectories, only final latents and rewards."""

    kind: Literal["nft"] = "nft"
    beta: float = Field(0.1, gt=0, le=1)
    """How far the implicit positive and negative policies lie from the old one."""
    spread: Literal["group", "batch"] = "group"
    """Whose standard deviation normalises rewards."""
    draws: int = Field(2, ge=1)
    """Noise levels drawn for each edit and update."""
    kl: float = Field(1e-4, ge=0)
    """Weight of the squared distance from the velocity that the phase started from."""


Objective = Annotated[Dapo | FlowGrpo | Nft, Field(discriminator="kind")]


class Optimizer(_Model):
    """AdamW with a linear warm-up, constant afterwards."""

    rate: float = Field(1e-6, gt=0)
    warm_up: int = Field(0, ge=0)
    """Optimizer steps."""
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""


class Engine(_Model):
    """How DeepSpeed runs it."""

    zero_stage: Literal[0, 1, 2, 3] = 0
    bf16: bool = False
    micro_batch: int = Field(64, ge=1)
    """Answers, or edits, per forward pass and rank; gradients accumulate over as many as an update takes."""
    threads: int = Field(1, ge=1)
    """Of torch, per rank."""


class Limits(_Model):
    """When the trainer complains."""

    starve_seconds: float = Field(600, gt=0)
    """Without a new group for so long it gives up."""
    mismatch: float = Field(1e-4, gt=0)
    """Largest mean difference between a service's log-probabilities and the trainer's for the same weights."""


class TrainerConfig(_Model):
    """One phase of one side."""

    storage: Storage
    campaign: str
    phase: str
    role: Literal["attacker", "defender"]
    policy: EditorConfig | MllmConfig
    """Editor for the attacker, language model for the defender."""
    sampling: EditSampling | AnswerSampling
    """What acts were sampled with."""
    start: RevisionName
    """The revision that the phase starts from."""
    steps: int = Field(ge=1)
    """Revisions to publish."""
    groups: int = Field(16, ge=1)
    """Groups with signal that make a step."""
    updates: int = Field(1, ge=1)
    """Optimizer updates that a step's groups are split over."""
    max_staleness: int = Field(1, ge=0)
    """Most steps that a group's revision may lie behind."""
    objective: Objective
    optimizer: Optimizer = Optimizer()
    engine: Engine = Engine()
    limits: Limits = Limits()
    checkpoints: str
    """Folder of this phase's checkpoints, private to the trainer."""
    checkpoint_every: int = Field(1, ge=1)
    """Steps between checkpoints. Revisions after the last one are abandoned in a crash."""
    metrics_port: int | None = Field(None, ge=0, le=65535)
    """Of /metrics over HTTP; None serves none."""
    seed: int = 0
