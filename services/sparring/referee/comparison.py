"""Two models on the same questions and the same edits. `docs/check.md` explains every field.

The schema's name changes when a field changes its meaning or goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from sparring.ledgers.entries import Number, Share
from sparring.ledgers.records import Kind
from sparring.referee.asked import Asked
from sparring.referee.breakdown import by_attacker
from sparring.referee.evidence import Evidence
from sparring.referee.items import Item, Suite
from sparring.referee.measures import Hits, Images, asr, clean, rate, robust
from sparring.referee.report import CheckReport
from sparring.referee.shares import to_share
from sparring.referee.statistics import McNemar, clustered_paired, items_needed, mcnemar
from sparring.referee.suites import demand_same

SCHEMA: Final = "sparring.comparison/1"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Contrast(_Model):
    """A measure of both models over the samples for which both have it."""

    before: Number
    after: Number
    difference: Share
    """After less before, paired."""


class Duel(Contrast):
    """The same where each sample is right or wrong."""

    gained: int
    """Samples that only the second has right."""
    lost: int
    """Samples that only the first has right."""
    p: float
    """Of McNemar's exact test: how often a split at least as uneven comes about if neither is better."""
    needed: int | None
    """Samples on which a difference of this size is seen in four of five cases; None where there is none to be seen."""


class Under(_Model):
    """Both models under some of the edits."""

    robust: Duel
    asr: Contrast


class UnderAttack(Under):
    """Both models under the edits of one attack."""

    name: str


class Comparison(_Model):
    """The result: the second model (after) against the first (before)."""

    schema_: Literal["sparring.comparison/1"] = Field(SCHEMA, alias="schema")
    before: Asked
    after: Asked
    samples: int
    images: int
    edits: int
    """Edits that both were shown, those that were rejected included."""
    clean: Duel
    semantic: Under
    corruption: Under | None
    """None where there was none."""
    by_attack: tuple[UnderAttack, ...]
    unreliable: tuple[str, ...]
    """Why the numbers are not to be trusted; empty if nothing speaks against them."""


@dataclass(frozen=True)
class Checked:
    """A check: what is told of it, and what that is made of."""

    report: CheckReport
    evidence: Evidence


@dataclass(frozen=True)
class Pairs:
    """Two models on some of the edits.

    Attributes:
        images: the image that each sample is about.
        before, after: how they did.
    """

    images: Images
    before: Suite
    after: Suite

    def rates(self, count: Callable[[Item], Hits]) -> tuple[list[float], list[float], list[str]]:
        """A measure of either over the samples for which both have it, and the samples' images."""
        found = [(name, rate(count(self.before[name])), rate(count(self.after[name]))) for name in sorted(self.before)]
        known = [(name, one, other) for name, one, other in found if one is not None and other is not None]
        return [one for _, one, _ in known], [other for _, _, other in known], [self.images[name] for name, *_ in known]

    def contrast(self, count: Callable[[Item], Hits]) -> Contrast:
        """A measure of both."""
        before, after, images = self.rates(count)
        difference = to_share(clustered_paired(after, before, images))
        return Contrast(before=mean(before), after=mean(after), difference=difference)

    def duel(self, count: Callable[[Item], Hits]) -> Duel:
        """A measure of both that is 0 or 1 for each sample."""
        before, after, _ = self.rates(count)
        split = mcnemar([value == 1 for value in after], [value == 1 for value in before])
        told = dict(self.contrast(count))
        return Duel(**told, gained=split.gained, lost=split.lost, p=split.p, needed=needed(split, len(after)))

    def under(self) -> Under:
        """Both under these edits."""
        return Under(robust=self.duel(robust), asr=self.contrast(asr))

    @property
    def attacked(self) -> int:
        """Samples of which either model has seen a valid edit, or should have seen edits."""
        pairs = ((item, self.after[name]) for name, item in self.before.items())
        return sum(any(item.edits or item.failed for item in pair) for pair in pairs)


def compare(before: Checked, after: Checked) -> Comparison:
    """The comparison of two models.

    Raises:
        OtherSuite: they were not shown and asked the same.
    """
    one, other = before.evidence, after.evidence
    demand_same((before.report.asked, after.report.asked), (one, other))
    semantic = Pairs(one.images, one.of(Kind.SEMANTIC), other.of(Kind.SEMANTIC))
    degraded = Kind.CORRUPTION in one.kinds.values()
    corruption = Pairs(one.images, one.of(Kind.CORRUPTION), other.of(Kind.CORRUPTION)).under() if degraded else None
    return Comparison(
        before=before.report.asked,
        after=after.report.asked,
        samples=len(one.suite),
        images=len(set(one.images.values())),
        edits=len(one.edits.keys() & other.edits.keys()),
        clean=semantic.duel(clean),
        semantic=semantic.under(),
        corruption=corruption,
        by_attack=tuple(by_attack(one, other)),
        unreliable=tuple(doubts(before, after, semantic)),
    )


def by_attack(one: Evidence, other: Evidence) -> Iterator[UnderAttack]:
    """Both under the edits of each attack."""
    first, second = by_attacker(one.suite), by_attacker(other.suite)
    for name in sorted(first.keys() & second.keys()):
        yield UnderAttack(name=name, **dict(Pairs(one.images, first[name], second[name]).under()))


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return sum(values) / len(values) if values else None


def needed(split: McNemar, n: int) -> int | None:
    """Items on which a difference like the one observed is seen; None if there was none."""
    if split.gained == split.lost:
        return None
    return items_needed((split.gained + split.lost) / n, (split.gained - split.lost) / n)


def doubts(before: Checked, after: Checked, semantic: Pairs) -> Iterator[str]:
    """What speaks against the comparison: its own, and what speaks against either check."""
    compared = len(semantic.rates(robust)[0])
    if compared < semantic.attacked:
        lacking = semantic.attacked - compared
        yield f"robust accuracy leaves out {lacking} of {semantic.attacked} samples, for which one lacks an answer"
    for checked in (before, after):
        for doubt in checked.report.unreliable:
            yield f"{checked.report.asked.target}: {doubt}"
