"""Attention of notebook 04: every head as a small map, one of them large, and the tokens that a token looks at."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from .page import Page, page


def strongest(row: Sequence[float], *, n: int = 3) -> list[int]:
    """Return the positions of the `n` largest weights of a row (T,), the largest first and the first of equals before."""
    return [int(i) for i in np.argsort(-np.asarray(row, dtype=float), kind="stable")[:n]]


def attention_explorer(tokens: Sequence[str], weights: np.ndarray, *, layer: int = 0, head: int = 0) -> Page:
    """Return all heads as a grid, one to pick, and a token whose attention is shown.

    Args:
        tokens: T, at most 40.
        weights: float (layers, heads, T, T), each row of a query adds up to 1.
        layer: and `head`, the one that is large at first, counted from 0.

    Raises:
        ValueError: the weights have another shape, or there are too many tokens.
    """
    A = np.asarray(weights, dtype=float)
    if A.ndim != 4 or A.shape[2:] != (len(tokens), len(tokens)):
        raise ValueError(f"weights must be (layers, heads, T, T) with T = {len(tokens)} tokens, not {A.shape}.")
    if len(tokens) > 40:
        raise ValueError(f"{len(tokens)} tokens are too many to see: choose a sentence of at most 40.")
    figure, ax = plt.subplots(figsize=(5.6, 4.8))
    ax.imshow(A[layer, head], cmap="Blues", vmin=0, vmax=1)
    ax.set_xticks(range(len(tokens)), tokens, rotation=90, parse_math=False)
    ax.set_yticks(range(len(tokens)), tokens, parse_math=False)
    ax.set(xlabel="looks at", ylabel="token", title=f"Layer {layer}, head {head}")
    ax.grid(False)
    looked = "; ".join(f"{t} at {tokens[strongest(row, n=1)[0]]}" for t, row in zip(tokens, A[layer, head], strict=True))
    alt = f"Attention of layer {layer}, head {head}: a row for each token, darker where it looks more. {looked}."
    levels = np.round(A * 255).astype(int).reshape(*A.shape[:2], -1).tolist()
    return page("attention", {"tokens": list(tokens), "levels": levels, "layer": layer, "head": head}, figure, alt=alt)
