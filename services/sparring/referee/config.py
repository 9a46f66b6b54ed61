"""Settings of the referee. Importable without the libraries that do the work."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sparring.ledgers.storage import Storage
from sparring.referee.targets.config import TargetsConfig
from sparring.serving.config import ServingConfig


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IntegrityConfig(_Model):
    """What an edit may do to the objects that a question is about. All measures compare with the control."""

    ssim: float = Field(0.75, ge=-1, le=1)
    """Least structural similarity of a target's box. Calibrate it: the 5th percentile over edits by the untrained
    attacker with the empty instruction, but not below 0.75."""
    form: float = Field(0.88, ge=-1, le=1)
    """Least correlation of a target with what stands in its place, each channel about its mean."""
    shift: int = Field(1, ge=0)
    """Farthest that a target may move, pixels."""
    colour: float = Field(12.0, gt=0)
    """Largest mean CIEDE2000 distance within a target's box."""
    copy_correlation: float = Field(0.89, ge=0, le=1)
    """Correlation, each channel about its mean, from which something elsewhere counts as a second target ..."""
    copy_colour: float = Field(12.0, gt=0)
    """... if its mean CIEDE2000 distance to the target is below this ..."""
    copy_margin: float = Field(0.05, ge=0)
    """... and the correlation there exceeds the control's by this."""
    visible: float = Field(0.9, ge=0, le=1)
    """Least part of a target's box that a corruption which moves geometry leaves in the picture."""


class RewardConfig(_Model):
    """What a match pays."""

    attacker: str = "excess"
    """`excess`: share of wrong answers above the control's; `all_wrong`: 1 if every answer is wrong; or a plug-in."""
    letter: float = Field(0.8, ge=0, le=1)
    """Defender: for the right letter."""
    form: float = Field(0.2, ge=0, le=1)
    """Defender: for the exact format besides the right letter."""

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if self.letter + self.form > 1 + 1e-9:
            raise ValueError(
                f"letter {self.letter} and form {self.form} add up to more than 1, the most a reward may be"
            )
        return self


class Opponent(_Model):
    """How to reach the attacker or the defender. Files are read when the referee starts."""

    address: str = Field(min_length=1)
    """gRPC target: `host:port` or `dns:///name:port`."""
    token_file: str | None = Field(None, min_length=1)
    """File with the bearer token that the referee shows; the token itself is in no configuration. It is sent over TLS,
    or in the clear to this machine."""
    roots: str | None = Field(None, min_length=1)
    """PEM file with the authorities that may sign the server's certificate; None means no TLS."""
    certificate: str | None = Field(None, min_length=1)
    """PEM file with the referee's own certificate, for mutual TLS ..."""
    key: str | None = Field(None, min_length=1)
    """... and the one with its private key."""


class ChecksConfig(_Model):
    """Checks that callers submit."""

    at_once: int = Field(4, ge=1)
    """Checks that are played at the same time; others wait."""
    waiting: int = Field(64, ge=0)
    """Checks that may wait; more are refused with RESOURCE_EXHAUSTED."""
    upload_bytes: int = Field(4 * 2**30, ge=1)
    """Samples that one check may send."""


class RefereeConfig(_Model):
    """One referee process."""

    serving: ServingConfig = ServingConfig()
    storage: Storage = Storage()
    attacker: Opponent
    defender: Opponent | None = None
    """None plays no matches, and checks other people's models alone."""
    integrity: IntegrityConfig = IntegrityConfig()
    rewards: RewardConfig = RewardConfig()
    dataset_roots: tuple[str, ...] = ()
    """Folders that a dataset URI may name files under."""
    option_seed: int = 0
    """Options are shuffled by this and by the sample."""
    matches: int = Field(256, ge=1)
    """Matches played at the same time; more are refused with RESOURCE_EXHAUSTED."""
    check_window: int = Field(64, ge=1)
    """Samples of a check in flight."""
    call_seconds: float = Field(120.0, gt=0)
    """Longest that one call to attacker or defender may take."""
    judges: int = Field(1, ge=1)
    """Threads that judge edits."""
    checks: ChecksConfig = ChecksConfig()
    targets: TargetsConfig = TargetsConfig()
    """Endpoints that callers may have checked."""
