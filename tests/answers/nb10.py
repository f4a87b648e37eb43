"""Answers to the exercises of notebook 10 that people give: right ones, and wrong ones with a part of their message."""

import numpy as np
import torch


def kept_by_loop(losses, patience):
    best, where, stale = float("inf"), 0, 0
    for check, loss in enumerate(losses, start=1):
        if loss < best:
            best, where, stale = loss, check, 0
        else:
            stale += 1
        if stale > patience:
            break
    return where


def kept_by_minima(losses, patience):
    records = [i for i in range(len(losses)) if i == 0 or losses[i] < min(losses[:i])]
    for one, following in zip(records, [*records[1:], None], strict=True):
        if following is None or following - one > patience + 1:
            return one + 1
    return None


def kept_at_the_end(losses, patience):
    stale, best = 0, losses[0]
    for check, loss in enumerate(losses[1:], start=2):
        stale, best = (0, loss) if loss < best else (stale + 1, best)
        if stale > patience:
            return check
    return len(losses)


def poured_in_a_loop(weights):
    soup = {key: value.clone() for key, value in weights[0].items()}
    for other in weights[1:]:
        for key in soup:
            soup[key] += other[key]
    return {key: value / len(weights) for key, value in soup.items()}


RIGHT = {
    "10.1": [kept_by_loop, kept_by_minima],
    "10.2": [(0.6, 1), [0.6, 1], np.array([0.6, 1.0])],
    "10.3": [
        lambda weights: {key: torch.stack([one[key] for one in weights]).mean(dim=0) for key in weights[0]},
        lambda weights: {key: sum(one[key] for one in weights) / len(weights) for key in weights[0]},
        poured_in_a_loop,
    ],
}
WRONG = {
    "10.1": [
        (lambda losses, patience: int(np.argmin(losses)) + 1, "never sees the later losses"),
        (lambda losses, patience: kept_by_loop(losses, patience) - 1, "counted from 0"),
        (kept_at_the_end, "the check at which it stops"),
        (lambda losses, patience: kept_by_loop(losses, patience - 1), "too impatient by one"),
        (lambda losses, patience: min(losses), "should give"),
    ],
    "10.2": [((0.45, 0), "the median"), ((0.33333, 0), "share of votes"), ((0.6, 0), "which class"), (0.6, "is not it")],
    "10.3": [
        (lambda weights: {key: sum(one[key] for one in weights) for key in weights[0]}, "A soup is their mean"),
        (lambda weights: {key: (weights[0][key] + weights[-1][key]) / 2 for key in weights[0]}, "should give"),
        (
            lambda weights: {key: (weights[0][key] + weights[1 % len(weights)][key]) / 2 for key in weights[0]},
            "two members only",
        ),
        (lambda weights: weights[0], "should give"),
    ],
}
