"""Explorers of the course, each a thin skin over a plain function of its module.

What is pure arithmetic is a page of HTML and JavaScript (`page`); what a kernel must answer is made of core widgets of
ipywidgets 7.7 and 8.
"""

from .answers import answer_listener, prediction_box, prediction_sentence
from .attention import attention_explorer
from .batch import batch_explorer
from .compression import compression_explorer
from .film import film_explorer, flattened, recorded_run
from .logit import logit_explorer
from .next_token import next_token_explorer
from .page import Page, page
from .pretraining import Checkpoint, pretraining_explorer
from .race import race_explorer
from .reading import reading_explorer
from .splits import block_test, splits_explorer
from .threshold import threshold_explorer
from .training_panel import TrainingPanel, progress_sentence
from .words import occlusion_effects, words_explorer

__all__ = [
    "Checkpoint",
    "Page",
    "TrainingPanel",
    "answer_listener",
    "attention_explorer",
    "batch_explorer",
    "block_test",
    "compression_explorer",
    "film_explorer",
    "flattened",
    "logit_explorer",
    "next_token_explorer",
    "occlusion_effects",
    "page",
    "prediction_box",
    "prediction_sentence",
    "pretraining_explorer",
    "progress_sentence",
    "race_explorer",
    "reading_explorer",
    "recorded_run",
    "splits_explorer",
    "threshold_explorer",
    "words_explorer",
]
