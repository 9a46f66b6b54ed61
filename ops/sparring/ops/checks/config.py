"""Settings of one check: one typed tree. Importable without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sparring.ops.config import MachineConfig, RefereePart, place
from sparring.policies.config import AnswerSampling, MllmConfig
from sparring.referee.targets.config import OipConfig, OpenAiConfig
from sparring.serving.config import ServingConfig

UNBOUNDED = 1_000_000
"""Samples where no limit is set."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunTarget(_Model):
    """The defender of a campaign, at one of its revisions."""

    kind: Literal["run"] = "run"
    run: str = Field(min_length=1)
    """Folder of the campaign."""
    revision: str = Field(min_length=1)

    @property
    def label(self) -> str:
        return self.revision


class ModelTarget(_Model):
    """A model as it is, opened and served for the time of the check."""

    kind: Literal["model"] = "model"
    policy: MllmConfig
    """Its `base` may also be `small:NAME`: weights that come with this package."""

    @property
    def label(self) -> str:
        return self.policy.base

    @property
    def mllm(self) -> MllmConfig:
        """The same with the folder of what comes with this package."""
        return self.policy.model_copy(update={"base": place(self.policy.base)})


Tested = Annotated[OpenAiConfig | OipConfig | RunTarget | ModelTarget, Field(discriminator="kind")]


class Answering(AnswerSampling):
    """How the model answers; greedily, where nothing else is said."""

    temperature: float = Field(0.0, ge=0, le=2)
    """0 is greedy."""
    max_tokens: int = Field(256, ge=1)


class LargeServing(ServingConfig):
    """A service that takes the largest images of the benchmarks: HR-Bench 8K has 33 megapixels."""

    deadline_seconds: float = Field(24 * 3600, gt=0)
    max_image_bytes: int = Field(60 * 2**20, ge=1024)
    max_pixels: int = Field(8192 * 8192, ge=1)


class CheckReferee(RefereePart):
    """The referee's service and rules."""

    serving: LargeServing = LargeServing()


class CheckData(_Model):
    """What is asked."""

    uri: str = Field(min_length=1)
    """`KIND:PATH?key=value...`, or `shapes:SPLIT?...`."""
    offset: int = Field(0, ge=0)
    """First sample."""
    limit: int = Field(UNBOUNDED, ge=1, le=UNBOUNDED)
    """Samples to take, if there are as many."""
    roots: tuple[str, ...] = ()
    """Folders that may be read from."""


class CheckConfig(_Model):
    """One check."""

    target: Tested
    """The model under test."""
    label: str = Field("", max_length=200)
    """What the report calls it; by default its own name."""
    data: CheckData
    attacks: tuple[str, ...] = ("add", "remove", "replace", "recolour")
    """Names of attacks without a model, `untrained` or `trained` for the first and the released attacker of a campaign,
    or the name of one of its revisions."""
    attackers: str | None = None
    """Folder of the campaign whose attackers edit."""
    budget: int = Field(2, ge=1, le=256)
    """Edits of each sample by each attack."""
    again: int | None = Field(None, ge=0, le=255)
    """Further answers to each original, for what chance does; None is as many as `budget` if answers are drawn, and
    none if they are greedy and would be the same."""
    seed: int = Field(0, ge=0)
    """Everything drawn follows from it."""
    answering: Answering = Answering()
    max_calls: int = Field(0, ge=0)
    """Most answers that the model may be asked for; 0 sets no limit."""
    referee: CheckReferee = CheckReferee()
    machine: MachineConfig = MachineConfig()

    @property
    def repeats(self) -> int:
        """Further answers to each original."""
        if self.again is not None:
            return self.again
        return self.budget if self.answering.temperature > 0 else 0

    @property
    def learned(self) -> tuple[str, ...]:
        """Attacks by a trained editor: revisions are the only names with a slash."""
        return tuple(name for name in self.attacks if "/" in name)
