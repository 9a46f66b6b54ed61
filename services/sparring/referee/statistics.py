"""Shares and differences with 95 % intervals. Definitions and sources: docs/formulas.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

NumberT = TypeVar("NumberT", np.int64, np.float64)

CONFIDENCE = 0.95
DRAWS = 2000
"""Bootstrap draws."""
POWER = 0.8
"""How often a true difference is to be seen."""


@dataclass(frozen=True)
class Share:
    """An estimate with its 95 % interval; NaN without observations.

    Attributes:
        n: observations.
        clusters: what they come in, if they are not independent.
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int | None = field(default=None, compare=False)

    @property
    def independent(self) -> int:
        """Observations, or groups of them, that have nothing to do with each other: what an interval rests on."""
        return self.n if self.clusters is None else self.clusters


NOTHING = Share(math.nan, math.nan, math.nan, 0)


def share(right: int, n: int) -> Share:
    """A share of independent observations, with Wilson's interval."""
    if n == 0:
        return NOTHING
    interval = stats.binomtest(right, n).proportion_ci(CONFIDENCE, method="wilson")
    return Share(right / n, float(interval.low), float(interval.high), n)


def clustered_share(counts: Sequence[tuple[int, int]], seed: int = 0) -> Share:
    """A share of observations that come in clusters, with the percentile interval of a bootstrap over clusters.

    At 0 or 1 the bootstrap sees no spread; there Wilson's interval over clusters stands in for it.

    Args:
        counts: (hits, observations) of each cluster.
        seed: of the bootstrap.
    """
    table = np.array([pair for pair in counts if pair[1] > 0], dtype=np.int64).reshape(-1, 2)
    if len(table) == 0:
        return NOTHING
    hits, total = (int(column) for column in table.sum(axis=0))
    if hits in (0, total):
        bounds = share(len(table) if hits else 0, len(table))
        return Share(hits / total, bounds.low, bounds.high, total, len(table))
    drawn = redrawn(table, seed)
    return Share(hits / total, *percentiles(drawn[:, 0] / drawn[:, 1]), total, len(table))


def redrawn(table: NDArray[NumberT], seed: int) -> NDArray[NumberT]:
    """Sums of the columns of a table [rows, columns], each time over as many rows drawn from all: [draws, columns].

    Equal rows are the same to a bootstrap, and there are few kinds of them: what is drawn is how often each kind comes.
    So the order of the rows does not matter.
    """
    kinds, times = np.unique(table, axis=0, return_counts=True)
    drawn: NDArray[NumberT] = np.random.default_rng(seed).multinomial(len(table), times / len(table), DRAWS) @ kinds
    return drawn


def percentiles(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """The interval that holds the middle 95 % of what a bootstrap drew."""
    low, high = np.percentile(drawn, [50 - 50 * CONFIDENCE, 50 + 50 * CONFIDENCE])
    return float(low), float(high)


def mean_share(counts: Sequence[Sequence[tuple[int, int]]], seed: int = 0) -> Share:
    """The mean of several shares that weigh the same, with the percentile interval of a bootstrap over clusters.

    At 0 or 1 it is the same as their pool, whose interval stands in.

    Args:
        counts: for each cluster (hits, observations) of each share.
        seed: of the bootstrap.

    Returns:
        The mean; `n` is the number of all observations. A share without any is left out, of a draw too.
    """
    rows = [row for row in counts if any(total for _, total in row)]
    pooled = [(sum(hits for hits, _ in row), sum(total for _, total in row)) for row in rows]
    if sum(hits for hits, _ in pooled) in (0, sum(total for _, total in pooled)):
        return clustered_share(pooled, seed)
    table = np.array(rows, dtype=np.int64)
    hits, total = table.sum(axis=0).T
    known = total > 0
    sums = redrawn(table[:, known].reshape(len(rows), -1), seed).reshape(DRAWS, -1, 2)
    some = sums[..., 1] > 0
    rates = np.divide(sums[..., 0], sums[..., 1], out=np.zeros(some.shape), where=some)
    value = float((hits[known] / total[known]).mean())
    return Share(value, *percentiles(rates.sum(axis=1) / some.sum(axis=1)), int(total.sum()), len(rows))


def paired(after: Sequence[float], before: Sequence[float]) -> Share:
    """Mean of `after` less `before` over the same subjects, each from 0 to 1, with Student's interval."""
    differences = subtract(after, before)
    if len(differences) == 0:
        return NOTHING
    if even(differences):
        low, high = padded_interval(differences, (1 + CONFIDENCE) / 2)
    else:
        low, high = stats.ttest_1samp(differences, 0).confidence_interval(CONFIDENCE)
    return Share(float(differences.mean()), float(low), float(high), len(differences))


def clustered_paired(after: Sequence[float], before: Sequence[float], clusters: Sequence[str], seed: int = 0) -> Share:
    """`paired` for subjects that come in clusters: with the percentile interval of a bootstrap over clusters, unless
    every subject is a cluster of its own.

    Where the clusters' means do not differ at all, the interval is that of as many subjects as there are clusters.

    Args:
        after, before: of the same subjects, each from 0 to 1.
        clusters: the cluster of each subject.
        seed: of the bootstrap.

    Raises:
        ValueError: these are not of one length.
    """
    differences = subtract(after, before)
    if len(clusters) != len(differences):
        raise ValueError(f"{len(differences)} subjects can't be in {len(clusters)} clusters")
    names, places = np.unique(np.array(clusters, dtype=str), return_inverse=True)
    if len(names) == len(differences):
        return paired(after, before)
    sizes = np.bincount(places).astype(np.float64)
    sums = np.bincount(places, weights=differences)
    value = float(differences.mean())
    if even(sums / sizes):
        low, high = padded_interval(sums / sizes, (1 + CONFIDENCE) / 2)
    else:
        drawn = redrawn(np.stack([sums, sizes], axis=1), seed)
        low, high = percentiles(drawn[:, 0] / drawn[:, 1])
    return Share(value, low, high, len(differences), len(names))


def lower_bound(after: Sequence[float], before: Sequence[float]) -> float:
    """One-sided 95 % lower bound of the mean of `after` less `before`, for non-inferiority; NaN without subjects."""
    differences = subtract(after, before)
    if len(differences) == 0:
        return math.nan
    if even(differences):
        return padded_interval(differences, CONFIDENCE)[0]
    test = stats.ttest_1samp(differences, 0, alternative="greater")
    return float(test.confidence_interval(CONFIDENCE).low)


def subtract(after: Sequence[float], before: Sequence[float]) -> NDArray[np.float64]:
    """Raises: ValueError if the two are not of one length."""
    if len(after) != len(before):
        raise ValueError(f"{len(after)} values can't be paired with {len(before)}")
    return np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)


def even(differences: NDArray[np.float64]) -> bool:
    """Whether nothing shows how they vary: Student's interval has no width then, or no meaning."""
    return len(differences) < 2 or float(np.ptp(differences)) == 0


def padded_interval(differences: NDArray[np.float64], quantile: float) -> tuple[float, float]:
    """The interval of Agresti and Min (2005) for the difference of paired shares: half a subject more in each cell of
    the fourfold table, and the normal approximation."""
    n = len(differences) + 2
    mean = float(differences.sum()) / n
    variance = (float(np.square(differences).sum()) + 1) / n - mean**2
    radius = float(stats.norm.ppf(quantile)) * math.sqrt(variance / n)
    return max(-1.0, mean - radius), min(1.0, mean + radius)


@dataclass(frozen=True)
class McNemar:
    """Where two models disagree about being right on the same items.

    Attributes:
        gained: items that only the second answers rightly.
        lost: items that only the first answers rightly.
        p: probability of a split at least as uneven if neither were better, two-sided.
    """

    gained: int
    lost: int
    p: float


def mcnemar(after: Sequence[bool], before: Sequence[bool]) -> McNemar:
    """The exact test of McNemar (1947): items on which both agree tell nothing.

    Raises:
        ValueError: the two are not of one length.
    """
    differences = subtract(after, before)
    gained, lost = int((differences > 0).sum()), int((differences < 0).sum())
    p = float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return McNemar(gained, lost, p)


def items_needed(disagreement: float, difference: float) -> int:
    """Items on which two models must be compared for a difference to be seen at the 5 % level in four of five cases.

    Args:
        disagreement: share of items on which only one of the two is right, in (0, 1].
        difference: of their accuracies, not 0, and not beyond `disagreement`.

    Returns:
        (z sqrt(d) + y sqrt(d - e^2))^2 / e^2 for the disagreement d, the difference e, and the normal quantiles z of
        97.5 % and y of 80 % (Connor 1987, eq. 4), rounded up.

    Raises:
        ValueError: no two models differ so.
    """
    if not 0 < abs(difference) <= disagreement <= 1:
        raise ValueError(f"models that disagree on {disagreement:.1%} of items can't differ by {difference:.1%}")
    level, power = stats.norm.ppf((1 + CONFIDENCE) / 2), stats.norm.ppf(POWER)
    root = level * math.sqrt(disagreement) + power * math.sqrt(disagreement - difference**2)
    return math.ceil((root / difference) ** 2)
