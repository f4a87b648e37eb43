"""An LSTM reads along, of notebook 03: its opinion and its gates after each word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from .. import descent, plots
from .page import Page, page


def opinion_changes(logits: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return what each word adds to the logit (T,), counted from 0, and the probability of positive after it (T,)."""
    z = np.asarray(logits, dtype=float)
    return np.diff(z, prepend=0.0), descent.sigmoid(z)


def reading_explorer(tokens: Sequence[str], logits: Sequence[float], gates: Mapping[str, np.ndarray]) -> Page:
    """Return a sentence to scrub through: the prediction so far, and the gates of every unit.

    Args:
        tokens: the T words.
        logits: positive minus negative after each word, float (T,).
        gates: by name, float (T, H) from 0 to 1.

    Raises:
        ValueError: a logit or a gate is not there for each word.
    """
    values = {name: np.asarray(value, dtype=float) for name, value in gates.items()}
    z = np.round(np.asarray(logits, dtype=float), 4)
    if any(len(value) != len(tokens) for value in (z, *values.values())):
        raise ValueError(f"There are {len(tokens)} words, so there must be as many logits and rows of each gate.")
    changes, _ = opinion_changes(z.tolist())
    figure, ax = plt.subplots(figsize=(9, 3))
    ax.plot(z, "o-", markersize=4, color=plots.COLOURS[0])
    ax.set(ylabel="logit, positive\nminus negative", title="The prediction after each word")
    ax.set_xticks(range(len(tokens)), tokens, rotation=45, ha="right", parse_math=False)
    most = int(np.argmax(np.abs(changes)))
    alt = (
        f"The logit after each word of a text of {len(tokens)} words, which ends at {z[-1]:.2f}. It moves most at "
        f"{tokens[most]!r}, by {changes[most]:+.2f}."
    )
    levels = {name: np.round(value * 100).astype(int).tolist() for name, value in values.items()}
    return page("reading", {"tokens": list(tokens), "logits": z.tolist(), "gates": levels}, figure, alt=alt)
