"""Tokeniser and batch of notebook 02: texts to tokens, ids, and padded batches with or without bucketing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from .. import plots
from .page import Page, page


def padded_batches(lengths: Sequence[int], *, size: int, bucketed: bool) -> tuple[list[list[int]], float]:
    """Return batches of the indices of texts with these lengths (n,), in order, and the share of padding in them, 0 to 1."""
    counts = np.asarray(lengths)
    order = np.argsort(counts, kind="stable") if bucketed else np.arange(len(counts))
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    padded = sum(len(batch) * counts[batch].max() for batch in batches)
    return [batch.tolist() for batch in batches], float(1 - counts.sum() / padded)


def batch_explorer(texts: Sequence[str], *, words: Sequence[str], pieces: Mapping[str, int], lengths: Sequence[int]) -> Page:
    """Return a box for texts, shown as tokens, ids and mask in padded batches, by words or by WordPiece.

    Args:
        texts: what is in the box at first, a text in each line.
        words: the vocabulary of words; its position is a word's id.
        pieces: the ids of BERT's pieces, as `tokenizer.get_vocab()` gives them.
        lengths: the tokens of real texts, whose padding is drawn below.
    """
    ids = {id_: "" if piece.startswith("[unused") else piece for piece, id_ in pieces.items()}
    figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), sharey=True)
    for ax, bucketed in zip(axes, (False, True), strict=True):
        batches, share = padded_batches(lengths, size=16, bucketed=bucketed)
        order, counts = np.concatenate(batches).astype(int), np.asarray(lengths)
        longest = np.concatenate([np.full(len(batch), counts[batch].max()) for batch in batches])
        ax.barh(range(len(order)), longest, height=1, color="#cccccc")
        ax.barh(range(len(order)), counts[order], height=1, color=plots.COLOURS[0])
        ax.set(xlabel="position", title=f"{'Bucketing' if bucketed else 'As they come'}: {share:.0%} is padding")
        ax.grid(False)
    axes[0].set(ylabel="text", ylim=(len(order), 0))
    alt = (
        f"The tokens of {len(lengths)} real texts as bars, with their padding in batches of 16 in grey: as they come most "
        "of the area is padding, with bucketing hardly any."
    )
    data = {"texts": texts, "words": "\n".join(words), "pieces": "\n".join(ids[i] for i in range(len(ids)))}
    return page("batch", data | {"lengths": [int(n) for n in lengths]}, figure, alt=alt)
