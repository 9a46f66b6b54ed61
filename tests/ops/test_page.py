"""The parts that the report is made of."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.ledgers.entries import Share
from sparring.ops.report.charts import running_mean, spread_apart
from sparring.ops.report.gallery import difference_map
from sparring.ops.report.page import heat, judge
from sparring.ops.report.template import shorten
from sparring.ops.text import duration, gibibytes, interval, percent, points, points_interval

NOTHING = Share(value=None, low=None, high=None, n=0)


def share(value: float, low: float, high: float) -> Share:
    return Share(value=value, low=low, high=high, n=5)


def test_numbers_as_people_read_them() -> None:
    assert percent(0.9142) == "91.4 %"
    assert percent(None) == "–"
    assert interval(share(0.9, 0.874, 0.92)) == "87.4 – 92.0"
    assert interval(NOTHING) == "no observations"
    assert points(share(-0.012, 0, 0)) == "−1.2 points"
    assert points_interval(share(0.1, -0.05, 0.25)) == "−5.0 to +25.0"
    assert points(NOTHING) == "–"
    assert gibibytes(3 * 2**30) == "3.0 GiB"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3599, "1 h 00 min"), (5400, "1 h 30 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_change_is_judged_by_its_interval() -> None:
    assert judge(share(0.1, 0.05, 0.15), up=True) == "better"
    assert judge(share(0.1, 0.05, 0.15), up=False) == "worse"
    assert judge(share(0.1, -0.05, 0.25), up=True) == ""
    assert judge(None, up=True) == judge(NOTHING, up=True) == ""


def test_heat_darkens_and_stays_readable() -> None:
    assert heat(None) == ""
    assert "color: inherit" in heat(0.1)
    assert "color: #fff" in heat(0.9)


def test_running_mean_against_numpy() -> None:
    values = np.random.default_rng(0).normal(size=20)
    values[4] = np.nan
    mean, half = running_mean(values, 5)
    window = values[15:20]
    assert mean[19] == pytest.approx(window.mean())
    assert half[19] == pytest.approx(1.96 * window.std(ddof=1) / np.sqrt(5))
    assert mean[0] == values[0]
    assert np.isfinite(mean).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=3))
def test_labels_are_apart_and_in_order(values: list[float]) -> None:
    placed = spread_apart(values, 0.06)
    order = sorted(range(len(values)), key=lambda index: values[index])
    ranked = [placed[index] for index in order]
    assert all(high - low >= 0.06 - 0.02 for low, high in pairwise(ranked))
    assert np.mean(placed) == pytest.approx(np.mean(values))


def test_difference_map_is_white_where_nothing_changed() -> None:
    control = np.full((8, 8, 3), 100, dtype=np.uint8)
    edit = control.copy()
    edit[2, 3] = (100, 255, 100)
    drawn = difference_map(control, edit)
    assert (drawn[0, 0] == (250, 250, 249)).all()
    assert (drawn[2, 3] == (124, 29, 29)).all()
    assert difference_map(control, np.full((16, 16, 3), 100, dtype=np.uint8)).shape == control.shape


def test_the_end_of_an_answer_is_kept() -> None:
    assert shorten("a  b\nc") == "a b c"
    assert shorten("x" * 300 + " \\boxed{A}").endswith("\\boxed{A}")
