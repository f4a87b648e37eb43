"""Answers to the exercise of notebook 00 that people give: right ones, and wrong ones with words of what they are told."""

import numpy as np


def counted(predictions, labels):
    right = 0
    for place in range(len(labels)):
        if predictions[place] == labels[place]:
            right += 1
    return right / len(labels)


RIGHT = {"00.1": [counted, lambda predictions, labels: np.mean(np.array(predictions) == np.array(labels))]}
WRONG = {
    "00.1": [
        (lambda predictions, labels: len(labels) * counted(predictions, labels), "the number of right answers"),
        (lambda predictions, labels: np.mean(np.not_equal(predictions, labels)), "the share of wrong answers"),
        (lambda predictions, labels: round(100 * counted(predictions, labels), 6), "in per cent"),
        (lambda predictions, labels: np.mean(predictions), "how often the model says 1"),
        (lambda predictions, labels: predictions == labels, "should give"),
    ]
}
