"""Threshold and calibration of notebook 13: what a threshold decides and costs, and whether probabilities can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

from .. import plots
from ..evaluation import tenths
from .page import Page, page

GRID = np.arange(101) / 100


@dataclass(frozen=True)
class Decision:
    """Counts of texts called positive or not, rightly or not, and what follows; NaN where there is nothing to divide by."""

    tp: int
    fp: int
    fn: int
    tn: int
    cost: float

    @property
    def precision(self) -> float:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else float("nan")

    @property
    def recall(self) -> float:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else float("nan")

    @property
    def accuracy(self) -> float:
        return (self.tp + self.tn) / (self.tp + self.fp + self.fn + self.tn)


def decide(
    probabilities: np.ndarray, labels: np.ndarray, *, threshold: float, cost_fp: float = 1.0, cost_fn: float = 1.0
) -> Decision:
    """Return what comes of calling every text positive whose probability (n,) reaches the threshold; cost is a mean."""
    called, is_positive = np.asarray(probabilities) >= threshold, np.asarray(labels) == 1
    tp, fp = int((called & is_positive).sum()), int((called & ~is_positive).sum())
    fn, tn = int((~called & is_positive).sum()), int((~called & ~is_positive).sum())
    return Decision(tp, fp, fn, tn, (fp * cost_fp + fn * cost_fn) / len(called))


def best_threshold(probabilities: np.ndarray, labels: np.ndarray, *, cost_fp: float = 1.0, cost_fn: float = 1.0) -> float:
    """Return the threshold of 0.00, 0.01, ..., 1.00 with the lowest cost, the first of equals."""
    prices = {"cost_fp": cost_fp, "cost_fn": cost_fn}
    return float(GRID[np.argmin([decide(probabilities, labels, threshold=t, **prices).cost for t in GRID])])


def threshold_explorer(probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> Page:
    """Return a threshold and two costs to choose, over the probabilities (n,) of class 1 and labels (n,) of 0 and 1."""
    p, y = np.round(np.asarray(probabilities, dtype=float), 4), np.asarray(labels)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    left.plot(GRID, [decide(p, y, threshold=t).cost for t in GRID], "-", color=plots.COLOURS[0])
    left.set(xlabel="threshold", ylabel="cost of a text", title="What each threshold costs, if errors cost 1")
    bins = tenths(p, y)
    right.plot([0, 1], [0, 1], ":", color="black")
    right.plot(bins[:, 0], bins[:, 1], "o-", color=plots.COLOURS[1])
    right.set(xlabel=f"probability of {class_names[1]}", ylabel=f"share that is {class_names[1]}")
    right.set_title("Can the probabilities be trusted?")
    alt = (
        "Left: mean cost of a text over the threshold, if each error costs 1. Right: the share of positive texts over the "
        "predicted probability, near the diagonal where the probabilities can be trusted."
    )
    return page("threshold", {"names": class_names, "probabilities": p.tolist(), "labels": y.tolist()}, figure, alt=alt)
