"""What a check says of a model: a pure function of what the ledger has. `docs/check.md` explains every field.

The schema's name changes when a field changes its meaning or goes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from sparring.ledgers.entries import Share
from sparring.ledgers.records import Kind
from sparring.referee import statistics
from sparring.referee.breakdown import area, by_attacker, by_sample, category
from sparring.referee.curve import climb
from sparring.referee.evidence import Evidence
from sparring.referee.items import Suite
from sparring.referee.measures import Images, Report, measure

SCHEMA: Final = "sparring.check/1"
FEW = 30
"""Observations below which no interval is told: it would say more than is known."""
MISSING = 0.02
"""Share of matches without result above which a report is unreliable."""
UNREADABLE = 0.05
"""Share of answers without a choice above which a report is unreliable."""
REJECTED = 0.5
"""Share of rejected edits above which a report is unreliable: those that pass are a choice of their own."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Asked(_Model):
    """What was asked of whom, and how: whoever has other numbers for the same model compares this first."""

    target: str
    """Name of the model, as in the ledger."""
    dataset: str
    """URI."""
    offset: int = Field(0, ge=0)
    limit: int = Field(ge=1)
    """First sample, and number of samples that were wanted."""
    attacks: tuple[str, ...]
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
    max_pixels: int = Field(ge=1)
    """Largest image; a larger one is no sample."""
    versions: Mapping[str, str]
    """Of the packages that take part."""


class Measures(_Model):
    """Definitions: docs/formulas.md."""

    clean: Share
    control: Share
    robust: Share
    mean: Share
    asr: Share
    consistency: Share
    validity: Share
    unscored: Share
    missing: int
    robust_low: float | None
    robust_high: float | None
    """`robust` if every missing answer were wrong, and if every one were right."""


class Part(_Model):
    """Some of the samples, or some of the edits."""

    name: str
    samples: int
    """Samples with an edit in it."""
    edits: int
    """Edits, those that were rejected included."""
    measures: Measures


class Rung(_Model):
    """Robustness against a number of tries."""

    edits: int
    robust: Share
    beaten: Share
    chance: Share


class CheckReport(_Model):
    """The result of a check."""

    schema_: Literal["sparring.check/1"] = Field(SCHEMA, alias="schema")
    asked: Asked
    samples: int
    images: int
    semantic: Measures
    """Edits that leave the targets as they are."""
    corruption: Measures | None
    """Degradations of the whole image; None where there was none."""
    by_attack: tuple[Part, ...]
    by_category: tuple[Part, ...]
    by_area: tuple[Part, ...]
    curves: Mapping[str, tuple[Rung, ...]]
    """By attack: the more tries, the more are fooled, if only by chance."""
    skipped: Mapping[str, int]
    """Rows of the dataset that are no samples, by fault."""
    unreliable: tuple[str, ...]
    """Why the numbers are not to be trusted; empty if nothing speaks against them."""


def report(asked: Asked, evidence: Evidence, skipped: Mapping[str, int]) -> CheckReport:
    """The report on one model.

    Args:
        asked: what was asked.
        evidence: what came of it.
        skipped: rows of the dataset that are no samples, by fault.
    """
    semantic, images, attacks = evidence.of(Kind.SEMANTIC), evidence.images, by_attacker(evidence.suite)
    degraded = Kind.CORRUPTION in evidence.kinds.values()
    found = measure(semantic, images)
    return CheckReport(
        asked=asked,
        samples=len(evidence.suite),
        images=len(set(images.values())),
        semantic=to_measures(found),
        corruption=to_measures(measure(evidence.of(Kind.CORRUPTION), images)) if degraded else None,
        by_attack=to_parts(attacks, images),
        by_category=to_parts(by_sample(semantic, lambda name: category(evidence.samples[name])), images),
        by_area=to_parts(by_sample(semantic, lambda name: area(evidence.samples[name])), images),
        curves={name: to_rungs(part, asked.budget, images) for name, part in attacks.items()},
        skipped=dict(skipped),
        unreliable=tuple(doubts(found, len(evidence.suite))),
    )


def to_share(found: statistics.Share) -> Share:
    """The share as it is told: without an interval where there are too few observations for one."""
    told = Share.model_validate(asdict(found))
    return told if found.n >= FEW else told.model_copy(update={"low": None, "high": None})


def to_measures(found: Report) -> Measures:
    """The same numbers as they are told."""
    shares = {name: to_share(value) for name, value in vars(found).items() if isinstance(value, statistics.Share)}
    low, high = (None if math.isnan(bound) else bound for bound in found.robust_bounds)
    return Measures(**shares, missing=found.missing, robust_low=low, robust_high=high)


def to_parts(parts: Mapping[str, Suite], images: Images) -> tuple[Part, ...]:
    """Every part that has an edit in it, measured alone."""
    told = []
    for name, suite in parts.items():
        shown = {key: item for key, item in suite.items() if item.edits or item.rejected or item.failed}
        edits = sum(len(item.attackers) for item in shown.values())
        told.append(Part(name=name, samples=len(shown), edits=edits, measures=to_measures(measure(shown, images))))
    return tuple(told)


def to_rungs(suite: Suite, budget: int, images: Images) -> tuple[Rung, ...]:
    """The curve as it is told."""
    return tuple(
        Rung(
            edits=rung.edits,
            robust=to_share(rung.robust),
            beaten=to_share(rung.beaten),
            chance=to_share(rung.chance),
        )
        for rung in climb(suite, budget, images)
    )


def doubts(found: Report, samples: int) -> Iterator[str]:
    """What speaks against the numbers."""
    if samples < FEW:
        yield f"{samples} samples are too few for an interval; {FEW} or more are needed"
    if found.missing > MISSING * samples:
        yield f"{found.missing} matches have no result: see the bounds of robust accuracy"
    if found.unscored.value > UNREADABLE:
        yield f"no choice could be read out of {found.unscored.value:.1%} of answers, which count as wrong"
    if found.validity.value < 1 - REJECTED:
        yield f"the referee rejected {1 - found.validity.value:.1%} of edits; those that are left are no fair sample"
    if found.robust.n and found.asr.n == 0:
        yield "no sample is right on original and control, so that no edit can be credited with an error"
