"""What is measured: pure functions of the episodes of an evaluation. Definitions: docs/formulas.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sparring.ledgers.records import EditId, EpisodeRecord, GroupId, Outcome, SampleId
from sparring.referee.statistics import Share, clustered_share, lower_bound, paired, share
from sparring.referee.terms import CONTROL, RETRY


@dataclass
class Item:
    """How one defender did on one sample of a suite; None is an answer that is missing for lack of transport.

    Attributes:
        original, control: whether those were answered rightly.
        edits: the same of each valid edit.
        attackers: who made each valid edit.
        rejected: edits that the referee did not accept, by attacker.
        failed: matches without result, each with the attacker whose edits it would have shown, or nobody's.
    """

    original: bool | None = None
    control: bool | None = None
    edits: dict[EditId, bool | None] = field(default_factory=dict)
    attackers: dict[EditId, str] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def steady(self) -> bool:
        """Right on original and control, so that a wrong answer to an edit is the edit's doing."""
        return self.original is True and self.control is True

    @property
    def robust(self) -> bool | None:
        """Right on the original and on every valid edit; None without a valid edit or with a missing answer."""
        views = [self.original, *self.edits.values()]
        if not self.edits or self.failed or None in views:
            return None
        return all(views)

    def bound(self, missing: bool) -> bool:
        """`robust` if every missing answer were right or every one wrong."""
        views = [self.original, *self.edits.values()]
        return all(missing if right is None else right for right in views) and (missing or not self.failed)

    def by(self, attackers: frozenset[str]) -> Item:
        """The same, with the edits of some attackers only."""
        chosen = {name: right for name, right in self.edits.items() if self.attackers[name] in attackers}
        return Item(
            original=self.original,
            control=self.control,
            edits=chosen,
            attackers={name: self.attackers[name] for name in chosen},
            rejected={name: count for name, count in self.rejected.items() if name in attackers},
            failed={match: name for match, name in self.failed.items() if name in ("", *attackers)},
        )


Suite = Mapping[SampleId, Item]
"""How one defender did on every sample."""


def read(episodes: Iterable[EpisodeRecord]) -> dict[SampleId, Item]:
    """The episodes of one defender, sample by sample; of an image shown twice the later episode counts."""
    items: dict[SampleId, Item] = {}
    for episode in episodes:
        item = items.setdefault(episode.sample_id, Item())
        match = first_attempt(episode.group_id)
        if episode.outcome is Outcome.FAILED:
            item.failed[match] = episode.attacker
            continue
        item.failed.pop(match, None)
        right = episode.answers[0].correct if episode.answers else None
        if episode.outcome is Outcome.REJECTED:
            item.rejected[episode.attacker] = item.rejected.get(episode.attacker, 0) + 1
        elif episode.edit_id is None:
            item.original = right
        elif episode.attacker == CONTROL:
            item.control = right
        else:
            item.edits[episode.edit_id] = right
            item.attackers[episode.edit_id] = episode.attacker
    return items


def first_attempt(group: GroupId) -> str:
    """The group's id without the number of the attempt."""
    return group.partition(RETRY)[0]


@dataclass(frozen=True)
class Report:
    """What one defender showed on a suite.

    Attributes:
        clean: share of originals answered rightly.
        control: the same of controls.
        robust: share of samples, among those with a valid edit, right on the original and on every valid edit.
        asr: share of wrong answers among valid edits of samples that are right on original and control.
        validity: share of edits that the referee accepted.
        missing: matches without result, because attacker or defender gave none.
        robust_bounds: `robust` if every missing answer were wrong, and if every one were right, edits that are missing
            included.
    """

    clean: Share
    control: Share
    robust: Share
    asr: Share
    validity: Share
    missing: int
    robust_bounds: tuple[float, float]


def measure(suite: Suite) -> Report:
    """All numbers of one defender."""
    items = list(suite.values())
    return Report(
        clean=share_of([item.original for item in items]),
        control=share_of([item.control for item in items]),
        robust=share_of([item.robust for item in items]),
        asr=attack_success(items),
        validity=clustered_share([(len(i.edits), len(i.edits) + sum(i.rejected.values())) for i in items]),
        missing=sum(len(item.failed) for item in items),
        robust_bounds=(bound(items, missing=False), bound(items, missing=True)),
    )


def share_of(values: Sequence[bool | None]) -> Share:
    """Share of True among those that are known."""
    answers = [value for value in values if value is not None]
    return share(sum(answers), len(answers))


def attack_success(items: Iterable[Item]) -> Share:
    """ASR over valid edits, clustered by sample."""
    answers = [[right for right in item.edits.values() if right is not None] for item in items if item.steady]
    return clustered_share([(sum(not right for right in given), len(given)) for given in answers])


def bound(items: Iterable[Item], *, missing: bool) -> float:
    """Robust accuracy with every missing answer taken as `missing`."""
    results = [item.bound(missing) for item in items if item.edits or item.failed]
    return share(sum(results), len(results)).value


@dataclass(frozen=True)
class Difference:
    """One defender less another, on the same samples and edits.

    Attributes:
        robust, clean: paired differences.
        clean_bound: one-sided lower bound of the clean difference.
    """

    robust: Share
    clean: Share
    clean_bound: float


def compare(after: Suite, before: Suite) -> Difference:
    """Paired over the samples for which both are known.

    Raises:
        ValueError: the two were shown different edits of a sample.
    """
    both = [(after[name], before[name]) for name in after if name in before]
    for one, other in both:
        if one.edits.keys() != other.edits.keys():
            raise ValueError("the two defenders were not shown the same edits; replay one suite to both")
    robust = known((a.robust, b.robust) for a, b in both)
    clean = known((a.original, b.original) for a, b in both)
    return Difference(paired(*robust), paired(*clean), lower_bound(*clean))


def known(pairs: Iterable[tuple[float | None, float | None]]) -> tuple[list[float], list[float]]:
    """The pairs of which both halves are known, as two lists."""
    whole = [(float(first), float(second)) for first, second in pairs if first is not None and second is not None]
    return [first for first, _ in whole], [second for _, second in whole]


def attack_difference(suite: Suite, after: str, before: str) -> Share:
    """ASR of one attacker less another's, against one defender, over steady samples where both have valid edits."""
    steady = [item for item in suite.values() if item.steady]
    new, old = frozenset({after}), frozenset({before})
    return paired(*known((rate(item.by(new)), rate(item.by(old))) for item in steady))


def rate(item: Item) -> float | None:
    """Share of wrong answers among an item's edits; None without any."""
    answers = [right for right in item.edits.values() if right is not None]
    return sum(not right for right in answers) / len(answers) if answers else None
