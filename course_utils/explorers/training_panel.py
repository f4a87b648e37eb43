"""A live view of a training run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import ipywidgets as w
import matplotlib.pyplot as plt

from .. import plots
from .base import LiveBox, as_png, describe

if TYPE_CHECKING:
    from ..training import History


class TrainingPanel:
    """A live view of a run: bar, tokens per second, estimate, curves and a stop button.

    Give it to `fit` as `on_step=panel`, after `display(panel.view)`. The stop button ends the run after the current
    step, as the notebook's own stop button (■) does; what was learned is kept. Curves are redrawn every
    `seconds_between_drawings`, or less often if drawing is slow: it takes a twentieth of the time at most.
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

    def __call__(self, history: History) -> None:
        """Show one step; raises KeyboardInterrupt, which `fit` understands, when stop was pressed."""
        if self._asked:
            raise KeyboardInterrupt
        last = history.step == history.num_steps
        started = time.monotonic()
        if not last and started < self._due:
            return
        self._bar.value = history.step / history.num_steps
        describe(self._text, progress_sentence(history))
        figure, axes = plt.subplots(1, 2, figsize=(8.6, 2.8))
        plots.training_curves(axes, history)
        self._image.value = as_png(figure)
        self._image.layout.visibility = "visible"
        drawn = time.monotonic()
        self._due = drawn + max(self._seconds, 19 * (drawn - started))
        if last:
            self._stop.disabled = True


def progress_sentence(history: History) -> str:
    """Return where a run is, in words; the time left is an estimate from the steps so far."""
    left = history.elapsed / history.step * (history.num_steps - history.step)
    epoch = -(-history.step * history.num_epochs // history.num_steps)
    minutes, seconds = divmod(round(left), 60)
    return (
        f"epoch {epoch} of {history.num_epochs}, step {history.step} of {history.num_steps}, "
        f"loss {history.step_losses[-1]:.3f}, "
        f"{history.tokens / history.elapsed:,.0f} tokens/s, about {minutes}:{seconds:02d} left"
    )
