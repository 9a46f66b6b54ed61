"""What was asked of whom, and how: whoever has other numbers for the same model compares this first."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sparring.referee.answers import RULES


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Extraction(_Model):
    """How choices are read out of answers."""

    rules: tuple[str, ...]
    """Names, in the order in which they are tried: the first that finds something decides."""
    digest: str
    """Twelve hexadecimal digits of the sha256 of their source: other rules under the same names differ in it."""


def extraction() -> Extraction:
    """Of this version."""
    source = files("sparring.referee").joinpath("answers.py").read_bytes()
    return Extraction(rules=("boxed", *(name for name, _ in RULES)), digest=hashlib.sha256(source).hexdigest()[:12])


class Asked(_Model):
    """What was asked of whom, and how."""

    target: str
    """Name of the model, as in the ledger."""
    dataset: str
    """URI."""
    offset: int = Field(0, ge=0)
    limit: int = Field(ge=1)
    """First sample, and number of samples that were wanted."""
    attacks: tuple[str, ...]
    instructions: Mapping[str, str] = Field(default_factory=dict)
    """What editors were told, by attack; those that take no instruction are left out."""
    budget: int = Field(ge=1)
    """Edits of each sample by each attack."""
    again: int = Field(0, ge=0)
    """Further answers to each original."""
    seed: int = Field(0, ge=0)
    temperature: float = Field(0.0, ge=0)
    max_tokens: int = Field(ge=1)
    options: Literal["shuffled", "unshuffled"] = "shuffled"
    """Order in which they are shown; `unshuffled` is that of the source."""
    option_seed: int = 0
    prompt: str
    """What follows question and options."""
    extraction: Extraction = Field(default_factory=extraction)
    """How choices were read out of answers. Stored with what was asked, it stays that of the version that asked."""
    max_pixels: int = Field(ge=1)
    """Largest image; a larger one is no sample."""
    versions: Mapping[str, str]
    """Of the packages that take part."""
