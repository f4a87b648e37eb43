"""Scores, intervals that respect blocks, and bands that training claims are held to."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .runtime import get_profile, get_seed, hardware


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


def _record(name: str, value: float, seconds: float | None = None) -> bool:
    """Write a line to the file that `COURSE_RECORD_BANDS` names, if it names one; return whether it does."""
    record = os.environ.get("COURSE_RECORD_BANDS") if get_profile().name != "smoke" else None
    if record:
        line = {"name": name, "value": float(value), "seed": get_seed()} | ({"seconds": seconds} if seconds else {})
        with open(record, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    return bool(record)


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
    if _record(name, value):
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


class Comparison(NamedTuple):
    """A run beside the stored runs of its claim: in words, and the numbers that `plots.compared_run` draws."""

    sentence: str
    value: float
    values: tuple[float, ...] = ()  # of the stored seeds; none where nothing is stored for this profile
    band: tuple[float, float] | None = None  # where the next seed should fall (99 %)


_MEANING = {
    "inside": "a difference of this size shows nothing. For smaller gains, train both ways with several seeds.",
    "below": "this is something else. Every cell run once and in order? No early stop? Labels, mask, learning rate?",
    "above": "this is something else. The same test part? No copy of it in the training part? Nothing chosen on it?",
}


def compare_run(name: str, value: float, *, seconds: float | None = None) -> Comparison:
    """Return where a run stands among the stored seeds of a claim, and what a difference of that size means.

    The stored times come from an idle machine; builds of one notebook on it differed by a factor of 1.3. In record
    mode (`check_band`) value and seconds are written down instead.

    Args:
        name: of the claim, as for `check_band`; one that is not stored for this profile is said to be so.
        value: what the run reached, for example its test accuracy.
        seconds: what its training took.
    """
    profile, kept = get_profile().name, _bands()
    band = kept["profiles"].get(profile, {}).get(name)
    if _record(name, value, seconds) or band is None:
        return Comparison(f"{name}: {value:.3f}. Nothing is stored for it in the {profile} profile.", value)
    values, low, high, mean = band["values"], band["low"], band["high"], np.mean(band["values"])
    side = "above" if value >= mean else "below"
    sentence = (
        f"{name}: {value:.3f}, {abs(value - mean):.3f} {side} the mean of {len(values)} stored seeds.\n"
        f"They lie at {min(values):.3f} to {max(values):.3f}, and a seed moves it by up to {(high - low) / 2:.3f} (99 %): "
        + _MEANING["inside" if low <= value <= high else side]
    )
    if seconds and "seconds" in band:
        usual, there = np.median(band["seconds"]), kept["measured"]["hardware"]
        reading = "as usual." if 1 / 1.5 < seconds / usual < 1.5 else "what else is running, or was left out?"
        if there != hardware():
            reading = "another machine, so the factor compares machines, not runs."
        sentence += f"\nTraining took {seconds:.0f} s, {seconds / usual:.2f} times the {usual:.0f} s on {there}: {reading}"
    return Comparison(sentence, value, tuple(values), (low, high))
