"""Pretraining of notebook 05, checkpoint by checkpoint: how blanks are filled, beside the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt

from .. import plots
from .page import Page, page


@dataclass(frozen=True)
class Checkpoint:
    """A model along its pretraining: how many tokens it had read, its loss, and its words for each blank.

    blanks: for each sentence with [MASK] the likeliest words with their probabilities, the likeliest first.
    """

    name: str
    tokens: int
    loss: float
    blanks: Mapping[str, Sequence[tuple[str, float]]]


def perplexity(loss: float) -> float:
    """Return among how many equally likely words a model with this loss is undecided: e to the loss."""
    return math.exp(loss)


def pretraining_explorer(checkpoints: Sequence[Checkpoint]) -> Page:
    """Return a slider over checkpoints, with the blanks as each of them fills them."""
    tokens, losses = [c.tokens for c in checkpoints], [c.loss for c in checkpoints]
    figure, ax = plt.subplots(figsize=(7, 3))
    ax.plot(tokens, losses, "o-", color=plots.COLOURS[0])
    for c in checkpoints:
        ax.annotate(c.name, (c.tokens, c.loss), (5, 6), textcoords="offset points")
    ax.set_xscale("symlog", linthresh=max(1, min((t for t in tokens if t), default=1)))
    ax.set(xlabel="tokens read (log axis)", ylabel="loss, unseen reviews", title="The loss falls as the model reads")
    alt = f"Loss on unseen reviews at {len(checkpoints)} checkpoints: from {losses[0]:.2f} to {losses[-1]:.2f}."
    sentences = list(checkpoints[0].blanks)
    cells = [{"name": c.name, "tokens": c.tokens, "loss": round(c.loss, 4),
              "blanks": [[[word, round(float(p), 4)] for word, p in c.blanks[s]] for s in sentences]}
             for c in checkpoints]  # fmt: skip
    return page("pretraining", {"sentences": sentences, "checkpoints": cells}, figure, alt=alt)
