"""Explorers through their Python side: what a hand does in the browser, and what must change on the page."""

import re

import ipywidgets as w
import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers import make_encoded

from course_utils import explorers, plots, training
from course_utils.explorers import training_panel
from course_utils.models import LSTMClassifier


def inside(widget: w.Widget, kind: type) -> list:
    """Return every widget of one kind in a tree of boxes."""
    found = [widget] if isinstance(widget, kind) else []
    return found + [hit for child in getattr(widget, "children", ()) for hit in inside(child, kind)]


def said(view: w.Widget) -> str:
    return re.sub("<[^>]*>", "", inside(view, w.HTML)[0].value)


# --- the explorer of notebook 01


def test_the_picture_and_sentence_equal_the_closed_form():
    figure, sentence = explorers.draw_descent(0.05, 0.0, steepness=10, num_steps=40)
    along, across = -2.0 * (1 - 0.05) ** 40, 1.2 * (1 - 0.5) ** 40
    assert f"after 40 steps the loss is {(along**2 + 10 * across**2) / 2:.2g}" in sentence
    drawn = figure.axes[1].lines[0].get_ydata()
    assert drawn[0] == pytest.approx((4 + 14.4) / 2) and len(drawn) == 41
    assert "descends" in figure.axes[1].get_title()


@pytest.mark.parametrize(("rate", "momentum", "grows"), [(0.19, 0, False), (0.21, 0, True), (0.21, 0.5, False)])
def test_beyond_the_cliff_the_sentence_says_so(rate, momentum, grows):
    figure, sentence = explorers.draw_descent(rate, momentum)
    assert ("the loss grows" in sentence) is grows and ("diverges" in figure.axes[1].get_title()) is grows


@pytest.mark.parametrize(("momentum", "name"), [(0.0, "gradient descent"), (0.8, "momentum")])
def test_path_and_loss_have_the_colour_of_their_optimiser(momentum, name):
    figure, _ = explorers.draw_descent(0.05, momentum)
    expected = plots.descent_path(plt.figure().subplots(), np.zeros((2, 2)), label=name).lines[0].get_color()
    assert [axes.lines[0].get_color() for axes in figure.axes] == [expected] * 2
    plt.close("all")


def test_moving_a_slider_changes_picture_and_sentence():
    view = explorers.descent_explorer()
    rate, momentum = inside(view, w.FloatLogSlider)[0], inside(view, w.FloatSlider)[0]
    picture = inside(view, w.Image)[0]
    seen = [(bytes(picture.value), said(view))]
    for slider, value in ((rate, 0.25), (momentum, 0.8)):
        slider.value = value
        seen.append((bytes(picture.value), said(view)))
    assert len(set(seen)) == 3 and all(png.startswith(b"\x89PNG") for png, _ in seen)
    assert "Learning rate 0.25, momentum 0.8" in said(view)
    assert 'role="status"' in inside(view, w.HTML)[0].value  # read aloud when it changes


def test_numbers_that_a_slider_snaps_to_are_rounded():
    figure, sentence = explorers.draw_descent(10**-1.3, 0.30000000000000004)
    assert "Learning rate 0.0501, momentum 0.3:" in sentence
    assert figure.axes[0].get_title() == "rate 0.0501, momentum 0.3"


def test_where_widgets_are_not_alive_a_sentence_stands_for_them():
    assert repr(explorers.descent_explorer()) == repr(explorers.TrainingPanel().view)
    assert "once you have run this cell" in repr(explorers.descent_explorer())


def test_sliders_say_what_they_are_and_cover_the_cliff():
    view = explorers.descent_explorer()
    rate, momentum = inside(view, w.FloatLogSlider)[0], inside(view, w.FloatSlider)[0]
    assert (rate.description, momentum.description) == ("learning rate", "momentum")
    assert rate.base**rate.min < 0.2 < rate.base**rate.max  # 2 / steepness


# --- the training panel


def run(panel, *, epochs: int = 2) -> training.History:
    model, config = LSTMClassifier(12, embedding_size=4, hidden_size=4), training.TrainingConfig(epochs, batch_size=8)
    return training.fit(model, make_encoded(24), make_encoded(9, seed=1), config, on_step=panel)


def test_the_panel_shows_a_run_to_its_end():
    panel = explorers.TrainingPanel(seconds_between_drawings=0)
    picture, bar, stop = (inside(panel.view, kind)[0] for kind in (w.Image, w.FloatProgress, w.Button))
    assert picture.layout.visibility == "hidden" and not stop.disabled
    history = run(panel)
    assert not history.interrupted and bar.value == 1 and stop.disabled
    assert picture.layout.visibility == "visible" and bytes(picture.value).startswith(b"\x89PNG")
    assert "epoch 2 of 2, step 6 of 6" in said(panel.view)


def test_between_drawings_nothing_is_drawn_but_the_first_and_last_step_are(monkeypatch):
    panel = explorers.TrainingPanel(seconds_between_drawings=1e9)
    drawn = []
    monkeypatch.setattr(training_panel, "as_png", lambda figure: drawn.append(figure) or b"\x89PNG")
    monkeypatch.setattr(training_panel.time, "monotonic", lambda: 5.0)
    run(panel)
    assert len(drawn) == 2 and "step 6 of 6" in said(panel.view)


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
    panel = explorers.TrainingPanel(seconds_between_drawings=0)
    button = inside(panel.view, w.Button)[0]

    def person(history: training.History) -> None:
        if history.step == 4:  # in the second epoch
            button.click()
        panel(history)

    history = run(person)
    assert history.interrupted and history.best_epoch == 1 and len(history.step_losses) == 4
    assert button.disabled and "stopping" in button.description


def test_progress_in_words(monkeypatch):
    monkeypatch.setattr(training.time, "perf_counter", lambda: 140.0)
    history = training.History(3, 120, step_losses=[0.9] * 39 + [0.51234], tokens=499_880, started=100.0)
    assert explorers.progress_sentence(history) == (  # a second a step, 80 steps left
        "epoch 1 of 3, step 40 of 120, loss 0.512, 12,497 tokens/s, about 1:20 left"
    )
    history.step_losses.append(0.4)
    assert "epoch 2 of 3, step 41 of 120" in explorers.progress_sentence(history)


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


# --- buttons of a quiz


def test_a_pressed_letter_is_answered_as_text_and_not_as_html():
    view = explorers.answer_buttons("01.q1", "abc", lambda exercise, letter: f"{exercise}: {letter} < d & no")
    letters = inside(view, w.ToggleButtons)[0]
    assert letters.value is None and said(view) == ""
    for letter in "bc":
        letters.value = letter
        assert f"01.q1: {letter} &lt; d &amp; no" in inside(view, w.HTML)[0].value
