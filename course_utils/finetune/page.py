"""The report as one HTML file that needs nothing else: tables and drawings in the text, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..plots import smooth
from ..training import History

WIDTH, HEIGHT = 560, 220  # of a drawing, in its own units


def write_page(
    facts: dict[str, Any], mistakes: pd.DataFrame, words: list[list[tuple[str, float]]], history: History, path: Path
) -> None:  # fmt: skip
    """Write facts of `report.json`, the first mistakes, the words that mattered in them, and the curves of training."""
    from jinja2 import Environment

    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        Path(__file__).with_name("report_page.html").read_text(encoding="utf-8")
    )
    largest = [max((abs(weight) for _, weight in marked), default=0) or 1 for marked in words]
    marked = [[(word, round(weight / most, 2)) for word, weight in ws] for ws, most in zip(words, largest, strict=True)]
    curves = _curves(history)
    rows = mistakes.to_dict("records")
    page = template.render(facts, mistakes=rows, words=marked, curves=curves, width=WIDTH, height=HEIGHT)
    path.write_text(page, encoding="utf-8")


def _curves(history: History) -> dict[str, Any] | None:
    """Return the points of the training loss (mean of 20 batches) and of the validation loss, and what the axes show."""
    if not history.step_losses:
        return None
    train = smooth(history.step_losses)
    steps = np.arange(1, len(train) + 1)
    some = np.unique(np.linspace(0, len(train) - 1, 300).astype(int))
    ends = [record.step for record in history.records]
    losses = [record.validation_loss for record in history.records]
    top, last = max([*train.tolist(), *losses]), max(len(train), 2)
    place = lambda x, y: f"{WIDTH * (x - 1) / (last - 1):.1f},{HEIGHT * (1 - y / top):.1f}"  # noqa: E731
    return {
        "train": " ".join(place(x, y) for x, y in zip(steps[some], train[some], strict=True)),
        "validation": [place(x, y).split(",") for x, y in zip(ends, losses, strict=True)],
        "top": top, "last": len(train), "best": history.best_epoch,
        "first_loss": float(train[0]), "last_loss": float(train[-1]),
    }  # fmt: skip
