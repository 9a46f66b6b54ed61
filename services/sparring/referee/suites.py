"""Whether two models were shown and asked the same: only then does a difference of their numbers say anything."""

from __future__ import annotations

from collections.abc import Iterator

from sparring.ledgers.records import EditId, EditRecord, SampleId
from sparring.referee.asked import Asked
from sparring.referee.evidence import Evidence
from sparring.referee.items import Item

SAME = ("options", "option_seed", "prompt", "temperature", "max_tokens", "extraction")
"""Fields of `Asked` that must be equal. Other samples or attacks, another budget or seed show in what was played."""


class OtherSuite(ValueError):
    """Two checks whose numbers can't be compared; the message says what differs."""

    def __init__(self, differences: list[str]) -> None:
        super().__init__(f"the two checks are not about the same suite: {'; '.join(differences)}")


def demand_same(asked: tuple[Asked, Asked], evidence: tuple[Evidence, Evidence]) -> None:
    """Raises: OtherSuite, unless the same was asked in the same way about the same images."""
    if found := [*_ways(*asked), *_samples(*evidence), *_edits(*evidence)]:
        raise OtherSuite(found)


def _ways(one: Asked, other: Asked) -> Iterator[str]:
    for name in SAME:
        first, second = getattr(one, name), getattr(other, name)
        if first != second:
            yield f"{name} is {first!r} and {second!r}"


def _samples(one: Evidence, other: Evidence) -> Iterator[str]:
    for here, there, which in ((one, other, "first"), (other, one, "second")):
        if alone := sorted(here.suite.keys() - there.suite.keys()):
            yield f"{len(alone)} samples are in the {which} alone, for one {alone[0][:12]}"
    both = sorted(one.suite.keys() & other.suite.keys())
    asked = [name for name in both if not _alike(one.suite[name].prompts, other.suite[name].prompts)]
    if asked:
        yield f"{len(asked)} questions were put in other words or another order of options, for one {asked[0][:12]}"


def _alike(one: set[str], other: set[str]) -> bool:
    """Whether the prompts are one and the same; what was never put differs from nothing."""
    return len(one | other) <= 1


def _edits(one: Evidence, other: Evidence) -> Iterator[str]:
    both = sorted(one.suite.keys() & other.suite.keys())
    unmatched = [edit for name in both for edit in _unmatched(one.suite[name], other.suite[name])]
    if unmatched:
        yield f"{len(unmatched)} edits were shown to one alone, for one {unmatched[0]}"
    shared = sorted(one.edits.keys() & other.edits.keys())
    changed = [name for name in shared if _made(one.edits[name]) != _made(other.edits[name])]
    if changed:
        yield f"{len(changed)} edits have the same names but were made or judged otherwise, for one {changed[0]}"


def _unmatched(one: Item, other: Item) -> list[EditId]:
    """Edits of one alone that are not missing because the other's match has no result."""
    found = []
    for here, there in ((one, other), (other, one)):
        lost = {failure.attacker for failure in there.failed.values()}
        found += [name for name, who in here.attackers.items() if name not in there.attackers and who not in lost]
    return sorted(found)


def _made(edit: EditRecord) -> tuple[SampleId, str, str, str, int, bool]:
    """What makes an edit what it is, as far as it is known without its image."""
    return edit.sample_id, edit.attacker, edit.attacker_digest, edit.instruction, edit.seed, edit.verdict.valid
