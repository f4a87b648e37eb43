"""What is to be predicted: one class of a text, several labels, or a number; recognised from the labels of a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..data import Reviews
from ..prediction import CLASSES, LABELS, NUMBERS
from ..tables import Fault, as_text, listed, shown
from ..tables.shape import is_number

TASKS = {"classes": CLASSES, "labels": LABELS, "numbers": NUMBERS}
MAX_CLASSES, MAX_LEVELS = 50, 20
NONE = "(none)"  # of several labels
_YES, _NO = {"1", "true", "yes", "x"}, {"0", "false", "no", ""}
_OTHERWISE = "If it is something else, add --task"


def task_of(reviews: Reviews) -> str:
    """Return `CLASSES` for labels int64 (n,), `LABELS` for float32 (n, C) of 0 and 1, `NUMBERS` for float32 (n, 1)."""
    return CLASSES if reviews.labels.ndim == 1 else NUMBERS if reviews.labels.shape[1] == 1 else LABELS


def truths(reviews: Reviews) -> np.ndarray:
    """Return float64 (n, C): 1 where a text has a class or label; for numbers, in which quarter of their range it is."""
    if task_of(reviews) == NUMBERS:
        quarters = np.quantile(reviews.labels, [0.25, 0.5, 0.75])
        codes = np.unique(np.searchsorted(quarters, reviews.labels[:, 0]), return_inverse=True)[1]
        return np.eye(codes.max() + 1)[codes]
    return np.eye(len(reviews.class_names))[reviews.labels] if reviews.labels.ndim == 1 else reviews.labels.astype(float)


def levels(reviews: Reviews) -> list[float]:
    """Return the steps of the scale that numbers are on, such as half stars; [] if they are many, or no numbers."""
    different = np.unique(reviews.labels).tolist() if task_of(reviews) == NUMBERS else []
    return different if len(different) <= MAX_LEVELS else []


def shares(logits: np.ndarray, task: str) -> np.ndarray:
    """Return float32 (n, C): probabilities that sum to 1 of classes, those of each label, or the numbers themselves."""
    tensor = torch.as_tensor(logits)
    return {CLASSES: lambda: tensor.softmax(dim=1), LABELS: tensor.sigmoid, NUMBERS: lambda: tensor}[task]().numpy()


def choose(probabilities: np.ndarray, task: str) -> np.ndarray:
    """Return what is predicted: int64 (n,) classes, float32 (n, C) of 0 and 1, or numbers float32 (n, 1)."""
    if task == CLASSES:
        return probabilities.argmax(axis=1)
    return (probabilities >= 0.5).astype(np.float32) if task == LABELS else probabilities


def confidence_in(probabilities: np.ndarray, task: str) -> np.ndarray:
    """Return float32 (n,): the probability of the predicted class, or of several labels that of the least certain answer."""
    return probabilities.max(axis=1) if task == CLASSES else np.maximum(probabilities, 1 - probabilities).min(axis=1)


def names_of(labels: np.ndarray, names: Sequence[str], task: str) -> list[str]:
    """Return labels or predictions as text: the name of a class, the names of all labels (or `NONE`), or the number."""
    if task == CLASSES:
        return [names[i] for i in labels]
    if task == NUMBERS:
        return [f"{value:.6g}" for value in labels[:, 0]]
    return [", ".join(name for name, has in zip(names, row, strict=True) if has) or NONE for row in labels]


def parse(columns: dict[str, Sequence[Any]], *, task: str | None = None) -> tuple[str, list[Any], list[str], list[Fault]]:
    """Return the task, the label of each row (text, frozenset or float; None if missing), why, and what was recognised.

    Args:
        columns: the cells of each label column; several are one for each label, with 0 and 1.
        task: one of `TASKS`, None to find it out.

    Raises:
        ValueError: an unknown task, or cells that do not fit it.
    """
    if task not in (None, *TASKS):
        raise ValueError(f"There is no task {shown(task)}. Choose one of: {', '.join(TASKS)}.")
    if len(columns) > 1:
        return LABELS, *_one_hot(columns)
    ((name, cells),) = columns.items()
    cells = [cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in cells]
    found = [as_text(cell, role="label") for cell in cells]
    texts, why = [text for text, _ in found], [reason for _, reason in found]
    lists = any(isinstance(cell, list | tuple | set) and len(cell) > 1 for cell in cells)
    separator = None if task in ("classes", "numbers") else _separator([text for text in texts if text])
    if task == "labels" or (task is None and (lists or separator)):
        split = f"[{separator or ',;|'}]"
        sets = [_label_set(cell, text, split) for cell, text in zip(cells, texts, strict=True)]
        says = f"the column {name!r} has several labels in a row: each is predicted by itself. {_OTHERWISE} classes"
        return LABELS, sets, why, [Fault("several labels", sum(len(s or ()) > 1 for s in sets), says)]
    if task == "numbers" or (task is None and _are_numbers([text for text in texts if text])):
        numbers = [float(text) if text and is_number(text) and abs(float(text)) < 1e30 else None for text in texts]
        why = [f"not a number: {shown(text)}" if text else reason for text, reason in zip(texts, why, strict=True)]
        says = f"the column {name!r} contains numbers, which have an order: a number is predicted. {_OTHERWISE} classes"
        return NUMBERS, numbers, why, [Fault("numbers", sum(number is not None for number in numbers), says)]
    return CLASSES, texts, why, []


def _one_hot(columns: dict[str, Sequence[Any]]) -> tuple[list[Any], list[str], list[Fault]]:
    """Return the labels of rows with a column of 0 and 1 for each, why there are none, and what was recognised."""
    rows: list[list[str]] = [[] for _ in next(iter(columns.values()))]
    for name, cells in columns.items():
        for i, cell in enumerate(cells):
            text = (as_text(cell, role="label")[0] or "").casefold()
            text = f"{float(text):g}" if is_number(text) else text
            if text not in _YES | _NO:
                raise ValueError(f"The label column {name!r} contains {shown(cell)}. Of several label columns each is one "
                                 "label, with 1 where a text has it and 0 where not.")  # fmt: skip
            if text in _YES:
                rows[i].append(name)
    says = f"a label each: {listed(columns)}"
    return [frozenset(row) for row in rows], [""] * len(rows), [Fault("label columns", len(columns), says)]


def _label_set(cell: Any, text: str | None, split: str) -> frozenset[str] | None:
    parts = [as_text(item, role="label")[0] for item in cell] if isinstance(cell, list | tuple | set) else None
    if parts is None:
        parts = re.split(split, text) if text else None
    return None if parts is None else frozenset(part.strip() for part in parts if part and part.strip())


def _separator(texts: list[str]) -> str | None:
    """Return the sign that joins labels in some cells, if the parts are fewer than the cells they are in, else None."""
    different = Counter(texts)
    for sign in ",;|":
        joined = [text for text in different if sign in text]
        if not joined or sum(different[text] for text in joined) < 0.02 * len(texts):
            continue
        parts = Counter(part.strip() for text in different for part in text.split(sign))
        again = sum(parts[part.strip()] > 1 for text in joined for part in text.split(sign))
        few = len(parts) < len(different) and len(parts) <= MAX_CLASSES and max(map(len, parts)) <= 40
        if few and "" not in parts and again >= 0.9 * sum(text.count(sign) + 1 for text in joined):
            return sign
    return None


def _are_numbers(texts: list[str]) -> bool:
    """Return whether labels are measurements or ratings, no numbers of classes: some have a fraction, or they are many."""
    if not texts or sum(map(is_number, texts)) < 0.98 * len(texts):
        return False
    values = [float(text) for text in texts if is_number(text)]
    different = len({*values})
    return (different > 2 and any(value % 1 for value in values)) or (MAX_CLASSES < different < 0.9 * len(values))
