"""Scores with 95 % intervals that stay honest with few texts, and how far a confidence can be believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..evaluation import Interval, tenths
from .tasks import CLASSES

Z = 1.959964  # a normal variable is within as many standard deviations with a probability of 95 %
DRAWS = 2_000  # of blocks, for an interval


class ClassScore(NamedTuple):
    """How well one class or label is found: the number of its test texts, and what precision and recall are."""

    name: str
    texts: int
    precision: Interval
    recall: Interval
    average_precision: float


class Reliability(NamedTuple):
    """Confidences in bins: the mean confidence of each, the share that is right (with its interval), and how many there are.

    error: the mean difference between confidence and share, weighted by texts (expected calibration error).
    """

    confidence: list[float]
    right: list[Interval]
    texts: list[int]
    error: float


def wilson(successes: float, trials: float) -> Interval:
    """Return the share of successes with its 95 % interval, which has a width for 0 and for all successes too.

    Source: Wilson, 1927. Of no trials nothing is known: NaN, from 0 to 1.
    """
    if not trials:
        return Interval(float("nan"), 0.0, 1.0)
    share, shrink = successes / trials, 1 + Z**2 / trials
    middle = (share + Z**2 / (2 * trials)) / shrink
    half = Z / shrink * np.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    return Interval(float(share), float(min(share, max(middle - half, 0))), float(max(share, min(middle + half, 1))))


def share_interval(values: np.ndarray, blocks: np.ndarray) -> Interval:
    """Return the mean of values (n,) from 0 to 1 with Wilson's interval, for as many independent texts as blocks are worth.

    Texts of one block resemble each other. n is divided by the design effect (Kish, 1965): the variance of the mean over
    blocks, relative to that of independent texts. Where all are right or wrong, a block counts as one text.
    """
    codes = np.unique(blocks, return_inverse=True)[1]
    mean, sizes = float(np.mean(values)), np.bincount(codes)
    sums = np.bincount(codes, weights=np.asarray(values, dtype=float))
    variance = float(((sums - mean * sizes) ** 2).sum()) / len(values) ** 2
    worth = min(mean * (1 - mean) / variance, len(values)) if variance > 1e-12 else len(sizes)
    return wilson(mean * worth, worth)


def drawn_interval(counts: np.ndarray, blocks: np.ndarray, statistic: Callable[[np.ndarray], float]) -> Interval:
    """Return a statistic of the sum of counts (n, ...) over texts, with its 95 % interval from drawing whole blocks."""
    codes = np.unique(blocks, return_inverse=True)[1]
    of_block = np.zeros((codes.max() + 1, *counts.shape[1:]))
    np.add.at(of_block, codes, counts)
    rng, size = np.random.default_rng(0), len(of_block)
    drawn = [statistic(of_block[rng.integers(size, size=size)].sum(axis=0)) for _ in range(DRAWS)]
    return Interval(statistic(of_block.sum(axis=0)), *map(float, np.quantile(drawn, [0.025, 0.975])))


def f1_counts(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return float (n, 2, C) for `macro_f1`: 2 TP, and 2 TP + FP + FN, of truth and prediction (n, C) of 0 and 1."""
    return np.stack([2 * truth * predicted, truth + predicted], axis=1)


def macro_f1(counts: np.ndarray) -> float:
    """Return the mean F1 of the classes, from sums (2, C); one that never occurs does not count, as in scikit-learn."""
    doubled, total = counts
    return float((doubled[total > 0] / total[total > 0]).mean())


def macro_f1_interval(predicted: np.ndarray, truth: np.ndarray, blocks: np.ndarray) -> Interval:
    """Return macro F1 of predictions (n, C) of 0 and 1 with its interval.

    If there is no mistake, drawing texts gives none either: then the lower end is the mean of the classes' lower ends.
    """
    interval = drawn_interval(f1_counts(truth, predicted), blocks, macro_f1)
    if (truth != predicted).any():
        return interval
    lowest = np.mean([wilson(n, n).low for n in truth.sum(axis=0) if n])
    return Interval(interval.estimate, float(lowest), interval.high)


def mean_recall_gain(predicted: np.ndarray, baseline: np.ndarray, truth: np.ndarray, blocks: np.ndarray) -> Interval:
    """Return by how much the mean recall over classes is above that of a baseline; guessing always gains nothing."""
    both = [np.concatenate([matrix, 1 - matrix], axis=1) for matrix in (truth, predicted, baseline)]
    counts = np.stack([both[0] * both[1], both[0] * both[2], both[0]], axis=1)  # (n, 3, 2 C)

    def gain(sums: np.ndarray) -> float:
        found, other, total = sums[:, sums[2] > 0]
        return float(((found - other) / total).mean())

    return drawn_interval(counts, blocks, gain)


def macro_f1_gain(predicted: np.ndarray, baseline: np.ndarray, truth: np.ndarray, blocks: np.ndarray) -> Interval:
    """Return by how much macro F1 is above that of a baseline on the same texts, with its interval."""
    counts = np.stack([f1_counts(truth, predicted), f1_counts(truth, baseline)], axis=1)
    return drawn_interval(counts, blocks, lambda sums: macro_f1(sums[0]) - macro_f1(sums[1]))


def class_scores(
    truth: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray, names: tuple[str, ...]
) -> list[ClassScore]:
    """Return the scores of each class, from truth, predictions and probabilities (n, C)."""
    from sklearn.metrics import average_precision_score

    rows = []
    for name, true, said, likely in zip(names, truth.T, predicted.T, probabilities.T, strict=True):
        hits, precision = float(true @ said), float("nan")
        if true.any():
            precision = float(average_precision_score(true, likely))
        rows.append(ClassScore(name, int(true.sum()), wilson(hits, said.sum()), wilson(hits, true.sum()), precision))
    return rows


def reliability(confidence: np.ndarray, right: np.ndarray) -> Reliability:
    """Return how often predictions of each confidence (n,) are right (n,), in ten bins of equal width; none is empty."""
    means, shares, sizes = tenths(confidence, right).T
    hits = [wilson(share * size, size) for share, size in zip(shares, sizes, strict=True)]
    error = float(np.average(abs(means - shares), weights=sizes))
    return Reliability(means.tolist(), hits, sizes.astype(int).tolist(), error)


def fit_temperature(logits: np.ndarray, labels: np.ndarray, task: str) -> float:
    """Return the temperature T by which logits (n, C) are to be divided, so that confidences fit labels as well as they can.

    It minimises the cross-entropy of the validation texts. Few texts hardly move it from 1: log T has a normal prior with
    standard deviation 0.5. Source: Guo et al., 2017, section 4.2.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def loss(log_t: float) -> float:
        scaled = np.asarray(logits, dtype=np.float64) / np.exp(log_t)
        if task == CLASSES:
            cost = -log_softmax(scaled, axis=1)[np.arange(len(labels)), labels].sum()
        else:
            cost = (np.logaddexp(0, scaled) - labels * scaled).sum()
        return float(cost + 2 * log_t**2)  # (log T / 0.5)² / 2

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def abstention(confidence: np.ndarray, right: np.ndarray, *, wanted: float = 0.95, least: int = 20) -> float | None:
    """Return the lowest confidence from which on a share `wanted` of the predictions is right, or None.

    0 if all predictions together are as good. None if no confidence does it for at least `least` texts.
    """
    order = np.argsort(-confidence, kind="stable")
    good = np.cumsum(right[order]) >= wanted * np.arange(1, len(order) + 1)
    last = np.append(np.diff(confidence[order]) != 0, True)  # equal confidences come together
    ends = np.flatnonzero(good & last & (np.arange(1, len(order) + 1) >= least))
    if not len(ends):
        return None
    return 0.0 if ends[-1] == len(order) - 1 else float(confidence[order][ends[-1]])
