"""Sliders over the valley of notebook 01."""

from __future__ import annotations

import ipywidgets as w
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from .. import descent, plots
from .base import LiveBox, as_png, describe


def draw_descent(
    learning_rate: float, momentum: float, *, steepness: float = 10.0, num_steps: int = 40
) -> tuple[Figure, str]:
    """Return the picture of a walk down a valley from (-2, 1.2), and a sentence that reads it.

    Without momentum the walk has the colour of gradient descent, otherwise that of momentum, as in the notebook.
    """
    name = "momentum" if momentum else "gradient descent"
    loss, gradient = descent.quadratic_bowl(steepness)
    walk = descent.run(loss, gradient, descent.Momentum(learning_rate, momentum), np.array([-2.0, 1.2]), num_steps=num_steps)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    plots.loss_surface(left, loss)
    plots.descent_path(left, walk.path, label=name)
    right.semilogy(np.maximum(walk.losses, 1e-12), linestyle="-", color=plots.COLOURS[plots.style_index(name)])
    right.set(xlabel="step", ylabel="loss", ylim=(1e-9, 1e5), xlim=(0, num_steps))
    diverges = walk.diverged or walk.losses[-1] > walk.losses[0]
    verdict = (
        "the loss grows: the learning rate is too large"
        if diverges
        else f"after {num_steps} steps the loss is {walk.losses[-1]:.2g}"
    )
    left.set_title(f"rate {learning_rate:.3g}, momentum {momentum:.2g}")
    right.set_title("diverges" if diverges else "descends")
    return figure, f"Learning rate {learning_rate:.3g}, momentum {momentum:.2g}: {verdict} (start: {walk.losses[0]:.2g})."


def descent_explorer() -> w.VBox:
    """Return sliders for learning rate and momentum over the valley of notebook 01, section 6."""
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
        describe(text, sentence)

    rate.observe(draw, "value")
    momentum.observe(draw, "value")
    draw()
    return LiveBox([rate, momentum, text, image])
