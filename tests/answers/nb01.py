"""Answers to the exercises of notebook 01 that people give: right ones, and wrong ones with words of what they are told."""

import numpy as np
import torch


def looped_gradient(w, X, y):
    total = [0.0] * len(w)
    for row, label in zip(X, y, strict=True):
        probability = 1 / (1 + np.exp(-sum(a * b for a, b in zip(row, w, strict=True))))
        for j, value in enumerate(row):
            total[j] += (probability - label) * value
    return [part / len(y) for part in total]


def autograd_gradient(w, X, y):
    parameters = torch.tensor(w, requires_grad=True)
    logits = torch.tensor(X) @ parameters
    torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor(y)).backward()
    return parameters.grad


def in_place_gradient(w, X, y):
    X *= (1 / (1 + np.exp(-X @ w)) - y)[:, None]
    return X.mean(axis=0)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def in_place_momentum(w, v, g, learning_rate, momentum):
    v *= momentum
    v += g
    w -= learning_rate * v
    return w, v


def reset_after(start, learning_rate, num_steps):
    w = torch.tensor(start, requires_grad=True)
    for _ in range(num_steps):
        (0.5 * (w**2).sum()).backward()
        with torch.no_grad():
            w -= learning_rate * w.grad
        w.grad.zero_()
    return w.detach()


def reset_before(start, learning_rate, num_steps):
    w = torch.tensor(start, requires_grad=True)
    for _ in range(num_steps):
        w.grad = None
        (0.5 * (w**2).sum()).backward()
        w.data -= learning_rate * w.grad
    return w


def asked_anew(start, learning_rate, num_steps):
    w = torch.tensor(start, requires_grad=True)
    for _ in range(num_steps):
        (gradient,) = torch.autograd.grad(0.5 * (w**2).sum(), w)
        w = (w - learning_rate * gradient).detach().requires_grad_()
    return w


def reset_between(start, learning_rate, num_steps):
    w = torch.tensor(start, requires_grad=True)
    for _ in range(num_steps):
        (0.5 * (w**2).sum()).backward()
        w.grad.zero_()
        with torch.no_grad():
            w -= learning_rate * w.grad
    return w.detach()


def reset_once(start, learning_rate, num_steps):
    w = torch.tensor(start, requires_grad=True)
    if w.grad is not None:
        w.grad.zero_()
    for _ in range(num_steps):
        (0.5 * (w**2).sum()).backward()
        with torch.no_grad():
            w -= learning_rate * w.grad
    return w.detach()


def averaged(start, learning_rate, num_steps):
    w = torch.tensor(start, requires_grad=True)
    for step in range(num_steps):
        (0.5 * (w**2).sum()).backward()
        with torch.no_grad():
            w -= learning_rate * w.grad / (step + 1)
    return w.detach()


def none_between(start, learning_rate, num_steps):
    w = torch.tensor(start, requires_grad=True)
    for _ in range(num_steps):
        (0.5 * (w**2).sum()).backward()
        w.grad = None
        w.data -= learning_rate * w.grad
    return w


RIGHT = {
    "01.1": [looped_gradient, autograd_gradient, in_place_gradient],
    "01.2": [-64, -64.0, np.float64(-64), torch.tensor(-64.0)],
    "01.4": [
        in_place_momentum,
        lambda w, v, g, learning_rate, momentum: [
            w - learning_rate * (momentum * v + g),
            list(momentum * v + g),
        ],
    ],
    "01.5": [reset_after, reset_before, asked_anew],
}
WRONG = {
    "01.1": [
        (lambda w, X, y: (sigmoid(X @ w) - y) @ X, "their mean, so divide by n"),
        (lambda w, X, y: np.mean(X * (y - sigmoid(X @ w))[:, None], axis=0), "the sign is wrong"),
        (lambda w, X, y: (X @ w - y) @ X / len(X), "The sigmoid is missing"),
        (lambda w, X, y: 2 * np.mean(X * (sigmoid(X @ w) - y)[:, None], axis=0), "a factor 2"),
        (lambda w, X, y: X.T @ ((sigmoid(X @ w) - y) * sigmoid(X @ w) * sigmoid(-X @ w)) / len(y), "p (1 - p)"),
        (lambda w, X, y: [sigmoid(row @ w) - label for row, label in zip(X, y, strict=True)], "one for each example"),
        (lambda w, X, y: X @ (sigmoid(X @ w) - y), "raises ValueError"),
    ],
    "01.2": [
        (64, "Look at the sign"),
        (0.125, "for learning rate 0.05"),
        (-4, "Two more follow"),
        (-12, "the same step three times"),
    ],
    "01.4": [
        (lambda w, v, g, learning_rate, momentum: [w - learning_rate * v, g + v * momentum], "the old velocity"),
        (
            lambda w, v, g, learning_rate, momentum: (
                w - learning_rate * (v + (1 - momentum) * (g - v)),
                v + (1 - momentum) * (g - v),
            ),
            "a running mean",
        ),
        (
            lambda w, v, g, learning_rate, momentum: (w + learning_rate * (g + momentum * v), momentum * v + g),
            "up the slope",
        ),
        (
            lambda w, v, g, learning_rate, momentum: (w - learning_rate * (g + momentum * v), v),
            "the old velocity is returned",
        ),
        (
            lambda w, v, g, learning_rate, momentum: (
                w - (momentum * v + learning_rate * g),
                momentum * v + learning_rate * g,
            ),
            "is inside the velocity",
        ),
        (lambda w, v, g, learning_rate, momentum: w - learning_rate * (g + momentum * v), "return w, v"),
    ],
    "01.5": [
        (reset_between, "nothing moves"),
        (averaged, "only averaged"),
        (reset_once, "as it was given"),
        (none_between, "raises TypeError"),
        (
            lambda start, learning_rate, num_steps: reset_after(start, learning_rate / 2, num_steps),
            "the learning rate was halved",
        ),
    ],
}
