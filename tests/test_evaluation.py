"""Intervals against simulation and SciPy."""

import numpy as np
import pytest
from scipy import stats

from course_utils import evaluation

rng = np.random.default_rng(0)


def test_blocks_of_one_row_give_the_binomial_interval():
    correct = (np.arange(1_000) < 800).astype(float)
    interval = evaluation.block_interval(correct, np.arange(1_000), draws=4_000)
    low, high = stats.binom.ppf([0.025, 0.975], 1_000, 0.8) / 1_000
    assert interval.estimate == 0.8
    assert interval.low == pytest.approx(low, abs=0.003) and interval.high == pytest.approx(high, abs=0.003)


def test_uneven_blocks_agree_with_a_direct_simulation():
    blocks = np.repeat(np.arange(30), rng.integers(1, 40, size=30))
    values = (rng.random(len(blocks)) < rng.random(30)[blocks]).astype(float)  # blocks differ in difficulty
    other, means = np.random.default_rng(99), []
    for _ in range(3_000):
        drawn = np.concatenate([values[blocks == block] for block in other.integers(30, size=30)])
        means.append(drawn.mean())
    interval = evaluation.block_interval(values, blocks * 17 + 3, draws=3_000)  # names of blocks do not matter
    assert interval.estimate == pytest.approx(values.mean())
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.015)
    rows = evaluation.block_interval(values, np.arange(len(values)), draws=3_000)
    assert interval.high - interval.low > 1.5 * (rows.high - rows.low)  # similarity within blocks widens it


def test_a_difference_on_the_same_examples():
    a, b = np.array([1, 1, 1, 0] * 25), np.array([1, 0, 1, 0] * 25)
    interval = evaluation.difference_interval(a, b, np.arange(100))
    assert interval.estimate == 0.25 and 0.15 < interval.low < 0.25 < interval.high < 0.35
    same = evaluation.difference_interval(a, a, np.arange(100))
    assert (same.low, same.estimate, same.high) == (0, 0, 0)


def test_one_block_is_not_enough():
    with pytest.raises(ValueError, match=r"at least two blocks"):
        evaluation.block_interval(np.ones(5), np.zeros(5))


def test_an_interval_in_words():
    assert str(evaluation.Interval(0.8, 0.7754, 0.8246)) == "0.800 (0.775 to 0.825)"
