"""Widgets of the course, each a thin skin over a plain function; core widgets of ipywidgets 7.7 and 8 only."""

from .answers import answer_buttons, prediction_box, prediction_sentence
from .descent import descent_explorer, draw_descent
from .training_panel import TrainingPanel, progress_sentence

__all__ = [
    "TrainingPanel",
    "answer_buttons",
    "descent_explorer",
    "draw_descent",
    "prediction_box",
    "prediction_sentence",
    "progress_sentence",
]
