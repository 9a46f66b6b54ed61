"""Shares and differences with 95 % intervals. Definitions and sources: docs/formulas.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
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
    table = np.array([pair for pair in counts if pair[1] > 0], dtype=np.int64).reshape(-1, 2)
    if len(table) == 0:
        return NOTHING
    hits, total = (int(column) for column in table.sum(axis=0))
    if hits in (0, total):
        bounds = share(len(table) if hits else 0, len(table))
        return Share(hits / total, bounds.low, bounds.high, total)
    # Clusters with equal counts are the same to a bootstrap, and there are few kinds of them.
    kinds, times = np.unique(table, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(table), times / len(table), size=DRAWS) @ kinds
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [50 - 50 * CONFIDENCE, 50 + 50 * CONFIDENCE])
    return Share(hits / total, float(low), float(high), total)


def paired(after: Sequence[float], before: Sequence[float]) -> Share:
    """Mean of `after` less `before` over the same subjects, each from 0 to 1, with Student's interval."""
    differences = subtract(after, before)
    if len(differences) == 0:
        return NOTHING
    value = float(differences.mean())
    if np.ptp(differences) == 0:
        low, high = unvaried(value, len(differences), stats.norm.ppf(0.5 + CONFIDENCE / 2))
    else:
        low, high = stats.ttest_1samp(differences, 0).confidence_interval(CONFIDENCE)
    return Share(value, float(low), float(high), len(differences))


def lower_bound(after: Sequence[float], before: Sequence[float]) -> float:
    """One-sided 95 % lower bound of the mean of `after` less `before`, for non-inferiority; NaN without subjects."""
    differences = subtract(after, before)
    if len(differences) == 0:
        return math.nan
    if np.ptp(differences) == 0:
        return unvaried(float(differences.mean()), len(differences), stats.norm.ppf(CONFIDENCE))[0]
    test = stats.ttest_1samp(differences, 0, alternative="greater")
    return float(test.confidence_interval(CONFIDENCE).low)


def subtract(after: Sequence[float], before: Sequence[float]) -> NDArray[np.float64]:
    return np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)


def unvaried(value: float, n: int, z: float) -> tuple[float, float]:
    """Bounds of a mean of differences in [-1, 1] of which all `n` are equal, where Student's interval has no width.

    Wilson's interval still allows a share z^2 / (n + z^2) of subjects that are otherwise, by as much as can be.
    """
    others = z**2 / (n + z**2)
    return value - others * (value + 1), value + others * (1 - value)
