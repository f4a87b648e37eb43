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


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [((0.001, 0.2), "better"), ((-0.2, -0.001), "worse"), ((-0.1, 0.1), "cannot tell"), ((0, 1), "cannot tell")],
)
def test_a_verdict_says_on_which_side_of_zero_the_interval_is(ends, verdict):
    assert evaluation.Interval(sum(ends) / 2, *ends).verdict == verdict


def test_a_difference_surely_below_the_margin_counts_as_equal():
    says = {ends: evaluation.Interval(sum(ends) / 2, *ends).verdict_within(0.02) for ends in [(-0.01, 0.015), (-0.03, 0.01)]}
    assert says == {(-0.01, 0.015): "equal, within 2 points", (-0.03, 0.01): "cannot tell, could have seen 2.9 points"}
    assert evaluation.Interval(0.01, 0.005, 0.015).verdict_within(0.02) == "better"


def test_a_difference_in_points_has_its_sign():
    assert evaluation.Interval(0.041, -0.0224, 0.06).points == "+4.1 (-2.2 to +6.0)"
    assert evaluation.Interval(-0.0001, -0.01, 0.01).points == "+0.0 (-1.0 to +1.0)"  # no minus before nothing


def test_an_interval_over_seeds_contains_the_true_difference_as_often_as_it_says():
    draws, hits, widths, n = np.random.default_rng(5), 0, [], 400
    for _ in range(200):
        skill = 0.05 + 0.03 * draws.normal(size=(4, 1))  # each seed has its own true gain; their mean is 0.05
        easy = draws.random(n)
        ours, theirs = easy < 0.7 + skill + 0.1 * draws.normal(size=(4, n)), easy < 0.7 + 0.1 * draws.normal(size=(4, n))
        interval = evaluation.seeds_interval(ours, theirs, np.arange(n))
        hits += interval.low <= 0.05 <= interval.high
        widths.append(interval.high - interval.low)
    assert hits >= 184  # 92 % of 200; the two parts overlap a little, so it may be more than 95 %
    alone = evaluation.difference_interval(ours.mean(axis=0), theirs.mean(axis=0), np.arange(n))
    assert np.mean(widths) > alone.high - alone.low  # seeds add to the width


def test_seeds_that_agree_leave_the_interval_over_blocks():
    a, b = np.array([[1, 1, 1, 0] * 25] * 3), np.array([[1, 0, 1, 0] * 25] * 3)
    ours, alone = evaluation.seeds_interval(a, b, np.arange(100)), evaluation.difference_interval(a[0], b[0], np.arange(100))
    assert (ours.low, ours.estimate, ours.high) == pytest.approx((alone.low, alone.estimate, alone.high))
    with pytest.raises(ValueError, match=r"at least two seeds"):
        evaluation.seeds_interval(a[:1], b[:1], np.arange(100))


def test_a_detectable_difference_is_found_four_times_in_five():
    n, disagreement, draws = 1_500, 0.2, np.random.default_rng(6)
    gap = evaluation.detectable_difference(disagreement, n)
    shares = [
        (disagreement + gap) / 2,
        (disagreement - gap) / 2,
        1 - disagreement,
    ]  # only ours right, only theirs, both alike
    only_ours, only_theirs, _ = draws.multinomial(n, shares, size=4_000).T
    error = np.sqrt((only_ours + only_theirs) / n - ((only_ours - only_theirs) / n) ** 2) / n**0.5
    found = (only_ours - only_theirs) / n > 1.96 * error
    assert found.mean() == pytest.approx(0.8, abs=0.03)
