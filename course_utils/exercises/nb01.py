"""Exercises of notebook 01, minimise the loss."""

import numpy as np
import torch

from .. import descent
from .definition import Case, Exercise, Mistake

LOG3 = np.log(3)  # sigmoid(log 3) = 3/4


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def descends_without_reset(start, learning_rate, num_steps):
    w = torch.tensor(start, requires_grad=True)
    for _ in range(num_steps):
        loss = 0.5 * (w**2).sum()
        loss.backward()
        with torch.no_grad():
            w -= learning_rate * w.grad
    return w.detach()


def descends_on_the_mean_gradient(start, learning_rate, num_steps):
    gradients, w = [], np.array(start)
    for _ in range(num_steps):
        gradients.append(w)
        w = w - learning_rate * np.mean(gradients, axis=0)
    return w


# The solutions.
def my_gradient(w, X, y):
    probabilities = descent.sigmoid(X @ w)  # (n,)
    return X.T @ (probabilities - y) / len(y)


def momentum_step(w, v, g, learning_rate, momentum):
    v = momentum * v + g
    return w - learning_rate * v, v


def bare_descent(start, learning_rate, num_steps):
    w = torch.tensor(start, requires_grad=True)
    for _ in range(num_steps):
        loss = 0.5 * (w**2).sum()
        loss.backward()
        with torch.no_grad():
            w -= learning_rate * w.grad
        w.grad.zero_()  # this line was missing
    return w.detach()


# Other answers, right and wrong, that test the checks.
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


EXERCISES = [
    Exercise(
        id="01.1",
        kind="complete",
        title="the gradient of cross-entropy",
        solution=my_gradient,
        cases=(
            Case(
                "my_gradient(w=[0, 0], X=[[1, 2]], y=[1])",
                (np.array([0.0, 0.0]), np.array([[1.0, 2.0]]), np.array([1.0])),
                [-0.5, -1.0],
            ),
            Case(
                "my_gradient(w=[0, 0], X=[[1, 0], [0, 1]], y=[1, 0])",
                (np.array([0.0, 0.0]), np.eye(2), np.array([1.0, 0.0])),
                [-0.25, 0.25],
            ),
            Case(
                "my_gradient(w=[log 3, 0], X=[[1, 1], [1, -1]], y=[0, 1])",
                (np.array([LOG3, 0.0]), np.array([[1.0, 1.0], [1.0, -1.0]]), np.array([0.0, 1.0])),
                [0.25, 0.5],
            ),
            Case(
                "my_gradient(w=[0], X=[[2], [2], [2], [2]], y=[1, 1, 1, 0])",
                (np.array([0.0]), np.full((4, 1), 2.0), np.array([1.0, 1.0, 1.0, 0.0])),
                [-0.5],
            ),
        ),
        mistakes=(
            Mistake(
                lambda w, X, y: X.T @ (sigmoid(X @ w) - y),
                "the sum over the examples. L is their mean, so divide by n; otherwise more data would mean longer steps.",
            ),
            Mistake(
                lambda w, X, y: X.T @ (y - sigmoid(X @ w)) / len(y),
                "the sign is wrong. The error is the prediction minus the label; with this sign gradient "
                "descent would climb.",
            ),
            Mistake(
                lambda w, X, y: X.T @ (X @ w - y) / len(y),
                "the logit X w was used as the probability. The sigmoid is missing.",
            ),
            Mistake(
                lambda w, X, y: 2 / len(y) * X.T @ (sigmoid(X @ w) - y),
                "a factor 2, which comes from the square in the squared error. Cross-entropy has none.",
            ),
            Mistake(
                (
                    lambda w, X, y: X.T @ ((sigmoid(X @ w) - y) * sigmoid(X @ w) * (1 - sigmoid(X @ w))) / len(y),
                    lambda w, X, y: 2 * X.T @ ((sigmoid(X @ w) - y) * sigmoid(X @ w) * (1 - sigmoid(X @ w))) / len(y),
                ),
                "the slope of the sigmoid, p (1 - p), is still in it. That is the gradient of the squared error; in "
                "cross-entropy the logarithm cancels this factor.",
            ),
            Mistake(
                lambda w, X, y: sigmoid(X @ w) - y,
                "these are the errors, one for each example. Multiply each by its inputs x and take the mean: one number "
                "for each parameter.",
            ),
        ),
        hints=(
            "first the probabilities, one for each example; then the errors; then one number for each parameter.",
            "the formula of section 4 has four parts: 1/n, the transposed X, the sigmoid of X w, and y.",
            "X.T @ (probabilities - y) / n, where probabilities = descent.sigmoid(X @ w).",
        ),
        after="Error times input, averaged: the same formula trains the last layer of BERT.",
        right=(
            looped_gradient,
            autograd_gradient,
            in_place_gradient,
        ),
        wrong=(
            (lambda w, X, y: (sigmoid(X @ w) - y) @ X, "their mean, so divide by n"),
            (lambda w, X, y: np.mean(X * (y - sigmoid(X @ w))[:, None], axis=0), "the sign is wrong"),
            (lambda w, X, y: (X @ w - y) @ X / len(X), "The sigmoid is missing"),
            (lambda w, X, y: 2 * np.mean(X * (sigmoid(X @ w) - y)[:, None], axis=0), "a factor 2"),
            (lambda w, X, y: X.T @ ((sigmoid(X @ w) - y) * sigmoid(X @ w) * sigmoid(-X @ w)) / len(y), "p (1 - p)"),
            (lambda w, X, y: [sigmoid(row @ w) - label for row, label in zip(X, y, strict=True)], "one for each example"),
            (lambda w, X, y: X @ (sigmoid(X @ w) - y), "raises ValueError"),
        ),
    ),
    Exercise(
        id="01.2",
        kind="predict",
        title="a learning rate ten times as large",
        solution="after_three_steps = (1 - 10 * 0.5) ** 3",
        expected=-64.0,
        mistakes=(
            Mistake(
                64.0, "The size is right. Look at the sign: 1 - 10 eta is negative, so each step jumps to the other side."
            ),
            Mistake(0.125, "That is for learning rate 0.05, where each step halves w_1. With 0.5 the factor is different."),
            Mistake(-4.0, "That is w_1 after one step. Two more follow."),
            Mistake(
                (-14.0, -12.0),
                "It looks like adding the same step three times. The gradient is computed again at each position.",
            ),
        ),
        hints=(
            "each step multiplies w_1 by the same factor.",
            "the factor is 1 - 10 eta, with eta = 0.5.",
            "the factor is -4, three times.",
        ),
        after="Above the limit the distance grows with every step, and the sign changes: that is the rising curve in the figure.",
        right=(
            -64,
            -64.0,
            np.float64(-64),
            torch.tensor(-64.0),
        ),
        wrong=(
            (64, "Look at the sign"),
            (0.125, "for learning rate 0.05"),
            (-4, "Two more follow"),
            (-12, "the same step three times"),
        ),
    ),
    Exercise(
        id="01.3",
        kind="choice",
        title="why 0.21 rises and 0.19 falls",
        solution='why_they_part = "c"',
        question="Two learning rates are nearly equal, but one path converges while the other diverges. Why?",
        expected="c",
        options={
            "a": (
                "0.21 starts further from the minimum",
                "All four paths start at the same point, the ring in the left picture.",
            ),
            "b": (
                "40 steps are too few for 0.21; with more it would come down",
                "Its curve rises from step to step, and each step multiplies the distance by the same factor. More steps "
                "only take it further away.",
            ),
            "c": (
                "in the steep direction each step multiplies the distance by 1 - 10 eta, which is above 1 in size only for 0.21",
                "The sizes are 0.9 and 1.1: with 0.19 the zigzag shrinks, with 0.21 it grows.",
            ),
            "d": (
                "in the flat direction the step of 0.21 is too long",
                "In the flat direction the factor is 1 - eta = 0.79, which is comfortable. The steep direction sets the limit.",
            ),
        },
        hints=("read the factors printed below the figure.",),
    ),
    Exercise(
        id="01.4",
        kind="complete",
        title="one step with momentum",
        solution=momentum_step,
        cases=(
            Case(
                "momentum_step(w=[1], v=[0], g=[2], learning_rate=0.1, momentum=0.9)",
                (np.array([1.0]), np.array([0.0]), np.array([2.0]), 0.1, 0.9),
                [[0.8], [2.0]],
            ),
            Case(
                "momentum_step(w=[1], v=[1], g=[0], learning_rate=0.1, momentum=0.9)",
                (np.array([1.0]), np.array([1.0]), np.array([0.0]), 0.1, 0.9),
                [[0.91], [0.9]],
            ),
            Case(
                "momentum_step(w=[0, 1], v=[2, -2], g=[1, 1], learning_rate=0.5, momentum=0.5)",
                (np.array([0.0, 1.0]), np.array([2.0, -2.0]), np.array([1.0, 1.0]), 0.5, 0.5),
                [[-1.0, 1.0], [2.0, 0.0]],
            ),
        ),
        mistakes=(
            Mistake(
                lambda w, v, g, learning_rate, momentum: (w - learning_rate * v, momentum * v + g),
                "the step uses the old velocity. First v takes up the new gradient, then w moves by it.",
            ),
            Mistake(
                lambda w, v, g, learning_rate, momentum: (
                    w - learning_rate * (momentum * v + (1 - momentum) * g),
                    momentum * v + (1 - momentum) * g,
                ),
                "a running mean, with 1 - momentum before the gradient. That is what Adam keeps; momentum adds the whole "
                "gradient, so that a steady slope builds up speed.",
            ),
            Mistake(
                lambda w, v, g, learning_rate, momentum: (w + learning_rate * (momentum * v + g), momentum * v + g),
                "the step goes up the slope. Subtract it.",
            ),
            Mistake(
                lambda w, v, g, learning_rate, momentum: (w - learning_rate * (momentum * v + g), v),
                "w is right, but the old velocity is returned. Without the new one no momentum builds up.",
            ),
            Mistake(
                lambda w, v, g, learning_rate, momentum: (
                    w - momentum * v - learning_rate * g,
                    momentum * v + learning_rate * g,
                ),
                "the learning rate is inside the velocity. With a constant learning rate both versions give the same path; here, as in "
                "torch.optim, v adds up plain gradients and the learning rate multiplies v when w is updated.",
            ),
            Mistake(
                lambda w, v, g, learning_rate, momentum: w - learning_rate * (momentum * v + g),
                "only w is returned. The next step needs the new velocity too: return w, v.",
            ),
        ),
        hints=(
            "two lines, in the order of the two formulas.",
            "the new v goes into the new w, and both are returned.",
            "v = momentum * v + g, then w = w - learning_rate * v, then return w, v.",
        ),
        after="With momentum 0 this is gradient descent again.",
        right=(
            in_place_momentum,
            lambda w, v, g, learning_rate, momentum: [
                w - learning_rate * (momentum * v + g),
                list(momentum * v + g),
            ],
        ),
        wrong=(
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
        ),
    ),
    Exercise(
        id="01.5",
        kind="debug",
        title="a loop that swings",
        solution=bare_descent,
        given=descends_without_reset,
        cases=(
            Case("bare_descent([1.0], learning_rate=0.5, num_steps=1)", ([1.0], 0.5, 1), [0.5]),
            Case("bare_descent([1.0], learning_rate=0.5, num_steps=2)", ([1.0], 0.5, 2), [0.25]),
            Case("bare_descent([1.0], learning_rate=0.5, num_steps=3)", ([1.0], 0.5, 3), [0.125]),
            Case("bare_descent([16.0, -8.0], learning_rate=0.25, num_steps=2)", ([16.0, -8.0], 0.25, 2), [9.0, -4.5]),
        ),
        mistakes=(
            Mistake(
                lambda start, learning_rate, num_steps: start,
                "nothing moves: the gradient is reset between backward and the step, so the step finds zeros.",
            ),
            Mistake(
                descends_on_the_mean_gradient,
                "the old gradients are still there, only averaged. A step must use the gradient of this position alone.",
            ),
            Mistake(
                lambda start, learning_rate, num_steps: (1 - learning_rate / 2) ** num_steps * np.array(start),
                "the learning rate was halved. That may hide the swinging, but even the first step is too short now.",
            ),
        ),
        hints=(
            "one step is right and two are not. What is left over from the first?",
            "backward adds to w.grad. Which line resets it?",
            "after the step, w.grad.zero_() (or w.grad = None).",
        ),
        after="The optimiser's zero_grad does this for all parameters at once.",
        right=(
            reset_after,
            reset_before,
            asked_anew,
        ),
        wrong=(
            (reset_between, "nothing moves"),
            (averaged, "only averaged"),
            (reset_once, "as it was given"),
            (none_between, "raises TypeError"),
            (
                lambda start, learning_rate, num_steps: reset_after(start, learning_rate / 2, num_steps),
                "the learning rate was halved",
            ),
        ),
    ),
    Exercise(
        id="01.q1",
        kind="choice",
        title="an untrained classifier",
        question="Which loss should an untrained classifier of ten classes start with?",
        expected="b",
        options={
            "a": ("log 2, about 0.69", "That is the loss for two classes: a probability of one half."),
            "b": ("log 10, about 2.30", "Each class gets probability 1/10, and -log(1/10) = log 10."),
            "c": (
                "0.9, because nine of ten answers are wrong",
                "That is the error rate. Cross-entropy is -log of a probability.",
            ),
        },
    ),
    Exercise(
        id="01.q2",
        kind="choice",
        title="checking a gradient",
        question="Your formula for the gradient and finite differences differ by a factor of exactly n. What is the most likely reason?",
        expected="a",
        options={
            "a": ("one of them is of the sum of the losses, the other of their mean", "A sum is n times the mean."),
            "b": (
                "the step of the finite differences is too large",
                "That makes errors that change with the step, not a factor of exactly n.",
            ),
            "c": ("rounding errors", "They are small and irregular. A clean factor is an error in the formula."),
        },
    ),
    Exercise(
        id="01.q3",
        kind="choice",
        title="batches",
        question="You want half the noise in the gradient of a batch of 32. How many examples do you need?",
        expected="c",
        options={
            "a": ("48", "The noise falls with the square root of the batch size: 48 leaves four fifths of it."),
            "b": ("64", "Twice the batch leaves 1 / sqrt(2), about 0.71 of the noise."),
            "c": ("128", "Four times the work for half the noise: that is why batches stay small."),
        },
    ),
]
