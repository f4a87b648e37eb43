"""Small made-up data for the tests."""

import numpy as np

from course_utils.data import Reviews
from course_utils.text import EncodedTexts


def make_reviews(*texts: str, labels: list[int] | None = None) -> Reviews:
    """Return reviews of these texts, one block each; labels alternate unless given."""
    rows = np.arange(len(texts))
    return Reviews(texts, np.array(labels if labels is not None else rows % 2, dtype=np.int64), rows, rows)


def make_encoded(count: int = 24, *, vocab_size: int = 12, longest: int = 7, seed: int = 0) -> EncodedTexts:
    """Return texts of 1 to `longest` tokens; label 1 where token 2 stands in the text, label 0 where token 3 does."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    texts = []
    for label in labels:
        ids = rng.integers(4, vocab_size, size=rng.integers(1, longest + 1))
        ids[rng.integers(len(ids))] = 2 if label else 3
        texts.append(ids.astype(np.int64))
    return EncodedTexts(tuple(texts), labels.astype(np.int64))
