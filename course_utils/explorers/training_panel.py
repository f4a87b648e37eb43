"""A live view of a training run."""

from __future__ import annotations

import base64
import html
import math
import time
from typing import TYPE_CHECKING

import ipywidgets as w
import matplotlib.pyplot as plt

from .. import plots
from .base import LiveBox, as_png, describe

if TYPE_CHECKING:
    from ..training import History

SECONDS_BETWEEN_BARS = 0.2


class TrainingPanel:
    """A live view of a run: bar, tokens per second, estimate, curves and a stop button.

    Give it to `fit` as `on_step`; it shows itself when the run starts and says at the end how it went. The stop button
    ends the run after the current step, as the notebook's own stop button (■) does; what was learned is kept. Curves are
    redrawn after each epoch and every `seconds_between_drawings`, or less often if drawing is slow: it takes a twentieth
    of the time at most. A panel that is given to several runs of a cell shows one after the other.
    """

    def __init__(self, *, seconds_between_drawings: float = 2.0) -> None:
        self._stop = w.Button(description="Stop, or press ■", icon="stop", tooltip="Ends after this step; nothing is lost")
        self._stop.layout.width = "14em"
        self._stop.on_click(self._ask_to_stop)
        self._bar, self._text, self._picture = w.HTML(), w.HTML(), w.HTML()
        self._text.value = "<p>waiting for the first step</p>"
        self._seconds, self._shown, self._asked = seconds_between_drawings, False, False
        self._history: History | None = None
        self._bar_due = self._picture_due = 0.0
        self.view = LiveBox([w.HBox([self._bar, self._stop]), self._text, self._picture])

    def _ask_to_stop(self, _: object) -> None:
        self._asked = True
        self._stop.description = "stopping"
        self._stop.disabled = True

    def __enter__(self) -> TrainingPanel:
        """Show the panel, once, with a stop button that is heard while the cell runs (where that can be)."""
        from IPython.display import display

        from ..device import answer_while_busy

        self._asked, self._history = False, None
        self._bar_due = self._picture_due = 0.0
        self._stop.description, self._stop.disabled = "Stop, or press ■", False
        answer_while_busy(self._stop.comm)
        if not self._shown:
            display(self.view)
        self._shown = True
        return self

    def __call__(self, history: History) -> None:
        """Show one step; raises KeyboardInterrupt, which `fit` understands, when stop was pressed."""
        self._history = history
        if self._asked:
            raise KeyboardInterrupt
        now, validates = time.monotonic(), history.step * history.num_epochs % history.num_steps == 0
        if now >= self._bar_due or validates:
            self._bar_due = now + SECONDS_BETWEEN_BARS
            self._progress(history)
        if now >= self._picture_due:
            self._draw(history)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Say how the run ended, with curves up to its last validation."""
        self._stop.disabled, self._stop.description = True, "ended"
        history = self._history
        if history is None:
            describe(self._text, "The run ended before its first step.")
            return
        self._progress(history)
        describe(self._text, html.escape(final_sentence(history, kind)))
        self._draw(history)

    def _progress(self, history: History) -> None:
        share = history.step / history.num_steps
        bar = f'<progress style="width: 24em; max-width: 60vw" value="{share:.4f}" max="1"></progress>'
        self._bar.value = f"<label>training {bar} {share:.0%}</label>"
        self._text.value = f"<p>{progress_sentence(history)}</p>"

    def _draw(self, history: History) -> None:
        started = time.monotonic()
        figure, axes = plt.subplots(1, 2, figsize=(8.6, 2.8))
        plots.training_curves(axes, history)
        png, alt = base64.b64encode(as_png(figure)).decode(), f"Loss and validation accuracy up to step {history.step}."
        self._picture.value = plots.figure_html(png, alt)
        drawn = time.monotonic()
        self._picture_due = drawn + max(self._seconds, 19 * (drawn - started))


def progress_sentence(history: History) -> str:
    """Return where a run is, in words; the time left is an estimate from the steps so far."""
    left = history.elapsed / history.step * (history.num_steps - history.step)
    epoch = math.ceil(history.step * history.num_epochs / history.num_steps)
    minutes, seconds = divmod(round(left), 60)
    validates = history.step * history.num_epochs % history.num_steps == 0
    return (
        f"epoch {epoch} of {history.num_epochs}, step {history.step} of {history.num_steps}, "
        f"loss {history.step_losses[-1]:.3f}, "
        f"{history.tokens / history.elapsed:,.0f} tokens/s, "
        + ("now validating" if validates else f"about {minutes}:{seconds:02d} left")
    )


def final_sentence(history: History, error: type[BaseException] | None = None) -> str:
    """Return how a run ended, which weights the model has now, and how to go on; `error` is what ended it, if anything."""
    if error is not None and not issubclass(error, KeyboardInterrupt):
        return f"The run ended with an error at step {history.step + 1}: read the message below."
    minutes, seconds = divmod(round(history.elapsed), 60)
    state = "Stopped" if error else "Done"
    ended = f"{state} after {minutes}:{seconds:02d}, step {history.step} of {history.num_steps}. "
    if history.best_epoch is None:
        kept = "No epoch was complete, so the model has its current weights."
    else:
        best = history.records[history.best_epoch - 1].validation_accuracy
        kept = f"The model has the weights of epoch {history.best_epoch}, the best on validation (accuracy {best:.3f})."
    if error:
        return f"{ended}{kept} To train on from these weights, run the cell again; for a fresh start, load the model again."
    if history.step < history.num_steps:
        kept += " It ended early, since validation did not improve any more (patience)."
    return ended + kept
