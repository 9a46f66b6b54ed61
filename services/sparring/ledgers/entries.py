"""What a journal says, entry by entry.

The journal and the manifests are all that the conductor knows, so an entry carries every fact that a later decision
or report needs. A field is never renamed: old journals stay readable.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from sparring.ledgers.records import RevisionName
from sparring.ledgers.revision import Role


def _known(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_known)]
"""A number, or None where nothing was observed: JSON has no NaN and no infinity, both are read as None."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Share(_Model):
    """An estimate with its 95 % interval from `n` observations."""

    value: Number
    low: Number
    high: Number
    n: int = Field(ge=0)


class Measures(_Model):
    """What a check found; the terms are those of `CheckReport` in the contract."""

    clean: Share
    control: Share
    robust: Share
    asr: Share
    validity: Share
    missing: int = Field(ge=0)


class Entry(_Model):
    """What every entry has."""

    time: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))


class CampaignStarted(Entry):
    """The first entry."""

    kind: Literal["campaign_started"] = "campaign_started"
    campaign: str
    config: dict[str, JsonValue]
    """Resolved: no default is missing."""
    seed: int
    commit: str
    """Of the code; empty if it is not known."""


class PhaseStarted(Entry):
    """From here on `role` learns."""

    kind: Literal["phase_started"] = "phase_started"
    phase: str
    role: Role
    iteration: int = Field(ge=1)
    parent: RevisionName
    """The learner's revision that training starts from."""
    opponent: RevisionName
    """The other side's revision, fixed for the phase."""
    steps: int = Field(ge=1)


class PhaseFinished(Entry):
    """Every step of the phase has its manifest; `revision` is the last."""

    kind: Literal["phase_finished"] = "phase_finished"
    phase: str
    revision: RevisionName


class SuiteExtended(Entry):
    """The edits of one more attacker are recorded, for every sample of the suite."""

    kind: Literal["suite_extended"] = "suite_extended"
    suite: str
    attacker: str
    """Name of the revision, or `procedural:NAME`."""
    samples: int = Field(ge=0)
    edits: int = Field(ge=0)
    valid: int = Field(ge=0)


class CheckFinished(Entry):
    """One defender has answered the suite."""

    kind: Literal["check_finished"] = "check_finished"
    check: str
    defender: str
    attackers: tuple[str, ...]
    measures: Measures


class GateDecided(Entry):
    """Whether the outcome of a phase may be released."""

    kind: Literal["gate_decided"] = "gate_decided"
    phase: str
    candidate: RevisionName
    accepted: bool
    reasons: tuple[str, ...]
    """What spoke against it; empty if it was accepted."""
    numbers: dict[str, Share]
    """What it was decided on: paired differences, candidate less incumbent, by measure."""


class Promoted(Entry):
    """The release channel of `role` stands at `revision`."""

    kind: Literal["promoted"] = "promoted"
    role: Role
    revision: RevisionName


class Usage(Entry):
    """What one run of the conductor took, all its processes included; the runs of a resumed campaign add up."""

    kind: Literal["usage"] = "usage"
    wall_seconds: float = Field(ge=0)
    peak_pss_bytes: int = Field(ge=0)
    """Largest sum of proportional set sizes over all processes."""


class CampaignFinished(Entry):
    """The last entry."""

    kind: Literal["campaign_finished"] = "campaign_finished"
    iterations: int = Field(ge=0)


class CheckSubmitted(Entry):
    """Somebody wants a check to begin, or to go on."""

    kind: Literal["check_submitted"] = "check_submitted"
    check: str
    owner: str
    """Name of the caller; empty where anybody may call."""
    spec: dict[str, JsonValue]
    """`CheckSpec` of the contract, as JSON."""
    uploaded: int = Field(ge=0)
    """Samples that came with it."""
    digest: str = ""
    """Of these samples: lower-case hex sha256 over their records; empty without any."""


Ending = Literal["finished", "cancelled", "capped", "failed"]


class CheckEnded(Entry):
    """A check is over, for now or for good."""

    kind: Literal["check_ended"] = "check_ended"
    check: str
    ending: Ending
    error: str = ""
    """Why it failed."""
    done: int = Field(ge=0)
    """Samples of which everything has been tried."""
    missing: int = Field(ge=0)
    """Matches without a result."""
    asked: dict[str, JsonValue]
    """What was asked of whom, and how; `sparring.referee.asked.Asked`, as JSON."""
    dataset: dict[str, JsonValue]
    """What was met in the dataset; `sparring.referee.facts.DatasetFacts`, as JSON."""


JournalEntry = Annotated[
    CampaignStarted
    | PhaseStarted
    | PhaseFinished
    | SuiteExtended
    | CheckFinished
    | GateDecided
    | Promoted
    | Usage
    | CampaignFinished
    | CheckSubmitted
    | CheckEnded,
    Field(discriminator="kind"),
]
