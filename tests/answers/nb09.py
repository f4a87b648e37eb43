"""Answers to the exercises of notebook 09 that people give: right ones, and wrong ones with a part of their message."""

import math

import numpy as np

from course_utils.exercises import nb09


def vectorised_joint(p, labels):
    C = p.shape[1]
    t = np.array([p[labels == j][:, j].mean() for j in range(C)])
    confident = np.where(p >= t, p, -1.0)
    kept = confident.max(axis=1) >= 0
    pairs = labels[kept] * C + confident.argmax(axis=1)[kept]
    return np.bincount(pairs, minlength=C * C).reshape(C, C)


def joint_of_lists(p, labels):
    rows, labels = [list(map(float, row)) for row in p], [int(label) for label in labels]
    C = len(rows[0])
    joint = [[0] * C for _ in range(C)]
    own = [[row[j] for row, label in zip(rows, labels, strict=True) if label == j] for j in range(C)]
    t = [sum(values) / len(values) for values in own]
    for row, label in zip(rows, labels, strict=True):
        best = max((row[j], j) for j in range(C) if row[j] >= t[j]) if any(map(float.__ge__, row, t)) else None
        if best:
            joint[label][best[1]] += 1
    return joint


def normalised_joint(p, labels):
    return vectorised_joint(p, labels) / len(labels)


def split_first(sentences, alter, num_validation):
    validation = sentences[:num_validation]
    train = sentences[num_validation:]
    return train + [alter(sentence) for sentence in train], validation


def copies_dropped(sentences, alter, num_validation):
    made = list(sentences) + [alter(sentence) for sentence in sentences]
    return made[num_validation : len(sentences)] + made[len(sentences) + num_validation :], made[:num_validation]


def interleaved(sentences, alter, num_validation):
    train = [text for sentence in sentences[num_validation:] for text in (sentence, alter(sentence))]
    return train, sentences[:num_validation]


RIGHT = {
    "09.1": [math.sqrt(3) / 16, 0.108],
    "09.2": [vectorised_joint, joint_of_lists],
    "09.3": [split_first, copies_dropped],
}
WRONG = {
    "09.1": [(0.75 * 0.25 / 16, "the variance of the mean"), (0.0625, "one sentence changes"), (0.5, "is not it")],
    "09.2": [
        (nb09.by_argmax, "whether or not it reaches the threshold"),
        (nb09.transposed, "rows and columns are exchanged"),
        (normalised_joint, "not yet"),
        (lambda p, labels: nb09.counted(p, labels, p > 0.5), "not yet"),
    ],
    "09.3": [
        (nb09.copies_on_both_sides, "as it was given"),
        (nb09.altered_validation, "validation part has copies too"),
        (nb09.no_copies, "has lost its copies"),
        (interleaved, "not yet"),
    ],
}
