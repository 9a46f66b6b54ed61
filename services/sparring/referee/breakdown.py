"""Parts of a suite: by who edited, what is asked, how large its object is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sparring.ledgers.records import EditId, EditRecord, SampleId, SampleRecord
from sparring.referee.items import Item, Suite

SMALL, LARGE = 32**2, 96**2
"""Bounds between small, medium and large objects, square pixels (as in COCO, arXiv 1405.0312)."""

UNTOLD = "untold"
"""Type of an edit that was recorded without one."""


def by_attacker(suite: Suite) -> dict[str, Suite]:
    """Each attacker's edits alone, with the matches of its own that failed."""
    known = {name for item in suite.values() for name in item.attackers.values()}
    names = known | {failure.attacker for item in suite.values() for failure in item.failed.values()} - {""}
    return {name: {key: item.by(frozenset({name})) for key, item in suite.items()} for name in sorted(names)}


def by_type(suite: Suite, edits: Mapping[EditId, EditRecord]) -> dict[str, Suite]:
    """The valid edits of each attack type alone, at the samples that have any of it. The type of a rejected edit is not
    told."""
    types = {name: edits[name].attack_type or UNTOLD for item in suite.values() for name in item.edits}
    parts: dict[str, dict[SampleId, Item]] = {}
    for name, item in suite.items():
        for kind in {types[edit] for edit in item.edits}:
            parts.setdefault(kind, {})[name] = item.only(
                {edit for edit in item.edits if types[edit] == kind}.__contains__
            )
    return dict(sorted(parts.items()))


def by_sample(suite: Suite, label: Callable[[SampleId], str]) -> dict[str, Suite]:
    """The samples of each label."""
    parts: dict[str, dict[SampleId, Item]] = {}
    for name, item in suite.items():
        parts.setdefault(label(name), {})[name] = item
    return dict(sorted(parts.items()))


def category(sample: SampleRecord) -> str:
    """The source's own name for the kind of question."""
    return sample.category or "uncategorised"


def area(sample: SampleRecord) -> str:
    """Size of the smallest object that is asked about."""
    areas = [target.box[2] * target.box[3] for target in sample.targets]
    if not areas:
        return "no boxes"
    least = min(areas)
    return "small" if least < SMALL else "large" if least > LARGE else "medium"
