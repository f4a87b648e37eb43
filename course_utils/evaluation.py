"""Scores, intervals that respect blocks, and bands that training claims are held to."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .runtime import get_profile, get_seed


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95 % interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.low:.3f} to {self.high:.3f})"


class OutsideBandError(AssertionError):
    """A training claim does not hold: the value lies outside the band measured for it."""


def _same_length(predictions: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if predictions.shape != labels.shape or predictions.ndim != 1 or not len(labels):
        raise ValueError(
            f"predictions have shape {predictions.shape} and labels {labels.shape}: both must be (n,) with n of 1 or more. "
            "If you passed logits (n, C), take .argmax(axis=1) first."
        )
    return predictions, labels


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Return the fraction of predictions int (n,) that equal labels int (n,)."""
    predictions, labels = _same_length(predictions, labels)
    return float((predictions == labels).mean())


def confusion(predictions: np.ndarray, labels: np.ndarray, *, num_classes: int = 2) -> np.ndarray:
    """Return counts int64 (C, C): row = true class, column = predicted class."""
    predictions, labels = _same_length(predictions, labels)
    largest = max(predictions.max(), labels.max())
    if largest >= num_classes or min(predictions.min(), labels.min()) < 0:
        raise ValueError(f"There is a class {largest}, but num_classes={num_classes}: classes are 0 to num_classes - 1.")
    return np.bincount(labels * num_classes + predictions, minlength=num_classes**2).reshape(num_classes, num_classes)


def macro_f1(predictions: np.ndarray, labels: np.ndarray, *, num_classes: int = 2) -> float:
    """Return the mean over classes of F1 = 2 TP / (2 TP + FP + FN); a class never seen nor predicted gives 0."""
    counts = confusion(predictions, labels, num_classes=num_classes)
    denominator = counts.sum(axis=0) + counts.sum(axis=1)
    return float(np.mean(2 * counts.diagonal() / np.maximum(denominator, 1)))


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


def _bands() -> dict:
    return json.loads(Path(__file__).with_name("bands.json").read_text())


def check_band(name: str, value: float) -> str:
    """Return a sentence that says `value` lies in the band measured for this claim and profile.

    Bands are measured by `bench/bands.py` over at least five seeds and kept in `bands.json` with seeds,
    hardware and date. The smoke profile trains on too little to claim anything, so it has no bands.
    Where `COURSE_RECORD_BANDS` names a file, the value is added to it as a line of JSON instead of checked.

    Raises:
        OutsideBandError: the value lies outside; the sentence names value and band.
        ValueError: the claim has never been measured; the message lists those that have.
    """
    profile = get_profile().name
    if profile == "smoke":
        return f"{name}: the smoke profile trains on too little to be held to a band."
    if record := os.environ.get("COURSE_RECORD_BANDS"):
        with open(record, "a", encoding="utf-8") as file:
            file.write(json.dumps({"name": name, "value": float(value), "seed": get_seed()}) + "\n")
        return f"{name}: recorded."
    bands = _bands()["profiles"].get(profile, {})
    if not bands:
        return f"{name}: no band has been measured in the {profile} profile."
    if name not in bands:
        raise ValueError(f"No band is called {name!r}. Those measured in the {profile} profile: {', '.join(sorted(bands))}.")
    band = bands[name]
    low, high = band["low"], band["high"]
    if not low <= value <= high:  # NaN fails too
        raise OutsideBandError(
            f"{name} is {value:.4f}, outside its band {low:.3f} to {high:.3f}, measured over {len(band['values'])} seeds. "
            "Restart the kernel and run every cell in order; if it stays outside, what this cell claims does not hold here."
        )
    return f"{name}: inside its band {low:.3f} to {high:.3f} ({len(band['values'])} seeds)."


def make_band(values: list[float], *, smallest: float = 0.005) -> tuple[float, float]:
    """Return (low, high): where the next run should fall, from the values of at least five seeds.

    A 99 % prediction interval, mean +- t(n - 1) * s * sqrt(1 + 1 / n), but never narrower than
    +- `smallest`. Source: Hahn and Meeker, 1991, section 4.7.
    """
    from scipy import stats

    if len(values) < 5:
        raise ValueError(f"A band needs at least 5 seeds, not {len(values)}.")
    spread = stats.t.ppf(0.995, len(values) - 1) * np.std(values, ddof=1) * np.sqrt(1 + 1 / len(values))
    half, centre = max(float(spread), smallest), float(np.mean(values))
    return round(centre - half, 4), round(centre + half, 4)
