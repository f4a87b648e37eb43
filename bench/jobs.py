"""A run that `course bench` times: a `Prepare` is called with a seed, untimed, and gives a `Job`, whose `run` is timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import nn

BATCH_SIZE, LEARNING_RATE = 32, 1e-4


@dataclass
class Job:
    """One run, ready to start. Running it returns the tokens it computed, padding included."""

    run: Callable[[], int]
    model: nn.Module | None = None  # after the run: trained
    flops: float = 0.0  # of its matrix products, for the sides that the cost model predicts


Prepare = Callable[[int], Job]


def import_what_fit_needs() -> None:
    """Import what `training.fit` imports when it is first called, so that no run is timed with it."""
    from accelerate import Accelerator  # noqa: F401
    from transformers import get_linear_schedule_with_warmup  # noqa: F401


def padded_tokens(lengths: np.ndarray, batches: list[np.ndarray]) -> int:
    """Return the tokens of all batches, padding included."""
    return sum(len(batch) * int(lengths[batch].max()) for batch in batches)
