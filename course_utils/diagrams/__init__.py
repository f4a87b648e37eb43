"""Schematic drawings of the course: `diagrams.show(diagrams.lstm_cell)` draws one and displays it.

Each drawing is a function without arguments that returns a figure; its docstring is the text for those who cannot see it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from matplotlib.figure import Figure

from .. import plots
from .language import labels_of_an_answer, next_token_loop, preference_pair
from .learning import bootstrap, chain_rule, dot_product, padded_batch, random_and_block_split, seven_steps
from .networks import attention, heads, lstm_cell, masked_and_causal, transformer_block, unrolled_rnn
from .tuning import (
    bert_from_ids_to_logits,
    data_parallel_step,
    four_bit_blocks,
    lora_and_adapter,
    new_head,
    pretraining_road,
    ring_all_reduce,
    sharded_states,
    shares_of_an_epoch,
    structural_changes,
)

DRAWINGS = (
    chain_rule, dot_product, padded_batch, random_and_block_split, bootstrap, seven_steps, unrolled_rnn, lstm_cell,
    attention, heads, transformer_block, masked_and_causal, pretraining_road, new_head, bert_from_ids_to_logits,
    structural_changes, lora_and_adapter, four_bit_blocks, data_parallel_step, ring_all_reduce, shares_of_an_epoch,
    sharded_states, next_token_loop, labels_of_an_answer, preference_pair,
)  # fmt: skip


def alt_text(drawing: Callable[[], Figure]) -> str:
    """Return the docstring of a drawing as one paragraph."""
    return " ".join(str(inspect.getdoc(drawing)).split())


def show(drawing: Callable[[], Figure]) -> None:
    """Draw and display it, with two pixels for each pixel of the page and its docstring as alternative text."""
    plots.show(drawing(), alt=alt_text(drawing), sharpness=2)
