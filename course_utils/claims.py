"""Tolerances that trained claims are held to in tests, and what a reader's own run has to do with the stored ones."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .device import hardware
from .profiles import get_profile, get_seed


class OutsideToleranceError(AssertionError):
    """A trained claim failed: the value is outside the tolerance measured for it."""


def _stored() -> dict:
    return json.loads(Path(__file__).with_name("claims.json").read_text())


def _record(name: str, value: float, seconds: float | None = None) -> bool:
    """Write a line to the file that `COURSE_RECORD_CLAIMS` names, if it names one; return whether it does."""
    record = os.environ.get("COURSE_RECORD_CLAIMS") if get_profile().name != "smoke" else None
    if record:
        line = {"name": name, "value": float(value), "seed": get_seed()} | ({"seconds": seconds} if seconds else {})
        with open(record, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    return bool(record)


def check_claim(name: str, value: float) -> str:
    """Return a sentence that says `value` lies within the tolerance measured for this claim and profile.

    Tolerances are measured by `bench/bands.py` over at least five seeds and kept in `claims.json` with seeds,
    hardware and date. The smoke profile trains on too little to claim anything, so it has none.
    If `COURSE_RECORD_CLAIMS` names a file, the value is added to it as a line of JSON instead of checked.

    Raises:
        OutsideToleranceError: the value lies outside; the sentence names value and tolerance.
        ValueError: the claim has never been measured; the message lists those that have.
    """
    profile = get_profile().name
    if profile == "smoke":
        return f"{name}: the smoke profile trains too little to check a claim."
    if _record(name, value):
        return f"{name}: recorded."
    claims = _stored()["profiles"].get(profile, {})
    if not claims:
        return f"{name}: no tolerance has been measured in the {profile} profile."
    if name not in claims:
        raise ValueError(
            f"There is no claim {name!r}. The claims measured in the {profile} profile are: {', '.join(sorted(claims))}."
        )
    claim = claims[name]
    low, high = claim["low"], claim["high"]
    if not low <= value <= high:  # NaN fails too
        raise OutsideToleranceError(
            f"{name} is {value:.4f}, outside its tolerance {low:.3f} to {high:.3f}, measured over {len(claim['values'])} "
            "seeds. Restart the kernel and run every cell in order; if it stays outside, the claim is not true here."
        )
    return f"{name}: within its tolerance {low:.3f} to {high:.3f} ({len(claim['values'])} seeds)."


def stored_values(name: str, *, profile: str = "workshop") -> tuple[float, ...]:
    """Return what a claim was in each stored seed, for a table beside live numbers; () if it was never measured."""
    return tuple(_stored()["profiles"].get(profile, {}).get(name, {}).get("values", ()))


class Comparison(NamedTuple):
    """A run beside the stored runs of its claim: in words, and the numbers that `plots.compared_run` draws."""

    sentence: str
    value: float
    values: tuple[float, ...] = ()  # of the stored seeds; none if nothing is stored for this profile
    tolerance: tuple[float, float] | None = None  # where the next seed should fall (99 %)


_MEANING = {
    "inside": "a difference of this size shows nothing. For smaller gains, train both ways with several seeds.",
    "below": "this is more than a seed explains. Did every cell run once, in order, and to its end? "
    "Are labels, mask and learning rate correct?",
    "above": "this is more than a seed explains. Is it the same test part? Is no copy of it in the training part, "
    "and was it not used for any choice?",
}


def compare_run(name: str, value: float, *, seconds: float | None = None) -> Comparison:
    """Return where a run is among the stored seeds of a claim, and what a difference of that size means.

    The stored times come from an idle machine; builds of one notebook on it differed by a factor of 1.3. In record
    mode (`check_claim`) value and seconds are recorded instead.

    Args:
        name: of the claim, as for `check_claim`; one that is not stored for this profile is said to be so.
        value: what the run reached, for example its test accuracy.
        seconds: what its training took.
    """
    profile, kept = get_profile().name, _stored()
    claim = kept["profiles"].get(profile, {}).get(name)
    if _record(name, value, seconds) or claim is None:
        return Comparison(f"{name}: {value:.3f}. Nothing is stored for it in the {profile} profile.", value)
    values, low, high, mean = claim["values"], claim["low"], claim["high"], np.mean(claim["values"])
    side = "above" if value >= mean else "below"
    sentence = (
        f"{name}: {value:.3f}, {abs(value - mean):.3f} {side} the mean of {len(values)} stored seeds.\n"
        f"They range from {min(values):.3f} to {max(values):.3f}, "
        f"and a seed moves it by up to {(high - low) / 2:.3f} (99 %): "
        + _MEANING["inside" if low <= value <= high else side]
    )
    if seconds and "seconds" in claim:
        usual, there = np.median(claim["seconds"]), kept["measured"]["hardware"]
        reading = "as usual."
        if seconds / usual > 1.5:
            reading = "something else was running, or this processor is slower."
        elif seconds / usual < 1 / 1.5:
            reading = "this processor is faster (bfloat16, AMX, a GPU), or the run was shorter: all sentences, all epochs?"
        if there != hardware():
            reading = "another machine, so the factor compares machines, not runs."
        sentence += f"\nTraining took {seconds:.0f} s, {seconds / usual:.2f} times the {usual:.0f} s on {there}: {reading}"
    return Comparison(sentence, value, tuple(values), (low, high))
