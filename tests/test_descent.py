"""Losses, gradients and optimisers by hand against torch and SciPy."""

import numpy as np
import pytest
import torch
from scipy import optimize

from course_utils import descent

rng = np.random.default_rng(0)
X, W = rng.normal(size=(20, 4)), rng.normal(size=4)
Y = {"squares": rng.normal(size=20), "classes": rng.integers(0, 2, size=20).astype(float)}
LOSSES = {
    "squares": (descent.mean_squared_error, descent.mean_squared_error_gradient, torch.nn.functional.mse_loss),
    "classes": (
        descent.cross_entropy,
        descent.cross_entropy_gradient,
        torch.nn.functional.binary_cross_entropy_with_logits,
    ),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_loss_and_gradient_equal_torch_and_scipy(kind):
    loss, gradient, torch_loss = LOSSES[kind]
    w = torch.tensor(W, requires_grad=True)
    value = torch_loss(torch.tensor(X) @ w, torch.tensor(Y[kind]))
    value.backward()
    assert loss(W, X, Y[kind]) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(gradient(W, X, Y[kind]), w.grad.numpy(), rtol=1e-10)
    assert optimize.check_grad(loss, gradient, W, X, Y[kind]) < 1e-6


def test_values_by_hand():
    inputs, targets = np.array([[1.0, 0], [0, 1], [1, 1]]), np.array([1.0, 2, 4])
    assert descent.mean_squared_error(np.ones(2), inputs, targets) == pytest.approx(5 / 3)
    assert descent.mean_squared_error_gradient(np.ones(2), inputs, targets) == pytest.approx([-4 / 3, -2])
    assert descent.cross_entropy(np.zeros(2), inputs, np.array([0.0, 1, 1])) == pytest.approx(np.log(2))


def test_nothing_overflows_far_out():
    with np.errstate(over="raise"):
        np.testing.assert_allclose(descent.sigmoid(np.array([-1e4, -2.0, 0, 1e4])), [0, 1 / (1 + np.exp(2)), 0.5, 1])
        far = descent.cross_entropy(np.array([1e4]), np.ones((1, 1)), np.zeros(1))
    assert far == pytest.approx(1e4)


def test_finite_differences_equal_scipy():
    def bumpy(w):
        return np.sin(w[0]) * w[1] ** 2 + np.exp(w[2])

    at = np.array([0.3, -1.2, 0.5])
    np.testing.assert_allclose(descent.finite_differences(bumpy, at), optimize.approx_fprime(at, bumpy), rtol=1e-5)
    exact = [np.cos(0.3) * 1.44, -2.4 * np.sin(0.3), np.exp(0.5)]
    np.testing.assert_allclose(descent.finite_differences(bumpy, at), exact, rtol=1e-8)


OPTIMISERS = {
    "descent": (lambda: descent.GradientDescent(0.05), lambda p: torch.optim.SGD(p, lr=0.05)),
    "momentum": (lambda: descent.Momentum(0.02, 0.8), lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.8)),
    "rmsprop": (lambda: descent.RMSprop(0.02, 0.9), lambda p: torch.optim.RMSprop(p, lr=0.02, alpha=0.9)),
    "adam": (lambda: descent.Adam(0.1, 0.8, 0.95), lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.95))),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_each_optimiser_walks_as_torch_does(name):
    ours, theirs = OPTIMISERS[name]
    loss, gradient, _ = LOSSES["classes"]
    walk = descent.run(lambda w: loss(w, X, Y["classes"]), lambda w: gradient(w, X, Y["classes"]), ours(), W, num_steps=50)
    w = torch.tensor(W, requires_grad=True)
    optimizer = theirs([w])
    for _ in range(50):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(X) @ w, torch.tensor(Y["classes"])).backward()
        optimizer.step()
    np.testing.assert_allclose(walk.path[-1], w.detach().numpy(), rtol=1e-6)
    assert walk.path.shape == (51, 4) and walk.losses.shape == (51,)
    assert walk.losses[-1] == pytest.approx(loss(walk.path[-1], X, Y["classes"]))


def test_a_walk_starts_at_its_start_and_leaves_it_alone():
    loss, gradient = descent.quadratic_bowl(10)
    start = np.array([-2.0, 1.2])
    walk = descent.run(loss, gradient, descent.GradientDescent(0.1), start, num_steps=1)
    np.testing.assert_allclose(walk.path, [[-2, 1.2], [-1.8, 0]], atol=1e-12)  # w (1 - 0.1 scale)
    assert start.tolist() == [-2.0, 1.2] and walk.losses[0] == pytest.approx((4 + 14.4) / 2)


def test_the_bowl_is_steeper_across():
    loss, gradient = descent.quadratic_bowl(10)
    assert loss(np.array([1.0, 0])) == 0.5 and loss(np.array([0, 1.0])) == 5
    assert optimize.check_grad(loss, gradient, np.array([0.7, -0.4])) < 1e-6


@pytest.mark.parametrize(("rate", "diverges"), [(0.19, False), (0.21, True)])  # the cliff stands at 2 / steepness
def test_beyond_the_cliff_a_walk_says_that_it_diverged_and_ends(rate, diverges):
    loss, gradient = descent.quadratic_bowl(10)
    walk = descent.run(loss, gradient, descent.GradientDescent(rate), np.array([-2.0, 1.2]), num_steps=1_000)
    assert walk.diverged is diverges
    assert (len(walk.losses) < 1_001) is diverges


def test_a_loss_that_is_no_number_counts_as_diverged():
    walk = descent.run(lambda w: float("nan"), lambda w: w, descent.GradientDescent(1), np.ones(1), num_steps=5)
    assert walk.diverged and len(walk.losses) == 2


def test_a_walk_needs_a_step():
    with pytest.raises(ValueError, match=r"1 or more, not 0"):
        descent.run(np.sum, np.sign, descent.Adam(1), np.ones(1), num_steps=0)
