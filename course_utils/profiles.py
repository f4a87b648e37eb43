"""How large the runs of every notebook are, and their seed."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Profile:
    """Sizes of every run in the notebooks. None means "everything there is"."""

    name: str
    reviews_train: int | None  # IMDB reviews to train on
    reviews_max_length: int  # words of each review
    lstm_epochs: int
    sentences_train: int | None  # Rotten Tomatoes sentences to train on
    sentences_max_length: int  # WordPieces of each sentence
    bert_epochs: int
    pretraining_steps: int  # steps from scratch in notebook 05
    test_size: int | None  # examples of the test set that are scored
    vocabulary_size: int = 20_000
    lstm_word_dropout: float = 0.0  # pays where the LSTM has enough epochs to memorise words
    bert_reviews_train: int = 3_000  # IMDB reviews to fine-tune on
    bert_reviews_max_length: int = 128  # WordPieces of each of them


PROFILES = {
    "smoke": Profile("smoke", 200, 40, 1, 96, 16, 2, 5, 96, 2_000, bert_reviews_train=64, bert_reviews_max_length=16),
    "workshop": Profile("workshop", None, 200, 2, None, 48, 2, 200, None),
    "full": Profile(
        "full",
        None,
        400,
        4,
        None,
        64,
        3,
        1_000,
        None,
        lstm_word_dropout=0.3,
        bert_reviews_train=12_000,
        bert_reviews_max_length=256,
    ),
}


def get_profile(name: str | None = None) -> Profile:
    """Return the profile asked for by name or by `COURSE_PROFILE`, else workshop, on a CPU and on a GPU.

    `full` is for a GPU and chosen by hand: the tolerances of its training claims have not been measured yet.

    Args:
        name: "smoke", "workshop" or "full"; None reads the environment variable `COURSE_PROFILE`.

    Raises:
        ValueError: the name is unknown; the message lists the valid ones.
    """
    name = name or os.environ.get("COURSE_PROFILE") or "workshop"
    if name not in PROFILES:
        raise ValueError(f"There is no profile {name!r}. Set COURSE_PROFILE to one of: {', '.join(PROFILES)}.")
    return PROFILES[name]


def get_seed() -> int:
    """Return the seed of the notebooks' training runs: `COURSE_SEED`, or 0 if it is not set.

    Raises:
        ValueError: `COURSE_SEED` is not a whole number of 0 or more.
    """
    value = os.environ.get("COURSE_SEED") or "0"
    if not value.isdecimal():
        raise ValueError(f"COURSE_SEED is {value!r}, but a seed is a whole number such as 0 or 7.")
    return int(value)


def set_seed(seed: int) -> torch.Generator:
    """Seed Python, NumPy and PyTorch, and return a generator of its own for shuffling."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)
