"""How each defender did on the suite, read from the ledger."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sparring.ledgers import entries
from sparring.ledgers.entries import Measures
from sparring.ledgers.episodes import EpisodeLedger
from sparring.ledgers.records import EditId, Purpose, RevisionName
from sparring.ops.findings import Change
from sparring.ops.gate import to_share
from sparring.referee.items import Item, Suite, read
from sparring.referee.measures import Difference, asr, attack_difference, compare, known, measure, pool, robust
from sparring.referee.statistics import paired


def read_suite(ledger: EpisodeLedger, campaign: str, defender: RevisionName) -> Suite:
    """Everything that `defender` has answered in evaluations."""
    return read(ledger.scan(campaign=campaign, purpose=Purpose.EVALUATE, defender=defender))


def only(suite: Suite, attackers: Collection[RevisionName]) -> Suite:
    """The same, with these attackers' edits alone."""
    chosen = frozenset[str](attackers)
    return {name: item.by(chosen) for name, item in suite.items()}


def align(before: Suite, after: Suite) -> tuple[Suite, Suite]:
    """Both, with the samples and edits that both were shown: an answer that is missing leaves a gap on one side."""
    names = [name for name in before if name in after]
    shared = {name: before[name].edits.keys() & after[name].edits.keys() for name in names}
    return (
        {name: _with(before[name], shared[name]) for name in names},
        {name: _with(after[name], shared[name]) for name in names},
    )


def _with(item: Item, edits: Collection[EditId]) -> Item:
    return replace(item, edits={name: reply for name, reply in item.edits.items() if name in edits})


def difference(before: Suite, after: Suite) -> Difference:
    """`after` less `before`, paired on what both were shown."""
    first, second = align(before, after)
    return compare(second, first)


def to_measures(suite: Suite) -> Measures:
    """All numbers, as the journal keeps them."""
    report = measure(suite)
    return Measures(
        clean=to_share(report.clean),
        control=to_share(report.control),
        robust=to_share(report.robust),
        asr=to_share(report.asr),
        validity=to_share(report.validity),
        missing=report.missing,
    )


def asr_by_attacker(suite: Suite, before: RevisionName, after: RevisionName) -> Change:
    """Success of two attackers against one defender."""
    first, second = only(suite, [before]), only(suite, [after])
    return Change(_asr(first), _asr(second), to_share(attack_difference(suite, after, before)))


def robust_by_attacker(suite: Suite, before: RevisionName, after: RevisionName) -> Change:
    """Robust accuracy of one defender on the edits of either of two attackers."""
    first, second = only(suite, [before]), only(suite, [after])
    change = paired(*known(robust, [(second[name], first[name]) for name in suite]))
    return Change(_robust(first), _robust(second), to_share(change))


def robust_by_defender(before: Suite, after: Suite) -> Change:
    """Robust accuracy of two defenders on the same edits."""
    return Change(_robust(before), _robust(after), to_share(difference(before, after).robust))


def asr_by_defender(before: Suite, after: Suite) -> Change:
    """Success of the same edits against two defenders; the difference is over samples where both are steady."""
    first, second = align(before, after)
    change = paired(*known(asr, [(second[name], first[name]) for name in first]))
    return Change(_asr(before), _asr(after), to_share(change))


def _asr(suite: Suite) -> entries.Share:
    return to_share(pool(suite, asr))


def _robust(suite: Suite) -> entries.Share:
    return to_share(pool(suite, robust))
