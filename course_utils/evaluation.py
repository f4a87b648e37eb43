"""Intervals around scores, drawn over the blocks that texts came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95 % interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"


def block_interval(values: np.ndarray, blocks: np.ndarray, *, draws: int = 2_000, seed: int = 0) -> Interval:
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
    drawn = np.random.default_rng(seed).integers(len(sums), size=(draws, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))


def difference_interval(correct_a: np.ndarray, correct_b: np.ndarray, blocks: np.ndarray, *, seed: int = 0) -> Interval:
    """Return accuracy(a) - accuracy(b) on the same examples, with its 95 % interval over blocks."""
    return block_interval(np.asarray(correct_a, float) - np.asarray(correct_b, float), blocks, seed=seed)
