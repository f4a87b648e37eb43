"""From a random split to a block split, of notebook 02: who is in the test set, what leaks, and how it flatters a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from .. import plots
from .page import Page, page


def block_test(num_rows: int, *, block: int, share: float = 0.25, seed: int = 0) -> np.ndarray:
    """Return which rows are in the test set, bool (n,): whole blocks of `block` neighbouring rows, drawn at random.

    Blocks of one row are a random split.
    """
    blocks = np.arange(num_rows) // block
    order = np.random.default_rng(seed).permutation(blocks[-1] + 1)
    return np.isin(blocks, order[: max(1, round(share * len(order)))])


def leaked(test: Sequence[bool], *, near: int) -> float:
    """Return the share of test rows with a training row at most `near` rows away."""
    mask = np.asarray(test, dtype=bool)
    rows, train = np.flatnonzero(mask), np.flatnonzero(~mask)
    if not len(train):
        return 0.0
    after = np.searchsorted(train, rows)
    gaps = np.abs(train[np.clip([after - 1, after], 0, len(train) - 1)] - rows)
    return float((gaps.min(axis=0) <= near).mean())


def splits_explorer(accuracies: Mapping[int, Mapping[str, float]], *, num_rows: int = 240, near: int = 5) -> Page:
    """Return block lengths to choose, with the rows that leak, beside what was measured.

    Args:
        accuracies: for each block length in rows, of each model, measured on the real file; the first length should be 1.
        num_rows: rows of the strip that is drawn, and `near`, how far a film reaches in it.
    """
    blocks, models = list(accuracies), list(next(iter(accuracies.values())))
    drawn = [min(block, num_rows // 4) for block in blocks]
    strips = [block_test(num_rows, block=block) for block in drawn]
    figure, ax = plt.subplots(figsize=(7, 3.2))
    plots.curves(ax, {model: [accuracies[block][model] for block in blocks] for model in models}, x=blocks)
    ax.axhline(0.5, color="black", linestyle=":", linewidth=1)
    ax.set(xscale="log", xlabel="rows in a block (1: random split)", ylabel="test accuracy")
    ax.set_title("The longer the blocks, the less of the score is memory of films")
    ends = ", ".join(f"{m} from {accuracies[blocks[0]][m]:.3f} to {accuracies[blocks[-1]][m]:.3f}" for m in models)
    alt = f"Test accuracy over the rows in a block, from a random split to blocks of {blocks[-1]:,} rows: {ends}."
    data = {"blocks": blocks, "strips": [strip.astype(int).tolist() for strip in strips], "near": near, "models": models,
            "accuracies": [[round(float(accuracies[block][m]), 4) for block in blocks] for m in models]}  # fmt: skip
    return page("splits", data, figure, alt=alt)
