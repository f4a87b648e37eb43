"""Boxes that answer: a text of your own to a model, a choice to a quiz question."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets as w
import numpy as np

from .base import LiveBox, describe


def prediction_sentence(probabilities: np.ndarray, class_names: Sequence[str]) -> str:
    """Return the likeliest class and its probability, in words, for probabilities (C,)."""
    best = int(np.argmax(probabilities))
    others = ", ".join(f"{name} {p:.0%}" for name, p in zip(class_names, probabilities, strict=True))
    return f"{class_names[best]} ({others})"


def prediction_box(predict: Callable[[str], np.ndarray], class_names: Sequence[str], *, example: str) -> w.VBox:
    """Return a text box with an answer below it; `predict` takes one text and gives probabilities (C,)."""
    box = w.Textarea(value=example, description="your text", continuous_update=False)
    box.layout.width, box.layout.height = "40em", "5em"
    button, answer = w.Button(description="Classify", icon="check"), w.HTML()

    def classify(_: object = None) -> None:
        if not box.value.strip():
            describe(answer, "There is nothing to classify: type a sentence first.")
            return
        try:
            text = prediction_sentence(predict(box.value), class_names)
        except ValueError as error:
            text = str(error)
        describe(answer, text)

    button.on_click(classify)
    box.observe(classify, "value")
    classify()
    return LiveBox([box, button, answer])


class _Listener(w.Text):
    def __repr__(self) -> str:
        return ""  # there is nothing to see


def answer_listener(respond: Callable[[str, str], str]) -> w.Text:
    """Return a hidden box: a page that writes `01.q1 b ...` into it calls `respond("01.q1", "b")`."""
    listener = _Listener(placeholder="course-answer")
    listener.layout.display = "none"
    listener.observe(lambda change: respond(*change["new"].split()[:2]), "value")
    return listener
