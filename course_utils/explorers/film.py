"""A film of fine-tuning, of notebook 06: sentences as points, every few steps, beside the accuracy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from .. import plots
from .page import FOLDER, Page, page


def recorded_run() -> dict[str, Any]:
    """Return what `python -m bench.film` kept of a run: its "film", and the effects of "words" on three models."""
    return json.loads((FOLDER / "film.json").read_text(encoding="utf-8"))


def flattened(states: np.ndarray) -> np.ndarray:
    """Return states (S, n, D) in two dimensions, float (S, n, 2): the same plane, that of the last frame's largest spread.

    Each frame is centred, so that what is seen is how the sentences lie to each other. Source: principal components.
    """
    frames = np.asarray(states, dtype=float)
    centred = frames - frames.mean(axis=1, keepdims=True)
    _, _, directions = np.linalg.svd(centred[-1], full_matrices=False)
    return centred @ directions[:2].T


def film_explorer(
    points: np.ndarray,
    labels: Sequence[int],
    *,
    steps: Sequence[int],
    accuracies: Sequence[float],
    class_names: Sequence[str],
) -> Page:
    """Return a film to scrub: the sentences (S, n, 2) of each frame, and the accuracy after its step.

    Raises:
        ValueError: there is not one step and one accuracy for each frame, and one label for each point.
    """
    P, y = np.asarray(points, dtype=float), np.asarray(labels)
    if not (len(P) == len(steps) == len(accuracies)) or P.shape[1:] != (len(y), 2):
        raise ValueError(f"{len(P)} frames of {P.shape[1]} points need as many steps, accuracies and labels.")
    P = P / np.abs(P).max()
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), sharex=True, sharey=True)
    for ax, frame in zip(axes, (0, -1), strict=True):
        for label, name in enumerate(class_names):
            ax.plot(*P[frame][y == label].T, plots.MARKERS[label], color=plots.COLOURS[label], markersize=3.5, label=name)
        ax.set_title(f"step {steps[frame]}: accuracy {accuracies[frame]:.3f}")
        ax.set(xticks=[], yticks=[])
    axes[0].legend()
    alt = (
        f"{len(y)} validation sentences as points, coloured by class, at the start and at the end of "
        f"fine-tuning: accuracy {accuracies[0]:.3f}, then {accuracies[-1]:.3f}."
    )
    data = {"points": np.round(P, 3).tolist(), "labels": y.tolist(), "steps": list(map(int, steps)),
            "accuracies": [round(float(a), 4) for a in accuracies], "names": list(class_names)}  # fmt: skip
    return page("film", data, figure, alt=alt)
