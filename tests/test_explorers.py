"""Explorers through their Python side: what a hand does in the browser, and what must change on the page."""

import re

import ipywidgets as w
import numpy as np
import pytest
from helpers import make_encoded

from course_utils import explorers, training
from course_utils.explorers import training_panel
from course_utils.models import LSTMClassifier


def inside(widget: w.Widget, kind: type) -> list:
    """Return every widget of one kind in a tree of boxes."""
    found = [widget] if isinstance(widget, kind) else []
    return found + [hit for child in getattr(widget, "children", ()) for hit in inside(child, kind)]


def said(view: w.Widget) -> str:
    texts = [re.sub("<style>.*</style>|<[^>]*>", "", html.value) for html in inside(view, w.HTML)]
    return next(text for text in reversed(texts) if text or len(texts) == 1)


def test_where_widgets_are_not_alive_a_sentence_stands_for_them():
    assert "once you have run this cell" in repr(explorers.TrainingPanel().view)


# --- the training panel


def run(panel, *, epochs: int = 2) -> training.History:
    model, config = LSTMClassifier(12, embedding_size=4, hidden_size=4), training.TrainingConfig(epochs, batch_size=8)
    return training.fit(model, make_encoded(24), make_encoded(9, seed=1), config, on_step=panel)


def test_the_panel_shows_a_run_to_its_end():
    panel = explorers.TrainingPanel(seconds_between_drawings=1e9)
    (stop,), (bar, _, picture) = (inside(panel.view, kind) for kind in (w.Button, w.HTML))
    drawn = []
    picture.observe(lambda change: drawn.append(change["new"]), "value")
    history = run(panel)
    assert not history.interrupted and stop.disabled and 'value="1.0000"' in bar.value
    assert len(drawn) == 2 and 'src="data:image/png;base64,iVBOR' in drawn[1]  # after the last validation
    best = history.records[history.best_epoch - 1].validation_accuracy
    kept = f"the weights of epoch {history.best_epoch}, the best on validation (accuracy {best:.3f})"
    assert "Done after 0:0" in said(panel.view) and kept in said(panel.view)


def test_the_curves_at_the_end_have_every_validation(monkeypatch):
    seen = []
    monkeypatch.setattr(training_panel.plots, "training_curves", lambda axes, history: seen.append(len(history.records)))
    run(explorers.TrainingPanel(seconds_between_drawings=1e9), epochs=1)
    assert seen == [0, 1]


def test_the_bar_moves_five_times_a_second(monkeypatch):
    clock, panel = [100.0], explorers.TrainingPanel(seconds_between_drawings=1e9)
    monkeypatch.setattr(training_panel.time, "monotonic", lambda: clock[0])
    bar, moved = inside(panel.view, w.HTML)[0], []
    bar.observe(lambda change: moved.append(clock[0]), "value")
    for step in range(1, 41):
        clock[0] += 0.05
        panel(training.History(1, 1000, step_losses=[0.5] * step, started=-1e6))
    assert 8 <= len(moved) <= 10  # in two seconds


def test_an_error_and_patience_are_told_apart_from_the_end():
    with pytest.raises(ZeroDivisionError), explorers.TrainingPanel() as panel:
        panel(training.History(1, 9, step_losses=[0.5]))
        1 / 0  # noqa: B018
    assert "ended with an error at step 2" in said(panel.view)
    with explorers.TrainingPanel() as panel:
        panel(training.History(3, 9, step_losses=[0.5] * 6, best_epoch=None))
    assert "It ended early" in said(panel.view) and "No epoch was complete" in said(panel.view)
    with explorers.TrainingPanel() as panel:
        pass
    assert "before its first step" in said(panel.view)


def test_slow_drawing_takes_a_twentieth_of_the_time_at_most(monkeypatch):
    clock, drawn = [100.0], []

    def draw(figure):
        training_panel.plt.close(figure)
        drawn.append(clock[0])
        clock[0] += 2.0
        return b"\x89PNG"

    monkeypatch.setattr(training_panel, "as_png", draw)
    monkeypatch.setattr(training_panel.time, "monotonic", lambda: clock[0])
    panel = explorers.TrainingPanel(seconds_between_drawings=0)
    for step in range(1, 101):  # a hundred steps of a second
        clock[0] += 1.0
        panel(training.History(1, 200, step_losses=[0.5] * step, started=-1e6))
    assert drawn == [101.0, 141.0, 181.0]  # two seconds of drawing, then 38 of training


def test_the_stop_button_ends_the_run_and_keeps_what_was_learned():
    class Person(explorers.TrainingPanel):
        def __call__(self, history: training.History) -> None:
            if history.step == 4 and not self.pressed:  # in the second epoch
                self.pressed = True
                inside(self.view, w.Button)[0].click()
            super().__call__(history)

    panel = Person(seconds_between_drawings=0)
    panel.pressed, button = False, inside(panel.view, w.Button)[0]
    history = run(panel)
    assert history.interrupted and history.best_epoch == 1 and len(history.step_losses) == 4
    assert button.disabled and button.description == "ended"
    assert "Stopped after 0:0" in said(panel.view) and "step 4 of 6" in said(panel.view)
    assert "the weights of epoch 1" in said(panel.view) and "run the cell again" in said(panel.view)
    history = run(panel)  # the same panel again, from the start
    assert not history.interrupted and "Done" in said(panel.view)


def test_progress_in_words(monkeypatch):
    monkeypatch.setattr(training.time, "perf_counter", lambda: 140.0)
    history = training.History(3, 120, step_losses=[0.9] * 39 + [0.51234], tokens=499_880, started=100.0)
    assert explorers.progress_sentence(history) == (  # a second a step
        "epoch 1 of 3, step 40 of 120, loss 0.512, 12,497 tokens/s, now validating"
    )
    history.step_losses.append(0.4)
    assert "epoch 2 of 3, step 41 of 120, loss 0.400, 12,497 tokens/s, about 1:17 left" in explorers.progress_sentence(
        history
    )


# --- the prediction box


def test_a_prediction_in_words():
    sentence = explorers.prediction_sentence(np.array([0.254, 0.746]), ("negative", "positive"))
    assert sentence == "positive (negative 25%, positive 75%)"


@pytest.fixture
def box():
    asked: list[str] = []

    def predict(text: str) -> np.ndarray:
        asked.append(text)
        if "long" in text:
            raise ValueError("This text is too long.")
        return np.array([0.9, 0.1]) if "bad" in text else np.array([0.2, 0.8])

    view = explorers.prediction_box(predict, ("negative", "positive"), example="A good film")
    return view, inside(view, w.Textarea)[0], inside(view, w.Button)[0], asked


def test_the_example_is_classified_and_a_new_sentence_too(box):
    view, text, button, asked = box
    assert said(view).startswith("positive")
    text.value = "A bad film 😀"
    assert said(view).startswith("negative") and asked[-1] == "A bad film 😀"
    button.click()
    assert asked[-2:] == ["A bad film 😀"] * 2


@pytest.mark.parametrize("blank", ["", "   ", "\n\t"])
def test_a_blank_text_is_not_classified(box, blank):
    view, text, _, asked = box
    text.value = blank or " "
    text.value = blank
    assert "type a sentence" in said(view) and not any(not sentence.strip() for sentence in asked)


def test_a_refusal_is_shown_as_a_sentence(box):
    view, text, *_ = box
    text.value = "far too long"
    assert said(view) == "This text is too long."


# --- what listens to a quiz


def test_a_chosen_answer_is_passed_on_each_time():
    heard = []
    listener = explorers.answer_listener(lambda exercise, letter: heard.append((exercise, letter)))
    for number, letter in enumerate("bbc"):
        listener.value = f"01.q1 {letter} {number}"
    assert heard == [("01.q1", "b"), ("01.q1", "b"), ("01.q1", "c")]
