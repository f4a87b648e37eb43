"""Schematic drawings of the course: `diagrams.show(diagrams.lstm_cell)` draws one and displays it.

Each drawing is a function without arguments that returns a figure; its docstring is the text for those who cannot see it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from matplotlib.figure import Figure

from .. import plots
from .learning import bootstrap, chain_rule, dot_product, padded_batch, random_and_block_split, seven_steps
from .networks import attention, heads, lstm_cell, masked_and_causal, transformer_block, unrolled_rnn
from .tuning import (
    bert_from_ids_to_logits,
    data_parallel_step,
    four_bit_blocks,
    lora_and_adapter,
    new_head,
    pretraining_road,
)

__all__ = [
    "attention",
    "bert_from_ids_to_logits",
    "bootstrap",
    "chain_rule",
    "data_parallel_step",
    "dot_product",
    "four_bit_blocks",
    "heads",
    "lora_and_adapter",
    "lstm_cell",
    "masked_and_causal",
    "new_head",
    "padded_batch",
    "pretraining_road",
    "random_and_block_split",
    "seven_steps",
    "show",
    "transformer_block",
    "unrolled_rnn",
]


def alt_text(drawing: Callable[[], Figure]) -> str:
    """Return the docstring of a drawing as one paragraph."""
    return " ".join(inspect.getdoc(drawing).split())  # type: ignore[union-attr]


def show(drawing: Callable[[], Figure]) -> None:
    """Draw and display it, with two pixels for each pixel of the page and its docstring as alternative text."""
    plots.show(drawing(), alt=alt_text(drawing), sharpness=2)
