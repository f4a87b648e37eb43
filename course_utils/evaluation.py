"""Intervals around scores, drawn over the blocks that texts came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SHOWN = 1.96 + 0.84  # standard errors of a difference whose 95 % interval excludes 0 in four experiments of five


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95 % interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"

    @property
    def points(self) -> str:
        """A difference of two scores in points, with its sign: "+4.1 (+2.2 to +6.0)"."""
        return f"{100 * self.estimate:+z.1f} ({100 * self.low:+z.1f} to {100 * self.high:+z.1f})"

    @property
    def verdict(self) -> str:
        """What a difference of two scores shows: "better", "worse", or "cannot tell" if its interval contains 0."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "cannot tell"

    def verdict_within(self, margin: float) -> str:
        """As `verdict`; but a difference that is surely below `margin` counts as equal, and what could be seen is said.

        "cannot tell" names the difference that an interval of this width shows in four experiments of five.
        """
        if self.verdict == "cannot tell" and max(-self.low, self.high) < margin:
            return f"equal, within {100 * margin:g} points"
        seen = 100 * _SHOWN * (self.high - self.low) / (2 * 1.96)
        return f"cannot tell, could have seen {seen:.1f} points" if self.verdict == "cannot tell" else self.verdict


def block_interval(values: np.ndarray, blocks: np.ndarray, *, draws: int = 2_000) -> Interval:
    """Return the mean of `values` (n,) with a 95 % percentile interval from drawing whole blocks.

    Reviews in one block resemble each other, so blocks, not reviews, are the independent units.
    Source: Davison and Hinkley, 1997, section 3.8 (cluster bootstrap).

    Raises:
        ValueError: fewer than two blocks.
    """
    values, names = np.asarray(values, dtype=float), np.unique(blocks, return_inverse=True)
    if len(names[0]) < 2:
        raise ValueError("An interval needs at least two blocks of reviews.")
    sums, sizes = np.bincount(names[1], weights=values), np.bincount(names[1])
    drawn = np.random.default_rng(0).integers(len(sums), size=(draws, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))


def difference_interval(correct_a: np.ndarray, correct_b: np.ndarray, blocks: np.ndarray) -> Interval:
    """Return accuracy(a) - accuracy(b) on the same examples, with its 95 % interval over blocks."""
    return block_interval(np.asarray(correct_a, float) - np.asarray(correct_b, float), blocks)


def seeds_interval(ours: np.ndarray, theirs: np.ndarray, blocks: np.ndarray) -> Interval:
    """Return the mean difference of two methods over seeds and examples, with its 95 % interval.

    Two kinds of chance add up: which examples were drawn (blocks, as in `block_interval`), and how the seeds of training
    scatter (Student's t, S - 1 degrees of freedom). So the interval is for the mean over further seeds and examples.

    Args:
        ours, theirs: bool or float (S, n), correct or not, for the same S seeds and n examples.

    Raises:
        ValueError: fewer than two seeds, or fewer than two blocks.
    """
    from scipy.stats import t as student_t

    gaps = np.asarray(ours, float) - np.asarray(theirs, float)  # (S, n)
    if len(gaps) < 2:
        raise ValueError("An interval over seeds needs at least two seeds.")
    drawn, by_seed = block_interval(gaps.mean(axis=0), blocks), gaps.mean(axis=1)
    half = student_t.ppf(0.975, len(gaps) - 1) * by_seed.std(ddof=1) / len(gaps) ** 0.5
    low, high = np.hypot(drawn.estimate - drawn.low, half), np.hypot(drawn.high - drawn.estimate, half)
    return Interval(drawn.estimate, float(drawn.estimate - low), float(drawn.estimate + high))


def tenths(probabilities: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Return, for each tenth of probabilities (n,) that has texts: mean probability, share of hits and n, float (k, 3)."""
    p, y = np.asarray(probabilities, dtype=float), np.asarray(hits)
    tenth = np.minimum((p * 10).astype(int), 9)
    return np.array([[p[tenth == k].mean(), y[tenth == k].mean(), (tenth == k).sum()] for k in np.unique(tenth)])


def detectable_difference(disagreement: float, n: int) -> float:
    """Return the smallest difference in accuracy that `n` test examples show in four experiments of five.

    Both models answer the same examples, and disagree on the share `disagreement` of them; a 95 % interval is to exclude 0.
    Source: Connor, 1987, for two paired proportions (1.96 for the interval, 0.84 for four of five).
    """
    return _SHOWN * (disagreement / n) ** 0.5
