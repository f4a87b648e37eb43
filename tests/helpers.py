"""What several tests need: small made-up data, and programs that belong to no package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from course_utils.batching import TokenDataset, collate
from course_utils.data import Reviews
from course_utils.training import History


def load(name: str, path: Path) -> ModuleType:
    """Return a module by its path, registered under `name`, where dataclasses look their module up."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_reviews(*texts: str, labels: list[int] | None = None) -> Reviews:
    """Return reviews of these texts, one block each; labels alternate unless given."""
    rows = np.arange(len(texts))
    return Reviews(texts, np.array(labels if labels is not None else rows % 2, dtype=np.int64), rows, rows)


def make_encoded(count: int = 24, *, vocab_size: int = 12, longest: int = 7, seed: int = 0) -> TokenDataset:
    """Return texts of 1 to `longest` tokens; label 1 where token 2 stands in the text, label 0 where token 3 does."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    texts = []
    for label in labels:
        ids = rng.integers(4, vocab_size, size=rng.integers(1, longest + 1))
        ids[rng.integers(len(ids))] = 2 if label else 3
        texts.append(ids.astype(np.int64))
    return TokenDataset(tuple(texts), labels.astype(np.int64))


def batch_of(dataset: TokenDataset, indices=None) -> dict[str, torch.Tensor]:
    """Return these texts of a dataset, or all of them, as one padded batch."""
    return collate([dataset[i] for i in (range(len(dataset)) if indices is None else indices)])


def weights(model: torch.nn.Module) -> torch.Tensor:
    """Return a copy of all parameters in one row, float (P,)."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).clone()


def quiet(history: History) -> None:
    """Stand in for the progress bar of `fit`."""
