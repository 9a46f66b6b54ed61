"""Intervals against SciPy, closed forms, and how often they hold what they should."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sparring.referee.statistics import (
    NOTHING,
    Share,
    clustered_paired,
    clustered_share,
    items_needed,
    lower_bound,
    mcnemar,
    mean_share,
    paired,
    share,
)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (3, 10), (10, 10), (417, 1000)])
def test_wilson_is_the_closed_form(right: int, n: int) -> None:
    z = stats.norm.ppf(0.975)
    centre = (right + z**2 / 2) / (n + z**2)
    radius = z / (n + z**2) * math.sqrt(right * (n - right) / n + z**2 / 4)
    found = share(right, n)
    assert (found.value, found.n) == (right / n, n)
    assert found.low == pytest.approx(centre - radius, abs=1e-9)
    assert found.high == pytest.approx(centre + radius, abs=1e-9)


def test_nothing_observed_is_not_a_number() -> None:
    assert share(0, 0) is NOTHING
    assert clustered_share([]) is NOTHING
    assert clustered_share([(0, 0), (0, 0)]) is NOTHING
    assert paired([], []) is NOTHING
    assert math.isnan(NOTHING.value)
    assert math.isnan(lower_bound([], []))


def test_the_bootstrap_is_scipys() -> None:
    rng = np.random.default_rng(0)
    total = rng.integers(1, 6, 80)
    hits = rng.binomial(total, rng.beta(2, 3, 80))
    found = clustered_share(list(zip(hits.tolist(), total.tolist(), strict=True)))
    reference = stats.bootstrap(
        (hits, total),
        lambda h, t, axis: h.sum(axis) / t.sum(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=20_000,
        rng=rng,
    ).confidence_interval
    assert found.value == pytest.approx(hits.sum() / total.sum())
    assert found.n == total.sum()
    assert found.low == pytest.approx(reference.low, abs=0.004)
    assert found.high == pytest.approx(reference.high, abs=0.004)


def test_clusters_of_one_are_independent_observations() -> None:
    clustered, plain = clustered_share([(1, 1)] * 300 + [(0, 1)] * 700), share(300, 1000)
    assert clustered.low == pytest.approx(plain.low, abs=0.003)
    assert clustered.high == pytest.approx(plain.high, abs=0.003)


def test_observations_that_go_together_widen_the_interval() -> None:
    together = clustered_share([(10, 10)] * 30 + [(0, 10)] * 70)
    assert together.n == 1000
    alone = share(30, 100)
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.05)


def test_the_bootstrap_is_seeded() -> None:
    counts = [(index % 4, 4) for index in range(50)]
    assert clustered_share(counts, seed=1) == clustered_share(counts, seed=1)
    assert clustered_share(counts, seed=1) != clustered_share(counts, seed=2)


@pytest.mark.parametrize(("hits", "bounds"), [(0, (0, 40)), (5, (40, 40))])
def test_without_spread_wilsons_interval_over_clusters_stands_in(hits: int, bounds: tuple[int, int]) -> None:
    wilson = share(*bounds)
    assert clustered_share([(hits, 5)] * 40) == Share(hits / 5, wilson.low, wilson.high, 200)


def test_the_mean_of_shares_is_scipys_bootstrap() -> None:
    """Two shares of unlike size, some clusters without one of them."""
    rng = np.random.default_rng(3)
    total = rng.integers(0, 4, (2, 80))
    hits = rng.binomial(total, [[0.3], [0.8]])
    found = mean_share([tuple(zip(h, n, strict=True)) for h, n in zip(hits.T.tolist(), total.T.tolist(), strict=True)])
    reference = stats.bootstrap(
        (*hits, *total),
        lambda h0, h1, n0, n1, axis: (h0.sum(axis) / n0.sum(axis) + h1.sum(axis) / n1.sum(axis)) / 2,
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=20_000,
        rng=rng,
    ).confidence_interval
    assert found.value == pytest.approx((hits.sum(axis=1) / total.sum(axis=1)).mean())
    assert found.n == total.sum()
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.006)


def test_the_mean_of_shares_leaves_out_what_was_not_observed() -> None:
    assert mean_share([]) == mean_share([[(0, 0), (0, 0)]]) == NOTHING
    assert mean_share([[(1, 1), (0, 0)], [(0, 1), (0, 0)]]).value == 0.5
    assert mean_share([[(1, 1), (1, 1)]] * 40) == clustered_share([(2, 2)] * 40)


def test_ten_thousand_clusters_are_no_burden() -> None:
    rng = np.random.default_rng(1)
    hits = rng.binomial(10, 0.3, 10_000)
    found = clustered_share([(int(count), 10) for count in hits])
    assert found.high - found.low == pytest.approx(2 * 1.96 * math.sqrt(0.21 / 100_000), rel=0.05)


def test_paired_is_students_interval_of_the_differences() -> None:
    rng = np.random.default_rng(2)
    before, after = rng.random((2, 60)).round()
    found = paired(after.tolist(), before.tolist())
    reference = stats.ttest_rel(after, before).confidence_interval(0.95)
    assert found.value == pytest.approx(float((after - before).mean()))
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high))
    one_sided = stats.ttest_rel(after, before, alternative="greater").confidence_interval(0.95)
    assert lower_bound(after.tolist(), before.tolist()) == pytest.approx(one_sided.low)


def test_paired_subjects_in_clusters_are_scipys_bootstrap() -> None:
    rng = np.random.default_rng(4)
    clusters = [str(number) for number in rng.integers(0, 60, 200)]
    before, after = (rng.random((2, 200)) < [[0.4], [0.6]]).astype(float)
    found = clustered_paired(after.tolist(), before.tolist(), clusters)
    sums = np.array([(after - before)[np.array(clusters) == name].sum() for name in set(clusters)])
    sizes = np.array([clusters.count(name) for name in set(clusters)])
    reference = stats.bootstrap(
        (sums, sizes),
        lambda s, n, axis: s.sum(axis) / n.sum(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=20_000,
        rng=rng,
    ).confidence_interval
    assert found.n == 200
    assert found.value == pytest.approx(float((after - before).mean()))
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.008)


def test_a_cluster_of_paired_subjects_counts_as_one() -> None:
    after, before = [1.0, 0.0] * 20, [0.0, 0.0] * 20
    alone, twice = paired(after, before), clustered_paired(after * 2, before * 2, [str(n) for n in range(40)] * 2)
    assert clustered_paired(after, before, [str(n) for n in range(40)]) == alone
    assert (twice.value, twice.n) == (alone.value, 80)
    assert twice.high - twice.low == pytest.approx(alone.high - alone.low, rel=0.07)


def test_clusters_that_do_not_differ_are_as_many_subjects() -> None:
    found, reference = (
        clustered_paired([1.0] * 80, [1.0] * 80, [str(n // 2) for n in range(80)]),
        paired([1.0] * 40, [1.0] * 40),
    )
    assert (found.low, found.high, found.n) == (reference.low, reference.high, 80)
    with pytest.raises(ValueError, match="80 subjects can't be in 1 clusters"):
        clustered_paired([1.0] * 80, [1.0] * 80, ["a"])


@pytest.mark.parametrize(("n", "low", "high"), [(1, -0.5, 1.0), (2, -0.2, 1.0), (1000, 0.994, 1.0)])
def test_a_few_subjects_that_all_gained_prove_little(n: int, low: float, high: float) -> None:
    found = paired([1.0] * n, [0.0] * n)
    assert found.value == 1
    assert found.low == pytest.approx(low, abs=0.05 if n < 10 else 0.001)
    assert found.high == pytest.approx(high)


def test_no_difference_at_all_is_agresti_and_mins_interval() -> None:
    n = 50
    radius = stats.norm.ppf(0.975) * math.sqrt(1 / (n + 2)) / math.sqrt(n + 2)
    found = paired([1.0] * n, [1.0] * n)
    assert (found.value, found.n) == (0, n)
    assert (found.low, found.high) == pytest.approx((-radius, radius))
    assert lower_bound([1.0] * n, [1.0] * n) == pytest.approx(-stats.norm.ppf(0.95) / (n + 2))


def test_two_lists_of_different_length_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="2 values can't be paired with 1"):
        paired([1.0, 0.0], [1.0])


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    held = {"clustered": 0, "paired": 0, "bound": 0}
    runs, samples = 300, 200
    for _ in range(runs):
        rates = rng.beta(1, 2, samples)
        hits = rng.binomial(4, rates)
        found = clustered_share([(int(count), 4) for count in hits], seed=int(rng.integers(1 << 30)))
        held["clustered"] += found.low <= 1 / 3 <= found.high
        before = (rng.random(samples) < 0.6).astype(float)
        after = np.where(rng.random(samples) < 0.3, (rng.random(samples) < 0.8), before)
        truth = 0.3 * (0.8 - 0.6)
        found = paired(after.tolist(), before.tolist())
        held["paired"] += found.low <= truth <= found.high
        held["bound"] += lower_bound(after.tolist(), before.tolist()) <= truth
    for name, count in held.items():
        assert count / runs == pytest.approx(0.95, abs=0.04), name


@pytest.mark.parametrize("n", [30, 100, 191])
def test_wilson_covers_what_it_should(n: int) -> None:
    """By enumerating every outcome: over true shares from 0.1 to 0.9, on average and at the worst."""
    found = [share(right, n) for right in range(n + 1)]
    low, high = np.array([one.low for one in found]), np.array([one.high for one in found])
    coverage = [
        stats.binom.pmf(np.arange(n + 1), n, p)[(low <= p) & (p <= high)].sum() for p in np.linspace(0.1, 0.9, 161)
    ]
    assert np.mean(coverage) >= 0.945
    assert np.min(coverage) >= 0.92


def test_mcnemar_is_the_binomial_test_of_the_items_that_differ() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.random(200) < 0.6, rng.random(200) < 0.7
    found = mcnemar(after.tolist(), before.tolist())
    assert (found.gained, found.lost) == ((after & ~before).sum(), (before & ~after).sum())
    tail = stats.binom.cdf(min(found.gained, found.lost), found.gained + found.lost, 0.5)
    assert found.p == pytest.approx(min(1.0, 2 * tail))
    assert mcnemar([True, False], [True, False]).p == 1.0
    with pytest.raises(ValueError, match="can't be paired"):
        mcnemar([True], [True, False])


@pytest.mark.parametrize(("difference", "expected"), [(0.03, 2178), (0.05, 783), (-0.08, 305)])
def test_the_items_needed_are_those_of_connors_formula(difference: float, expected: int) -> None:
    assert items_needed(0.25, difference) == expected


def test_as_many_items_as_needed_show_the_difference_in_four_of_five_trials() -> None:
    rng = np.random.default_rng(0)
    gained, lost, trials = 0.2, 0.1, 2000
    drawn = rng.multinomial(items_needed(gained + lost, gained - lost), [gained, lost, 1 - gained - lost], size=trials)
    z = (drawn[:, 0] - drawn[:, 1]) / np.sqrt(drawn[:, 0] + drawn[:, 1])
    assert np.mean(np.abs(z) > stats.norm.ppf(0.975)) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("disagreement", "difference"), [(0.1, 0.2), (0.3, 0.0), (1.1, 0.5)])
def test_models_cannot_differ_by_more_than_they_disagree(disagreement: float, difference: float) -> None:
    with pytest.raises(ValueError, match="can't differ"):
        items_needed(disagreement, difference)


def test_what_an_interval_rests_on_is_known() -> None:
    assert share(3, 10).independent == 10
    assert clustered_share([(1, 4), (4, 4)] * 5).independent == 10
    assert clustered_share([(4, 4), (0, 0)]).independent == 1
    assert mean_share([[(1, 2), (1, 1)], [(0, 0), (0, 1)]]).independent == 2
    assert clustered_paired([1.0, 0.0, 1.0], [0.0, 0.0, 0.0], ["a", "a", "b"]).independent == 2
    assert paired([1.0, 0.0, 1.0], [0.0, 0.0, 0.0]).independent == 3
