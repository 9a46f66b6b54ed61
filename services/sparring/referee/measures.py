"""What is measured: pure functions of how defenders did. Definitions: docs/formulas.md.

A measure is a function of one sample: how many observations it gives, and how many of them hit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sparring.ledgers.records import SampleId
from sparring.referee.items import Item, Reply, Suite
from sparring.referee.statistics import Share, clustered_share, lower_bound, paired, share

Hits = tuple[int, int]
"""Hits and observations."""
Images = Mapping[SampleId, str]
"""The image that each sample is about: samples about one image are not independent."""


def clean(item: Item) -> Hits:
    """Right answers to the original."""
    return right(item.original)


def control(item: Item) -> Hits:
    """Right answers to the control."""
    return right(item.control)


def robust(item: Item) -> Hits:
    """The sample, if it has a valid edit and no answer is missing: right on the original and on every valid edit."""
    return (0, 0) if item.robust is None else (int(item.robust), 1)


def mean(item: Item) -> Hits:
    """Right answers to valid edits."""
    return right(*item.edits.values())


def asr(item: Item) -> Hits:
    """Wrong answers to valid edits of a sample that is right on original and control."""
    hits, total = right(*item.edits.values())
    return (total - hits, total) if item.steady else (0, 0)


def consistency(item: Item) -> Hits:
    """Answers to valid edits that choose what the answer to the original chose, right or wrong. An answer that no
    choice can be read out of agrees with nothing."""
    if item.original is None:
        return 0, 0
    chosen = item.original.option
    return sum(reply.option is not None and reply.option == chosen for reply in item.replies), len(item.replies)


def validity(item: Item) -> Hits:
    """Edits that the referee accepted."""
    return len(item.edits), len(item.edits) + len(item.rejected)


def unscored(item: Item) -> Hits:
    """Answers to original, control and valid edits that no choice could be read out of."""
    replies = [reply for reply in (item.original, item.control, *item.replies) if reply is not None]
    return sum(reply.option is None for reply in replies), len(replies)


def right(*replies: Reply | None) -> Hits:
    """Right ones among the answers that are known."""
    known = [reply.right for reply in replies if reply is not None]
    return sum(known), len(known)


def pool(suite: Suite, count: Callable[[Item], Hits], images: Images | None = None) -> Share:
    """A measure over all samples, with Wilson's interval where each image gives one observation at most, else that of a
    bootstrap over images.

    Args:
        suite: how one defender did.
        count: the measure.
        images: by default every sample has an image of its own.
    """
    return together((images[name] if images else name, count(item)) for name, item in suite.items())


def together(observed: Iterable[tuple[str, Hits]]) -> Share:
    """A share of observations in clusters, see `pool`: name of the cluster, hits and observations."""
    clusters: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, hits in observed:
        for place, number in enumerate(hits):
            clusters[name][place] += number
    if all(total <= 1 for _, total in clusters.values()):
        return share(sum(hits for hits, _ in clusters.values()), sum(total for _, total in clusters.values()))
    return clustered_share([(hits, total) for hits, total in clusters.values()])


@dataclass(frozen=True)
class Report:
    """What one defender showed on a suite.

    Attributes:
        clean, control, robust, mean, asr, consistency, validity, unscored: see the functions of these names.
        missing: matches without result, because attacker or defender gave none.
        robust_bounds: `robust` if every missing answer were wrong, and if every one were right, edits that are missing
            included.
    """

    clean: Share
    control: Share
    robust: Share
    mean: Share
    asr: Share
    consistency: Share
    validity: Share
    unscored: Share
    missing: int
    robust_bounds: tuple[float, float]


def measure(suite: Suite, images: Images | None = None) -> Report:
    """All numbers of one defender; arguments as for `pool`."""
    return Report(
        clean=pool(suite, clean, images),
        control=pool(suite, control, images),
        robust=pool(suite, robust, images),
        mean=pool(suite, mean, images),
        asr=pool(suite, asr, images),
        consistency=pool(suite, consistency, images),
        validity=pool(suite, validity, images),
        unscored=pool(suite, unscored, images),
        missing=sum(len(item.failed) for item in suite.values()),
        robust_bounds=(bound(suite.values(), missing=False), bound(suite.values(), missing=True)),
    )


def bound(items: Iterable[Item], *, missing: bool) -> float:
    """Robust accuracy with every missing answer taken as `missing`."""
    results = [item.bound(missing=missing) for item in items if item.edits or item.failed]
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
    robusts, cleans = known(robust, both), known(clean, both)
    return Difference(paired(*robusts), paired(*cleans), lower_bound(*cleans))


def known(count: Callable[[Item], Hits], pairs: Iterable[tuple[Item, Item]]) -> tuple[list[float], list[float]]:
    """A measure of both halves of each pair for which both have observations, as two lists of rates."""
    rates = [(rate(count(one)), rate(count(other))) for one, other in pairs]
    whole = [(first, second) for first, second in rates if first is not None and second is not None]
    return [first for first, _ in whole], [second for _, second in whole]


def rate(hits: Hits) -> float | None:
    """Hits by observations; None without any."""
    return hits[0] / hits[1] if hits[1] else None


def attack_difference(suite: Suite, after: str, before: str) -> Share:
    """ASR of one attacker less another's, against one defender, over steady samples where both have valid edits."""
    new, old = frozenset({after}), frozenset({before})
    return paired(*known(asr, [(item.by(new), item.by(old)) for item in suite.values()]))
