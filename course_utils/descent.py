"""Losses, gradients and optimisers by hand, in NumPy, for notebook 01.

Shapes: X float64 (n, D) inputs, y (n,) targets, w float64 (D,) parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

Array = np.ndarray


def mean_squared_error(w: Array, X: Array, y: Array) -> float:
    """Return L(w) = 1/n sum (x_i . w - y_i)^2, in squared units of y."""
    return float(np.mean((X @ w - y) ** 2))


def mean_squared_error_gradient(w: Array, X: Array, y: Array) -> Array:
    """Return the gradient of the mean squared error, float64 (D,): 2/n X^T (X w - y)."""
    return 2 / len(y) * X.T @ (X @ w - y)


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e^-z), without overflow for large |z|."""
    return np.exp(-np.logaddexp(0, -z))


def cross_entropy(w: Array, X: Array, y: Array) -> float:
    """Return the mean of -log p(y_i | x_i) in nats, with p(1 | x) = sigmoid(x . w) and labels y of 0 and 1."""
    z = X @ w
    return float(np.mean(np.logaddexp(0, z) - y * z))


def cross_entropy_gradient(w: Array, X: Array, y: Array) -> Array:
    """Return the gradient of the cross-entropy, float64 (D,): 1/n X^T (sigmoid(X w) - y)."""
    return X.T @ (sigmoid(X @ w) - y) / len(y)


def finite_differences(loss: Callable[[Array], float], w: Array, *, step: float = 1e-5) -> Array:
    """Return the numerical gradient (D,): (L(w + h e_j) - L(w - h e_j)) / 2h for each coordinate j."""
    w = np.asarray(w, dtype=float)
    nudges = np.eye(len(w)) * step
    return np.array([(loss(w + nudge) - loss(w - nudge)) / (2 * step) for nudge in nudges])


class Optimiser(Protocol):
    """Anything with a `step`: parameters and gradient in, new parameters out."""

    def step(self, w: Array, gradient: Array) -> Array: ...


@dataclass
class GradientDescent:
    """w <- w - eta g. Equals `torch.optim.SGD(lr=eta)`."""

    learning_rate: float

    def step(self, w: Array, gradient: Array) -> Array:
        """Return the new parameters (D,)."""
        return w - self.learning_rate * gradient


@dataclass
class Momentum:
    """v <- mu v + g; w <- w - eta v. Equals `torch.optim.SGD(lr=eta, momentum=mu)`. Source: Polyak, 1964."""

    learning_rate: float
    momentum: float = 0.9
    velocity: Array | float = 0.0

    def step(self, w: Array, gradient: Array) -> Array:
        """Return the new parameters (D,)."""
        self.velocity = self.momentum * self.velocity + gradient
        return w - self.learning_rate * self.velocity


@dataclass
class RMSprop:
    """s <- alpha s + (1 - alpha) g^2; w <- w - eta g / (sqrt(s) + eps). Source: Tieleman and Hinton, 2012, lecture 6.5."""

    learning_rate: float
    alpha: float = 0.99
    epsilon: float = 1e-8
    square: Array | float = 0.0

    def step(self, w: Array, gradient: Array) -> Array:
        """Return the new parameters (D,)."""
        self.square = self.alpha * self.square + (1 - self.alpha) * gradient**2
        return w - self.learning_rate * gradient / (np.sqrt(self.square) + self.epsilon)


@dataclass
class Adam:
    """Momentum and RMSprop, each divided by 1 - beta^t for its cold start. Source: Kingma and Ba, 2015, algorithm 1."""

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    mean: Array | float = 0.0
    square: Array | float = 0.0
    steps: int = 0

    def step(self, w: Array, gradient: Array) -> Array:
        """Return the new parameters (D,)."""
        self.steps += 1
        self.mean = self.beta1 * self.mean + (1 - self.beta1) * gradient
        self.square = self.beta2 * self.square + (1 - self.beta2) * gradient**2
        mean = self.mean / (1 - self.beta1**self.steps)
        square = self.square / (1 - self.beta2**self.steps)
        return w - self.learning_rate * mean / (np.sqrt(square) + self.epsilon)


@dataclass(frozen=True)
class Descent:
    """A walk downhill: `path` float64 (steps + 1, D) and `losses` (steps + 1,), start included."""

    path: Array
    losses: Array
    diverged: bool = field(default=False)


def run(
    loss: Callable[[Array], float], gradient: Callable[[Array], Array], optimiser: Optimiser, start: Array, *, num_steps: int
) -> Descent:
    """Return the walk of `optimiser` from `start`; it ends early, with `diverged` set, where the loss passes 1e12.

    Raises:
        ValueError: num_steps below 1.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps must be 1 or more, not {num_steps}.")
    w = np.asarray(start, dtype=float)
    path, losses = [w], [loss(w)]
    for _ in range(num_steps):
        w = optimiser.step(w, gradient(w))
        path.append(w)
        losses.append(loss(w))
        if not losses[-1] < 1e12:
            break
    return Descent(np.array(path), np.array(losses), diverged=not losses[-1] < 1e12)


def quadratic_bowl(steepness: float = 10.0) -> tuple[Callable[[Array], float], Callable[[Array], Array]]:
    """Return loss and gradient of L(w) = (w_0^2 + steepness w_1^2) / 2, a valley steeper across than along."""
    scale = np.array([1.0, steepness])
    return (lambda w: float(0.5 * (scale * w**2).sum())), (lambda w: scale * w)
