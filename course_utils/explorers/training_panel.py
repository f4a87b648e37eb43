"""ipywidgets of the course, each a thin skin over a plain function; core widgets of ipywidgets 7.7 and 8 only."""

from __future__ import annotations

import html
import io
import time
from collections.abc import Callable, Sequence

import ipywidgets as w
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from . import descent, plots
from .training import Progress


def as_png(figure: Figure) -> bytes:
    """Return a figure as PNG bytes and close it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return buffer.getvalue()


class LiveBox(w.VBox):
    """A box of widgets that says, where widgets are not alive, what it would be."""

    def __repr__(self) -> str:
        return "Sliders, buttons and pictures stand here once this cell has been run."


def _described(html: w.HTML, text: str) -> None:
    html.value = f'<p role="status" style="max-width: 46em">{text}</p>'


def draw_descent(
    learning_rate: float, momentum: float, *, steepness: float = 10.0, num_steps: int = 40
) -> tuple[Figure, str]:
    """Return the picture of a walk down a valley from (-2, 1.2), and a sentence that reads it."""
    loss, gradient = descent.quadratic_bowl(steepness)
    walk = descent.run(loss, gradient, descent.Momentum(learning_rate, momentum), np.array([-2.0, 1.2]), num_steps=num_steps)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    plots.loss_surface(left, loss)
    plots.descent_path(left, walk.path, label="path")
    right.semilogy(np.maximum(walk.losses, 1e-12), linestyle="-", color=plots.COLOURS[1])
    right.set(xlabel="step", ylabel="loss", ylim=(1e-9, 1e5), xlim=(0, num_steps))
    diverges = walk.diverged or walk.losses[-1] > walk.losses[0]
    verdict = (
        "the loss grows: the rate is too large" if diverges else f"after {num_steps} steps the loss is {walk.losses[-1]:.2g}"
    )
    left.set_title(f"rate {learning_rate:.3g}, momentum {momentum:.2g}")
    right.set_title("diverges" if diverges else "descends")
    return figure, f"Learning rate {learning_rate:.3g}, momentum {momentum:.2g}: {verdict} (start: {walk.losses[0]:.2g})."


def descent_explorer() -> w.VBox:
    """Return sliders for learning rate and momentum over the valley of notebook 01, section 5."""
    rate = w.FloatLogSlider(
        value=0.05, base=10, min=-3, max=-0.4, step=0.05, description="learning rate", readout_format=".3g"
    )
    momentum = w.FloatSlider(value=0.0, min=0.0, max=0.98, step=0.02, description="momentum")
    for slider in (rate, momentum):
        slider.style.description_width = "7em"
        slider.layout.width = "26em"
    image, text = w.Image(format="png"), w.HTML()
    image.layout.width = "52em"

    def draw(_: object = None) -> None:
        figure, sentence = draw_descent(rate.value, momentum.value)
        image.value = as_png(figure)
        _described(text, sentence)

    rate.observe(draw, "value")
    momentum.observe(draw, "value")
    draw()
    return LiveBox([rate, momentum, text, image])


class TrainingPanel:
    """A live view of a run: bar, tokens per second, estimate, curves and a stop button.

    Give it to `fit` as `on_progress=panel`, after `display(panel.view)`. The stop button ends the run
    after the current step, as does the notebook's own stop button; what was learned is kept. Curves are drawn
    anew after `seconds_between_drawings`, or later where drawing is slow: it takes a twentieth of the time at most.
    """

    def __init__(self, *, seconds_between_drawings: float = 2.0) -> None:
        self._bar = w.FloatProgress(min=0.0, max=1.0, description="training")
        self._bar.layout.width = "26em"
        self._stop = w.Button(
            description="Stop, keep the best", icon="stop", tooltip="Ends after this step; nothing is lost"
        )
        self._stop.layout.width = "14em"
        self._stop.on_click(self._ask_to_stop)
        self._text, self._image = w.HTML("<p>waiting for the first step</p>"), w.Image(format="png")
        self._image.layout.width = "48em"
        self._image.layout.visibility = "hidden"
        self._seconds, self._due, self._asked = seconds_between_drawings, 0.0, False
        self.view = LiveBox([w.HBox([self._bar, self._stop]), self._text, self._image])

    def _ask_to_stop(self, _: object) -> None:
        self._asked = True
        self._stop.description = "stopping"
        self._stop.disabled = True

    def __call__(self, progress: Progress) -> None:
        """Show one step; raises KeyboardInterrupt, which `fit` understands, when stop was pressed."""
        if self._asked:
            raise KeyboardInterrupt
        last = progress.step == progress.num_steps
        started = time.monotonic()
        if not last and started < self._due:
            return
        self._bar.value = progress.step / progress.num_steps
        _described(self._text, progress_sentence(progress))
        figure, axes = plt.subplots(1, 2, figsize=(8.6, 2.8))
        plots.training_curves(axes, progress.history)
        self._image.value = as_png(figure)
        self._image.layout.visibility = "visible"
        drawn = time.monotonic()
        self._due = drawn + max(self._seconds, 19 * (drawn - started))
        if last:
            self._stop.disabled = True


def progress_sentence(progress: Progress) -> str:
    """Return where a run stands, in words."""
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    return (
        f"epoch {progress.epoch} of {progress.num_epochs}, step {progress.step} of {progress.num_steps}, "
        f"loss {progress.loss:.3f}, {progress.tokens_per_second:,.0f} tokens/s, about {minutes}:{seconds:02d} left"
    )


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
            _described(answer, "There is nothing to classify: type a sentence first.")
            return
        try:
            text = prediction_sentence(predict(box.value), class_names)
        except ValueError as error:
            text = str(error)
        _described(answer, text)

    button.on_click(classify)
    box.observe(classify, "value")
    classify()
    return LiveBox([box, button, answer])


def answer_buttons(exercise_id: str, letters: Sequence[str], respond: Callable[[str, str], str]) -> w.VBox:
    """Return a button for each letter, and below them what `respond` says to the one that is pressed."""
    buttons, answer = w.ToggleButtons(options=list(letters), index=None, description=exercise_id), w.HTML()
    buttons.style.button_width = "4em"
    buttons.observe(lambda change: _described(answer, html.escape(respond(exercise_id, change["new"]))), "value")
    return LiveBox([buttons, answer])
