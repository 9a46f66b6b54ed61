"""Settings of one training phase. Importable without torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sparring.ledgers.records import RevisionName
from sparring.ledgers.revision import Role
from sparring.ledgers.storage import Storage
from sparring.policies.config import AnswerSampling, EditorConfig, EditSampling, MllmConfig
from sparring.samples.pairs import KINDS, Kind


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dapo(_Model):
    """Decoupled clip and dynamic sampling policy optimisation (arXiv 2503.14476), for answers."""

    kind: Literal["dapo"] = "dapo"
    clip_low: float = Field(0.2, gt=0, lt=1)
    clip_high: float = Field(0.28, gt=0)
    dual_clip: float = Field(3.0, gt=1)
    """Most that an answer with a negative advantage can weigh, in units of the advantage."""
    truncation: float | None = Field(None, gt=0)
    """None compares the learner with the policy that sampled. A number compares it with itself as the step found it,
    and weighs each token by how much more probable that made it than the sampler did, at most by this (truncated
    importance sampling): for services whose log-probabilities are not quite the trainer's."""


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


class Sft(_Model):
    """Supervised warm-up, from a dataset and not from the ledger.

    Defender: cross-entropy of the right letter's boxed answer. Attacker: flow matching on exact edits of shapes.
    """

    kind: Literal["sft"] = "sft"
    dataset: str
    """As `sparring.samples.catalog` names it; for the attacker `shapes:...`."""
    roots: tuple[str, ...] = ()
    """Folders that the dataset may be read from."""
    edits: tuple[Kind, ...] = Field(KINDS, min_length=1)
    """Kinds of edit that the attacker is shown, each as often as the next."""


Objective = Annotated[Dapo | FlowGrpo | Nft | Sft, Field(discriminator="kind")]


class Optimizer(_Model):
    """AdamW whose rate rises linearly, stays, and falls linearly."""

    rate: float = Field(1e-6, gt=0)
    warm_up: int = Field(0, ge=0)
    """First updates of a phase, over which the rate rises."""
    cool_down: int = Field(0, ge=0)
    """Last updates of a phase, over which the rate falls to nearly zero. What a small batch's noise did to the weights
    heals meanwhile."""
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""


class Engine(_Model):
    """How DeepSpeed runs it."""

    zero_stage: Literal[0, 1, 2] = 0
    """What ranks share out: nothing, the optimizer's state, gradients as well. Not the weights (3), for then every
    rank would have to call the module equally often, and how often depends on what it has to learn from."""
    bf16: bool = False
    """Train bfloat16 weights with float32 master copies; gradients add up in float32."""
    micro_batch: int = Field(64, ge=1)
    """Answers, or edits, per forward pass and rank; gradients accumulate over as many as an update takes."""
    threads: int = Field(1, ge=1)
    """Of torch, per rank."""

    @model_validator(mode="after")
    def _master_copies(self) -> Self:
        if self.bf16 and self.zero_stage == 0:
            raise ValueError("bf16 keeps its float32 copies in ZeRO's optimizer: set zero_stage to 1 or more")
        return self


class Limits(_Model):
    """When the trainer complains."""

    starve_seconds: float = Field(600, gt=0)
    """Without a new group for so long it gives up."""
    mismatch: float | None = Field(None, gt=0)
    """Largest mean difference between a service's log-probabilities and the trainer's for the same weights. None is
    1e-4 for answers and a tenth of the clip range for edits, which suits float32; bfloat16 needs more."""


class TrainerConfig(_Model):
    """One phase of one side."""

    storage: Storage
    campaign: str
    phase: str
    role: Role
    policy: EditorConfig | MllmConfig
    """Editor for the attacker, language model for the defender."""
    sampling: EditSampling | AnswerSampling | None = None
    """What acts were sampled with; a warm-up samples nothing."""
    start: RevisionName
    """The revision that the phase starts from."""
    steps: int = Field(ge=1)
    """Revisions to publish."""
    groups: int = Field(16, ge=1)
    """Groups with signal that make a step; samples, for a warm-up."""
    updates: int = Field(1, ge=1)
    """Optimizer updates that a step's groups are split over."""
    max_staleness: int = Field(1, ge=0)
    """Most steps that a group's revision may lie behind."""
    objective: Objective
    optimizer: Optimizer = Optimizer()
    engine: Engine = Engine()
    limits: Limits = Limits()
    checkpoints: str
    """Folder of this phase's checkpoints, private to its trainer. It is removed with the last step."""
    checkpoint_every: int = Field(1, ge=1)
    """Steps between checkpoints. Revisions after the last one are abandoned in a crash."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(None, ge=0, le=65535)
    """Of /metrics over HTTP; 0 is any free one, None serves none."""
    seed: int = Field(0, ge=0)

    @property
    def mismatch(self) -> float:
        """`limits.mismatch`, or what suits the objective."""
        if self.limits.mismatch is not None:
            return self.limits.mismatch
        return self.objective.clip / 10 if isinstance(self.objective, FlowGrpo) else 1e-4

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        policy, sampling = (EditorConfig, EditSampling) if self.role == "attacker" else (MllmConfig, AnswerSampling)
        objectives = (FlowGrpo, Nft, Sft) if self.role == "attacker" else (Dapo, Sft)
        wanted = type(None) if isinstance(self.objective, Sft) else sampling
        for part, kinds in ((self.policy, (policy,)), (self.objective, objectives), (self.sampling, (wanted,))):
            if not isinstance(part, kinds):
                names = " or ".join(kind.__name__ for kind in kinds)
                raise ValueError(
                    f"the {self.role} cannot learn by {self.objective.kind} with {type(part).__name__}; "
                    f"expected {names}"
                )
        return self

    @model_validator(mode="after")
    def _precision(self) -> Self:
        half = self.policy.dtype == "bfloat16"
        if self.engine.bf16 and not half:
            raise ValueError("engine.bf16 trains in bfloat16 and policy.dtype serves in float32: make them agree")
        if half and not self.engine.bf16 and self.policy.adapter is None:
            raise ValueError("whole weights in bfloat16 lose small updates: set engine.bf16, or policy.dtype float32")
        return self
