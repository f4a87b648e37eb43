"""Answers to the exercises of notebook 07 that people give: right ones, and wrong ones with a part of their message."""

import math

import numpy as np


def report_by_loop(validation, test):
    best = 0
    for trial in range(len(validation)):
        if validation[trial] > validation[best]:
            best = trial
    return best, test[best]


RIGHT = {
    "07.1": [
        lambda u, low, high: 10 ** (np.log10(low) + u * (np.log10(high) - np.log10(low))),
        lambda u, low, high: low * (high / low) ** u,
        lambda u, low, high: math.exp((1 - u) * math.log(low) + u * math.log(high)),
    ],
    "07.2": [1e-4, 0.0016 * 0.5**4, np.float64(0.0001)],
    "07.3": [6536, 2 * 384 * 8 + 8 + 384, 6536.0],
    "07.4": [
        lambda validation, test: (int(np.argmax(validation)), test[int(np.argmax(validation))]),
        lambda validation, test: max(((v, (i, test[i])) for i, v in enumerate(validation)))[1],
        lambda validation, test: [validation.index(max(validation)), test[validation.index(max(validation))]],
        report_by_loop,
    ],
}
WRONG = {
    "07.1": [
        (lambda u, low, high: (1 - u) * low + u * high, "a linear scale"),
        (lambda u, low, high: np.interp(u, [0, 1], np.log10([low, high])), "the logarithm of the learning rate"),
        (lambda u, low, high: low * 10**u, "one power of ten"),
        (lambda u, low, high: 10 ** np.interp(u, [0, 1], np.log10([high, low])), "swapped"),
        (lambda u, low, high: np.random.default_rng(0).uniform(low, high), "should give"),
    ],
    "07.2": [(0.0016, "the head's own"), (0.0002, "layer 1"), (0.0008, "the top layer"), (0.4, "is not it")],
    "07.3": [
        (2 * 384 * 8, "Each has a bias"),
        (384 * 8, "one matrix"),
        (384 * 384, "a whole D x D"),
        (2 * 384 * 8 + 16, "b_up"),
    ],
    "07.4": [
        (lambda validation, test: (test.index(max(test)), max(test)), "as it was given"),
        (lambda validation, test: max((v, i) for i, v in enumerate(validation))[::-1], "too optimistic"),
        (lambda validation, test: (int(np.argmax(validation)), max(test)), "whichever trial"),
        (lambda validation, test: test[int(np.argmax(validation))], "the accuracy alone"),
        (lambda validation, test: (0, test[0]), "should give"),
    ],
}
