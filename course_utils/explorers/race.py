"""The optimiser race of notebook 01: four optimisers from one start, on three surfaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

from .. import descent, plots
from .page import Page, page

RATES = {"gradient descent": 0.05, "momentum": 0.02, "RMSprop": 0.02, "Adam": 0.1}  # as in section 7
CHOICES = [round(size * 10.0**k, 4) for k in (-3, -2, -1) for size in (1, 1.2, 1.5, 1.9, 2, 2.1, 2.5, 3, 4, 5, 6.5, 8)] + [
    1.0
]
X, Y = (-2.2, 2.2), (-1.6, 1.6)


@dataclass(frozen=True)
class Surface:
    """A loss of two parameters with its gradient; `steepness` is its largest curvature at the minimum, where it is 0."""

    name: str
    loss: Callable[[np.ndarray], float]
    gradient: Callable[[np.ndarray], np.ndarray]
    minimum: tuple[float, float]
    steepness: float


def _bent_loss(w: np.ndarray) -> float:
    return float(0.25 * (w[0] - 1) ** 2 + 5 * (w[1] + 1 - w[0] ** 2 / 2) ** 2)


def _bent_gradient(w: np.ndarray) -> np.ndarray:
    across = w[1] + 1 - w[0] ** 2 / 2  # above or below the floor of the valley
    return np.array([0.5 * (w[0] - 1) - 10 * across * w[0], 10 * across])


def _two_loss(w: np.ndarray) -> float:
    return float((w[0] ** 2 - 1) ** 2 + 0.4305 * w[0] + 2 * w[1] ** 2 + 0.44151875)


def _two_gradient(w: np.ndarray) -> np.ndarray:
    return np.array([4 * w[0] * (w[0] ** 2 - 1) + 0.4305, 4 * w[1]])


SURFACES = (
    Surface("valley", *descent.quadratic_bowl(10), (0.0, 0.0), 10.0),
    Surface("bent valley", _bent_loss, _bent_gradient, (1.0, -0.5), (20.5 + np.sqrt(400.25)) / 2),
    Surface("two minima", _two_loss, _two_gradient, (-1.05, 0.0), 9.23),
)


def largest_stable_rate(surface: Surface, *, momentum: float = 0.0) -> float:
    """Return the learning rate above which gradient descent, with momentum or without, leaves the minimum again."""
    return 2 * (1 + momentum) / surface.steepness


def run_race(
    surface: Surface, start: Sequence[float], *, rates: Mapping[str, float], momentum: float = 0.9, num_steps: int = 80
) -> dict[str, descent.Descent]:
    """Return the walk of each optimiser in `rates`, all from `start` (2,)."""
    make: dict[str, Callable[[float], descent.Optimiser]] = {
        "gradient descent": descent.GradientDescent,
        "momentum": lambda rate: descent.Momentum(rate, momentum),
        "RMSprop": descent.RMSprop,
        "Adam": descent.Adam,
    }
    where = np.array(start, dtype=float)
    return {
        name: descent.run(surface.loss, surface.gradient, make[name](rate), where, num_steps=num_steps)
        for name, rate in rates.items()
    }


def race_explorer(*shown: str, momentum: float = 0.9, num_steps: int = 80) -> Page:
    """Return a race of the optimisers `shown` (all four, if none is named): surface, start, rates and momentum to choose."""
    shown, start = shown or plots.OPTIMISERS, (-2.0, 1.2)
    rates = {name: RATES[name] for name in shown}
    walks = run_race(SURFACES[0], start, rates=rates, momentum=momentum, num_steps=num_steps)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    plots.loss_surface(left, SURFACES[0].loss)
    for name, walk in walks.items():
        plots.descent_path(left, walk.path, label=name)
    plots.curves(right, {name: np.maximum(walk.losses, 1e-9) for name, walk in walks.items()}, x=range(num_steps + 1))
    right.set(yscale="log", xlabel="step", ylabel="loss", title="The loss after each step")
    left.set_title("Ways down the valley")
    ends = ", ".join(f"{name} {walk.losses[-1]:.1g}" for name, walk in walks.items())
    alt = f"Paths down a valley from one start, and the loss over {num_steps} steps on a log axis. Loss at the end: {ends}."
    surfaces = [{"name": s.name, "steepness": s.steepness} for s in SURFACES]
    data = {"surfaces": surfaces, "x": X, "y": Y, "start": start, "rates": rates, "choices": CHOICES}
    return page("race", data | {"momentum": momentum, "steps": num_steps}, figure, alt=alt)
