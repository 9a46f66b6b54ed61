"""What a revision is: the manifest is the commit of a training step, and the only way to its files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from sparring.ledgers.entries import Number
from sparring.ledgers.errors import ForbiddenFile
from sparring.ledgers.records import GroupId, RevisionName
from sparring.ledgers.revision import Revision, Role

MANIFEST = "manifest.json"
CLAIM = "claim.json"
EXPIRED = "expired.json"
"""The ledger's own files beside those of a revision."""

SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".jinja"})
"""Tensors, configuration, vocabularies, chat templates. Nothing that runs code when it is opened."""


def check_path(path: str) -> str:
    """Return `path` if a revision may contain a file so named.

    Raises:
        ForbiddenFile: it is of another kind, leads out of the revision, or is one of the ledger's own.
    """
    parts = PurePosixPath(path).parts
    plain = "\\" not in path and bool(parts) and not {"..", "/"} & set(parts) and str(PurePosixPath(*parts)) == path
    if not plain or any(part.startswith(".") for part in parts):
        raise ForbiddenFile(f"{path!r} is no plain path inside a revision")
    if PurePosixPath(path).suffix not in SUFFIXES:
        raise ForbiddenFile(f"{path!r}: a revision holds {', '.join(sorted(SUFFIXES))} and nothing else")
    if path in (MANIFEST, CLAIM, EXPIRED):
        raise ForbiddenFile(f"{path!r} is a name of the ledger's own")
    return path


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Model):
    """One file of a revision."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    """Bytes."""


class Draft(_Model):
    """What whoever publishes a revision says about it."""

    campaign: str
    role: Role
    number: int = Field(ge=0)
    layout: Literal["peft", "full"]
    """An adapter on `base`, or whole weights as their library saves them."""
    base: str
    """Folder or hub id of the model that an adapter belongs on, or that whole weights came from."""
    parent: RevisionName | None = None
    """The revision that this one was trained from; None if from nothing that the ledger has."""
    step: int = Field(0, ge=0)
    """Optimizer steps of the phase up to here."""
    phase: str = ""
    consumed: tuple[GroupId, ...] = ()
    """Groups that the step from parent to here has trained on."""
    checkpoint: str = ""
    """Tag of the trainer's checkpoint that goes with it; empty without one."""
    metrics: dict[str, Number] = {}
    """Training health of the step. What is not finite is None."""

    @model_validator(mode="after")
    def _descends(self) -> Self:
        """Without this a lineage might not end."""
        parent, name = self.parent, self.name
        if parent is not None and parent.rpartition("/")[0] == name.rpartition("/")[0] and parent >= name:
            raise ValueError(f"{name} cannot descend from {parent}")
        return self

    @property
    def revision(self) -> Revision:
        return Revision(self.campaign, self.role, self.number)

    @property
    def name(self) -> RevisionName:
        return self.revision.name


class Manifest(Draft):
    """A revision that exists."""

    files: dict[Annotated[str, AfterValidator(check_path)], FileEntry]
    """By path inside the revision, with forward slashes."""
    created: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))


class Release(_Model):
    """What a channel points at."""

    revision: RevisionName
    digest: str
    """Lower-case hex sha256 of the revision's manifest."""
    time: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
