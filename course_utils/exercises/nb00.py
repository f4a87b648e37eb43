"""The exercise of notebook 00, which shows how exercises work."""

import numpy as np

from .definition import Case, Exercise, Mistake


def right(predictions, labels):
    return sum(p == y for p, y in zip(predictions, labels, strict=True))


# The solutions.
def accuracy(predictions, labels):
    return sum(p == y for p, y in zip(predictions, labels, strict=True)) / len(labels)


# Other answers, right and wrong, that test the checks.
def counted(predictions, labels):
    right = 0
    for place in range(len(labels)):
        if predictions[place] == labels[place]:
            right += 1
    return right / len(labels)


EXERCISES = [
    Exercise(
        id="00.1",
        kind="complete",
        title="accuracy",
        solution=accuracy,
        cases=(
            Case("accuracy([0, 0, 1, 0], [0, 1, 1, 0])", ([0, 0, 1, 0], [0, 1, 1, 0]), 0.75),
            Case("accuracy([1, 1], [1, 1])", ([1, 1], [1, 1]), 1.0),
            Case("accuracy([1, 1, 1], [0, 0, 1])", ([1, 1, 1], [0, 0, 1]), 1 / 3),
        ),
        mistakes=(
            Mistake(right, "this is the number of right answers. Accuracy is their share, between 0 and 1."),
            Mistake(
                lambda predictions, labels: 1 - right(predictions, labels) / len(labels),
                "this is the share of wrong answers.",
            ),
            Mistake(
                lambda predictions, labels: 100 * right(predictions, labels) / len(labels),
                "this is in per cent. The course writes accuracy between 0 and 1: 0.75.",
            ),
            Mistake(
                lambda predictions, labels: sum(predictions) / len(predictions),
                "this is how often the model says 1. Compare each prediction with its label.",
            ),
        ),
        hints=(
            "count the positions where prediction and label are equal.",
            "zip(predictions, labels) walks through both lists side by side.",
            "sum(p == y for p, y in zip(predictions, labels)) / len(labels).",
        ),
        after="Most test scores in this course are this number.",
        right=(
            counted,
            lambda predictions, labels: np.mean(np.array(predictions) == np.array(labels)),
        ),
        wrong=(
            (lambda predictions, labels: len(labels) * counted(predictions, labels), "the number of right answers"),
            (lambda predictions, labels: np.mean(np.not_equal(predictions, labels)), "the share of wrong answers"),
            (lambda predictions, labels: round(100 * counted(predictions, labels), 6), "in per cent"),
            (lambda predictions, labels: np.mean(predictions), "how often the model says 1"),
            (lambda predictions, labels: predictions == labels, "should give"),
        ),
    ),
]
