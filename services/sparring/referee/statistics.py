"""Shares and differences with 95 % intervals. SciPy does the work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
DRAWS = 2000
"""Bootstrap draws."""


@dataclass(frozen=True)
class Share:
    """An estimate with its 95 % interval from `n` observations; NaN without any."""

    value: float
    low: float
    high: float
    n: int


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
    table = np.array([pair for pair in counts if pair[1] > 0], dtype=np.float64).reshape(-1, 2)
    if len(table) == 0:
        return NOTHING
    hits, total = table.sum(axis=0)
    value = float(hits / total)
    if value in (0.0, 1.0):
        bounds = share(round(value * len(table)), len(table))
        return Share(value, bounds.low, bounds.high, int(total))
    weights = np.random.default_rng(seed).multinomial(len(table), np.full(len(table), 1 / len(table)), size=DRAWS)
    sums = weights @ table
    low, high = np.percentile(sums[:, 0] / sums[:, 1], [50 - 50 * CONFIDENCE, 50 + 50 * CONFIDENCE])
    return Share(value, float(low), float(high), int(total))


def paired(after: Sequence[float], before: Sequence[float]) -> Share:
    """Mean of `after` less `before` over the same subjects, with Student's interval."""
    differences = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    if len(differences) == 0:
        return NOTHING
    value = float(differences.mean())
    if len(differences) < 2 or float(np.ptp(differences)) == 0:
        return Share(value, value, value, len(differences))
    interval = stats.ttest_1samp(differences, 0).confidence_interval(CONFIDENCE)
    return Share(value, float(interval.low), float(interval.high), len(differences))


def lower_bound(after: Sequence[float], before: Sequence[float]) -> float:
    """One-sided 95 % lower bound of the mean of `after` less `before`, for non-inferiority; NaN without subjects."""
    differences = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    if len(differences) < 2 or float(np.ptp(differences)) == 0:
        return float(differences.mean()) if len(differences) else math.nan
    test = stats.ttest_1samp(differences, 0, alternative="greater")
    return float(test.confidence_interval(CONFIDENCE).low)
