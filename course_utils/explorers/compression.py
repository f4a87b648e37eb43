"""Rank and bits of notebook 08: what a rank keeps of a matrix, and what a few bits keep of its weights."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from .. import plots
from .page import Page, page


def rank_shares(matrix: np.ndarray) -> np.ndarray:
    """Return the share of the squared norm of a matrix (out, in) that its best matrix of rank 1, 2, ... keeps."""
    strengths = np.linalg.svd(matrix, compute_uv=False) ** 2
    return strengths.cumsum() / strengths.sum()


def quantise_blocks(weights: np.ndarray, *, bits: int, block: int) -> np.ndarray:
    """Return weights (R, K) rounded to whole multiples of a scale, at most 2^(bits - 1) - 1 of them in either direction.

    `block` neighbours of a row, a divisor of K, share a scale, which their largest sets; 0: all weights share one.
    """
    blocks = weights.reshape(-1, block or weights.size)
    scale = np.maximum(np.abs(blocks).max(axis=1, keepdims=True), 1e-12) / (2 ** (bits - 1) - 1)
    return (np.round(blocks / scale) * scale).reshape(weights.shape)


def relative_error(weights: np.ndarray, *, bits: int, block: int) -> float:
    """Return the norm of what rounding changes, relative to the norm of the weights."""
    return float(np.linalg.norm(quantise_blocks(weights, bits=bits, block=block) - weights) / np.linalg.norm(weights))


def bits_per_weight(count: int, *, bits: int, block: int) -> float:
    """Return the bits that each of `count` weights takes, with the 16 bits of the scale that a block shares."""
    return bits + 16 / (block or count)


def compression_explorer(matrix: np.ndarray, change: np.ndarray) -> Page:
    """Return a rank, bits and a block size to choose, for a matrix (out, in) and its change by fine-tuning, the same shape.

    The rounding is shown on eight of its rows.
    """
    shares = {name: rank_shares(m) for name, m in (("W", matrix), ("its change", change))}
    rows = np.round(matrix[:: max(1, len(matrix) // 8)][:8].astype(float), 4)
    rows = rows[:, : rows.shape[1] // 128 * 128]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    plots.curves(left, shares, marks=False)
    left.set(xlabel="rank", ylabel="share of the squared norm", ylim=(0, 1.05), title="What a rank keeps")
    bits = range(2, 9)
    errors = {f"blocks of {b}": [relative_error(rows, bits=k, block=b) for k in bits] for b in (16, 128)}
    errors["one scale for all"] = [relative_error(rows, bits=k, block=0) for k in bits]
    plots.curves(right, errors, x=bits)
    right.set(xlabel="bits", ylabel="relative error", yscale="log", title="What rounding loses")
    alt = (
        "Left: share of the squared norm that each rank keeps, of a pretrained matrix and of its change by fine-tuning. "
        "Right: relative error of rounded weights over the bits, on a log axis; small blocks lose least."
    )
    data = {
        "shares": [share.round(4).tolist() for share in shares.values()],
        "shape": matrix.shape,
        "weights": rows.tolist(),
    }
    return page("compression", data, figure, alt=alt)
