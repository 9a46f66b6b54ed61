"""Settings of a whole campaign: one typed tree that composes those of the rooms. Importable without torch."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sparring.ledgers.revision import Role, check_campaign
from sparring.ops.supervisor import RestartConfig
from sparring.policies.config import AnswerSampling, EditorConfig, EditSampling, MllmConfig
from sparring.referee.config import IntegrityConfig, RewardConfig
from sparring.serving.config import QueueConfig, ServingConfig
from sparring.trainer.config import Dapo, Engine, FlowGrpo, Limits, Nft, Optimizer

SMALL = "small:"
"""Begins the name of a model that comes with this package: `small:defender`."""
GREEDY = AnswerSampling(temperature=0)
NOISELESS = EditSampling(variant="ode", window=0)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Slice(_Model):
    """Consecutive samples of a dataset."""

    uri: str = Field(min_length=1)
    """`shapes:SPLIT?seed=N&key=value...`, `vstar:FOLDER`, `seal:FILE` or `jsonl:FILE`."""
    offset: int = Field(0, ge=0)
    """First sample."""
    limit: int | None = Field(None, ge=1)
    """Samples to use; None is all that there are."""


class DataConfig(_Model):
    """What is asked. No sample of the suite is ever trained on: the slices must not overlap."""

    train: Slice
    suite: Slice
    """How many of these are used is set in `suite`."""
    roots: tuple[str, ...] = ()
    """Folders that datasets may be read from."""

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        train, suite = self.train, self.suite
        if train.uri != suite.uri:
            return self
        first, second = sorted((train, suite), key=lambda part: part.offset)
        if first.limit is None or first.offset + first.limit > second.offset:
            raise ValueError(
                f"training and suite both take samples of {train.uri} from {second.offset} on, and no sample may be "
                "in both; set data.train.offset, data.suite.offset and data.suite.limit, or another dataset"
            )
        return self


class PhaseConfig(_Model):
    """How one side learns."""

    steps: int = Field(ge=0)
    """Revisions of a phase; 0 leaves the side as it is."""
    groups: int = Field(16, ge=1)
    """Groups with signal that make a step."""
    updates: int = Field(1, ge=1)
    """Optimizer updates that a step's groups are split over."""
    max_staleness: int = Field(1, ge=0)
    """Most steps that a group's revision may lie behind; 0 is on-policy."""
    processes: int = Field(1, ge=1)
    """Ranks of the trainer."""
    checkpoint_every: int = Field(1, ge=1)
    """Steps between checkpoints; what lies between is lost in a crash."""
    optimizer: Optimizer = Optimizer()
    engine: Engine = Engine()
    limits: Limits = Limits()
    metrics_port: int | None = Field(None, ge=0, le=65535)
    """Where the trainer serves /metrics over HTTP; None serves none."""
    fruitless: int = Field(2000, ge=1)
    """Matches in a row without anything to learn from, after which the phase is given up."""


class AttackerPhase(PhaseConfig):
    """How the attacker learns."""

    edits: int = Field(8, ge=2)
    """Edits of a sample, which make a group."""
    answers: int = Field(3, ge=1)
    """Answers to each edit."""
    editing: EditSampling = EditSampling()
    """How its edits are drawn."""
    answering: AnswerSampling = AnswerSampling()
    """How the defender answers."""
    objective: Annotated[FlowGrpo | Nft, Field(discriminator="kind")] = FlowGrpo()


class Mix(_Model):
    """What a learning defender is shown."""

    clean: float = Field(0.25, ge=0, le=1)
    """Share of matches about the untouched original, lest it forget them."""


class DefenderPhase(PhaseConfig):
    """How the defender learns."""

    answers: int = Field(8, ge=2)
    """Answers to an image, which make a group."""
    mix: Mix = Mix()
    editing: EditSampling = NOISELESS
    """How the attacker's edits are drawn."""
    answering: AnswerSampling = AnswerSampling()
    """How it answers."""
    objective: Dapo = Dapo()


class AttackerPart(_Model):
    """The attacking side: its weights, its service, its learning."""

    policy: EditorConfig
    """Its `base` may also be `small:NAME`: weights that come with this package."""
    serving: ServingConfig = ServingConfig()
    queue: QueueConfig = QueueConfig(batch=128, limit=4096)
    """Counted in edits."""
    phase: AttackerPhase


class DefenderPart(_Model):
    """The defending side: its weights, its service, its learning."""

    policy: MllmConfig
    """Its `base` may also be `small:NAME`: weights that come with this package."""
    serving: ServingConfig = ServingConfig()
    queue: QueueConfig = QueueConfig(batch=512, limit=8192)
    """Counted in answers."""
    phase: DefenderPhase


class RefereePart(_Model):
    """The referee's service and rules."""

    serving: ServingConfig = ServingConfig(deadline_seconds=24 * 3600)
    """Its deadline must leave time for a whole check."""
    integrity: IntegrityConfig = IntegrityConfig()
    rewards: RewardConfig = RewardConfig()
    option_seed: int = 0
    """Options are shuffled by this and by the sample."""
    judges: int = Field(1, ge=1)
    """Threads that judge edits."""
    check_window: int = Field(64, ge=1)
    """Samples of a check in flight."""


class SuiteConfig(_Model):
    """What every defender is measured on."""

    samples: int = Field(1000, ge=1)
    """Held-out samples that are attacked."""
    clean_samples: int = Field(0, ge=0)
    """Further samples of which only the original is shown, for a narrower interval of the clean accuracy."""
    edits: int = Field(2, ge=1)
    """Edits of a sample by each attacker."""
    seed: int = Field(1, ge=0)
    """Of the edits and the order of options."""
    editing: EditSampling = NOISELESS
    answering: AnswerSampling = GREEDY


class GateConfig(_Model):
    """When the outcome of a phase is released."""

    robust_gain: float = 0.0
    """The lower bound of the defender's gain in robust accuracy must be above this."""
    clean_margin: float = Field(0.02, ge=0)
    """The defender's clean accuracy may be lower by less than this, one-sided at 95 %."""
    asr_gain: float = 0.0
    """The attacker's gain in success rate must be at least this."""


class MachineConfig(_Model):
    """What this machine gives."""

    threads: int | None = Field(None, ge=1)
    """For all processes together; None is one per core."""
    restarts: RestartConfig = RestartConfig()
    play_seconds: float = Field(300, gt=0)
    """Longest that one match may take."""
    failing_seconds: float = Field(180, gt=0)
    """Matches that fail for so long without one success end the campaign."""
    check_seconds: float = Field(24 * 3600, gt=0)
    """Longest that one check may take."""


class CampaignConfig(_Model):
    """One campaign."""

    campaign: Annotated[str, AfterValidator(check_campaign)] = "campaign"
    """Its id, which begins the name of every revision."""
    seed: int = Field(0, ge=0)
    """Everything drawn in the campaign follows from it."""
    iterations: int = Field(1, ge=0)
    """Of an attacker phase and a defender phase each."""
    instructions: tuple[str, ...] = Field(min_length=1)
    """What the editor is told; `{targets}` stands for the names of what it must leave alone. One is drawn for each
    training match; the suite is edited with the first."""
    data: DataConfig
    attacker: AttackerPart
    defender: DefenderPart
    referee: RefereePart = RefereePart()
    suite: SuiteConfig = SuiteConfig()
    gate: GateConfig = GateConfig()
    machine: MachineConfig = MachineConfig()

    def phase(self, role: Role) -> AttackerPhase | DefenderPhase:
        """Settings of a role's phases."""
        return self.attacker.phase if role == "attacker" else self.defender.phase

    def policy(self, role: Role) -> EditorConfig | MllmConfig:
        """Settings of a role's weights."""
        return self.editor if role == "attacker" else self.mllm

    @property
    def editor(self) -> EditorConfig:
        """Settings of the attacker's weights, with the folder of what comes with this package."""
        return self.attacker.policy.model_copy(update={"base": place(self.attacker.policy.base)})

    @property
    def mllm(self) -> MllmConfig:
        """Settings of the defender's weights, with the folder of what comes with this package."""
        return self.defender.policy.model_copy(update={"base": place(self.defender.policy.base)})

    @model_validator(mode="after")
    def _suite_fits(self) -> Self:
        wanted, limit = self.suite.samples + self.suite.clean_samples, self.data.suite.limit
        if limit is not None and limit < wanted:
            raise ValueError(f"the suite takes {wanted} samples, and data.suite.limit is {limit}; lower suite.samples")
        return self


def place(base: str) -> str:
    """A folder or hub id. `small:NAME` is weights that come with this package."""
    name = base.removeprefix(SMALL)
    return base if name == base else str(files("sparring.ops") / "small" / name)
