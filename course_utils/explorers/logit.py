"""Drag a logit of notebook 01: probabilities, two losses, and the slopes that training would follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import log_softmax

from .. import plots
from .page import Page, page

NAMES = (("negative", "positive"), ("negative", "neutral", "positive"))


@dataclass(frozen=True)
class LogitLosses:
    """Probabilities (C,), two losses of one example, and their gradients (C,), a slope for each logit."""

    probabilities: np.ndarray
    cross_entropy: float
    squared_error: float
    cross_entropy_gradient: np.ndarray
    squared_error_gradient: np.ndarray


def losses_of_logits(logits: Sequence[float], label: int) -> LogitLosses:
    """Return what a model says whose logits (C,) these are: -log p and (1 - p)^2, where p is the true label's probability.

    Two classes with logits 0 and z are the sigmoid of notebook 01.
    """
    log_p = log_softmax(np.asarray(logits, dtype=float))
    probabilities, error = np.exp(log_p), np.exp(log_p) - np.eye(len(log_p))[label]
    p = probabilities[label]
    return LogitLosses(probabilities, -float(log_p[label]), float((1 - p) ** 2), error, 2 * (1 - p) * p * error)


def logit_explorer(*, start: float = -3.0) -> Page:
    """Return sliders for the logits of two or three classes, with both losses, their tangents and gradients."""
    z = np.linspace(-6, 6, 97)
    here = losses_of_logits([0, start], 1)
    figure, ax = plt.subplots(figsize=(7, 3.4))
    for i, name in enumerate(("cross-entropy", "squared error")):
        field = name.replace(" ", "_").replace("-", "_")
        plots.curves(ax, {name: [getattr(losses_of_logits([0, v], 1), field) for v in z]}, x=z.tolist(), marks=False)
        ax.lines[-1].set(color=plots.COLOURS[i], linestyle=("-", "--")[i])
        loss, slope = getattr(here, field), getattr(here, f"{field}_gradient")[1]
        near = start + np.array([-1.6, 1.6])
        ax.plot(near, loss + slope * (near - start), "-", color="black", linewidth=1.2)
        ax.plot(start, loss, "o", color=plots.COLOURS[i], markersize=8)
        ax.annotate(f"slope {slope:.2f}", (start, loss), (10, 8), textcoords="offset points")
    ax.legend()
    ax.set(xlabel="logit z, label 1", ylabel="loss of the example", title=f"At logit {start:g} only cross-entropy is steep")
    alt = (
        f"Cross-entropy and squared error over the logit z for label 1, with their tangents at z = {start:g}: cross-entropy "
        f"has slope {here.cross_entropy_gradient[1]:.2f} there, squared error only {here.squared_error_gradient[1]:.2f}."
    )
    return page("logit", {"names": NAMES, "start": start}, figure, alt=alt)
