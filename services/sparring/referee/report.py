"""What a check says of a model: a pure function of what the ledger has. `docs/check.md` explains every field.

The schema's name changes when a field changes its meaning or goes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from sparring.ledgers.entries import Ending, Share
from sparring.ledgers.records import Kind
from sparring.referee import doubts, statistics
from sparring.referee.asked import Asked
from sparring.referee.breakdown import area, by_attacker, by_sample, by_type, category
from sparring.referee.counts import Counts, count
from sparring.referee.curve import climb
from sparring.referee.evidence import Evidence
from sparring.referee.facts import DatasetFacts
from sparring.referee.items import Suite
from sparring.referee.measures import Images, Report, measure
from sparring.referee.scores import Score, scores
from sparring.referee.shares import to_share

SCHEMA: Final = "sparring.check/1"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
    kind: Kind | None = None
    """Of an attack, what it does."""
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
    by_type: tuple[Part, ...]
    """By what the valid semantic edits did to the picture, whatever attack they are of."""
    by_category: tuple[Part, ...]
    by_area: tuple[Part, ...]
    curves: Mapping[str, tuple[Rung, ...]]
    """By attack: the more tries, the more are fooled, if only by chance."""
    scores: tuple[Score, ...]
    """What the benchmark that the samples are of reports of itself."""
    counts: Counts
    """What went wrong on the way."""
    dataset: DatasetFacts
    """What was met in the dataset."""
    ended: Ending
    """How the check ended."""
    remarks: tuple[str, ...]
    """What whoever reads the numbers has to know; nothing is wrong with them for it."""
    unreliable: tuple[str, ...]
    """Why the numbers are not to be trusted; empty if nothing speaks against them."""


def report(asked: Asked, evidence: Evidence, facts: DatasetFacts, ended: Ending) -> CheckReport:
    """The report on one model. Equal evidence gives an equal report, in whatever order it was gathered.

    Args:
        asked: what was asked.
        evidence: what came of it.
        facts: what was met in the dataset.
        ended: how the check ended.
    """
    semantic, images, attacks = evidence.of(Kind.SEMANTIC), evidence.images, by_attacker(evidence.suite)
    degraded = Kind.CORRUPTION in evidence.kinds.values()
    found, counts, samples = measure(semantic, images), count(evidence), len(evidence.suite)
    pictures = len(set(images.values()))
    return CheckReport(
        asked=asked,
        samples=samples,
        images=pictures,
        semantic=to_measures(found),
        corruption=to_measures(measure(evidence.of(Kind.CORRUPTION), images)) if degraded else None,
        by_attack=to_parts(attacks, images, evidence.kinds),
        by_type=to_parts(by_type(semantic, evidence.edits), images),
        by_category=to_parts(by_sample(semantic, lambda name: category(evidence.samples[name])), images),
        by_area=to_parts(by_sample(semantic, lambda name: area(evidence.samples[name])), images),
        curves={name: to_rungs(part, asked.budget, images) for name, part in attacks.items()},
        scores=scores(evidence),
        counts=counts,
        dataset=facts,
        ended=ended,
        remarks=tuple(remarks(evidence)),
        unreliable=(
            *doubts.of_run(ended, samples, asked.limit, facts),
            *doubts.of_measures(found, pictures),
            *doubts.of_counts(counts, samples),
        ),
    )


def remarks(evidence: Evidence) -> Iterator[str]:
    """What to know about the samples."""
    boxless = sum(not sample.targets for sample in evidence.samples.values())
    if boxless:
        yield (
            f"{boxless} of {len(evidence.samples)} samples have no boxes. There the whole image of a semantic edit is "
            "compared, in structure and colour, which a small change of what is asked about may pass"
        )


def to_measures(found: Report) -> Measures:
    """The same numbers as they are told."""
    shares = {name: to_share(value) for name, value in vars(found).items() if isinstance(value, statistics.Share)}
    low, high = (None if math.isnan(bound) else bound for bound in found.robust_bounds)
    return Measures(**shares, missing=found.missing, robust_low=low, robust_high=high)


def to_parts(parts: Mapping[str, Suite], images: Images, kinds: Mapping[str, Kind] | None = None) -> tuple[Part, ...]:
    """Every part that has an edit in it, measured alone. Where the parts are attacks, `kinds` has what each does."""
    told = []
    for name, suite in parts.items():
        shown = {key: item for key, item in suite.items() if item.edits or item.rejected or item.failed}
        edits, found = sum(len(item.attackers) for item in shown.values()), to_measures(measure(shown, images))
        told.append(Part(name=name, kind=(kinds or {}).get(name), samples=len(shown), edits=edits, measures=found))
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


__all__ = ["SCHEMA", "Asked", "CheckReport", "DatasetFacts", "Measures", "Part", "Rung", "report"]
