"""Answers to the exercises of notebook 13 that people give: right ones, and wrong ones with a part of their message."""

import random
from collections import defaultdict

import numpy as np
from sklearn.utils.class_weight import compute_class_weight


def level(string):
    return " ".join(string.casefold().split())


def f1_by_loop(counts):
    scores = []
    for c in range(len(counts)):
        hits = counts[c][c]
        false_alarms = sum(counts[other][c] for other in range(len(counts)) if other != c)
        missed = sum(counts[c][other] for other in range(len(counts)) if other != c)
        scores.append(2 * hits / (2 * hits + false_alarms + missed))
    return sum(scores) / len(scores)


def f1_from_precision_and_recall(counts):
    hits = np.diag(counts)
    precision, recall = hits / np.maximum(counts.sum(0), 1), hits / counts.sum(1)
    return np.mean(2 * precision * recall / np.maximum(precision + recall, 1e-12))


def weights_by_loop(labels, num_classes):
    return [len(labels) / (num_classes * sum(label == c for label in labels)) for c in range(num_classes)]


def parts_by_isin(texts, seed):
    keys = np.array([level(text) for text in texts])
    different = np.random.default_rng(seed).permutation(np.unique(keys))
    train = np.isin(keys, different[: int(0.8 * len(different))])
    return np.flatnonzero(train), np.flatnonzero(~train)


def parts_by_groups(texts, seed):
    rows_of = defaultdict(list)
    for row, text in enumerate(texts):
        rows_of["".join(text.lower().split())].append(row)
    groups = list(rows_of.values())
    random.Random(seed).shuffle(groups)
    train, test = [], []
    for group in groups:
        (train if len(train) < 0.8 * len(texts) else test).extend(group)
    return train, test


def parts_row_by_row(texts, seed):
    rows = np.random.default_rng(seed).permutation(len(texts))
    return np.split(rows, [int(0.8 * len(texts))])


def parts_of_exact_copies(texts, seed):
    different = np.random.default_rng(seed).permutation(sorted(set(texts)))
    chosen = set(different[: int(0.8 * len(different))])
    rows = range(len(texts))
    return [row for row in rows if texts[row] in chosen], [row for row in rows if texts[row] not in chosen]


def parts_without_case(texts, seed):
    return parts_by_isin([text.lower() if "   " not in text else text.replace(" ", "_") for text in texts], seed)


def parts_of_first_rows(texts, seed):
    cut = int(0.8 * len(texts))
    return range(cut), range(cut, len(texts))


def parts_that_drop(texts, seed):
    seen = {level(text): row for row, text in enumerate(texts)}
    rows = np.random.default_rng(seed).permutation(list(seen.values()))
    return rows[: int(0.8 * len(rows))], rows[int(0.8 * len(rows)) :]


RIGHT = {
    "13.1": [
        f1_by_loop,
        f1_from_precision_and_recall,
        lambda counts: np.mean(2 * np.diag(counts) / (counts.sum(0) + counts.sum(1))),
    ],
    "13.2": [600, 600.0, np.int64(600)],
    "13.4": [
        lambda labels, num_classes: len(labels) / (num_classes * np.bincount(labels, minlength=num_classes)),
        lambda labels, num_classes: compute_class_weight("balanced", classes=np.arange(num_classes), y=labels),
        weights_by_loop,
    ],
    "13.5": [parts_by_isin, parts_by_groups],
}
WRONG = {
    "13.1": [
        (lambda counts: np.diag(counts).sum() / counts.sum(), "the accuracy"),
        (lambda counts: np.mean(np.diag(counts) / counts.sum(1)), "the mean recall"),
        (
            lambda counts: np.mean(np.diag(counts) / (counts.sum(0) + counts.sum(1) - np.diag(counts))),
            "the TP count twice",
        ),
        (lambda counts: 2 * np.diag(counts) / (counts.sum(0) + counts.sum(1)), "Take their mean"),
        (lambda counts: np.mean(np.diag(counts) / (counts.sum(0) + counts.sum(1))), "should give"),
    ],
    "13.2": [(300, "8.5 points"), (450, "added to the 150"), (212, "is not it")],
    "13.4": [
        (lambda labels, num_classes: np.bincount(labels) / len(labels), "the shares of the classes"),
        (lambda labels, num_classes: len(labels) / np.bincount(labels), "not yet divided by the number of classes"),
        (lambda labels, num_classes: [1 / (labels == c).sum() for c in range(num_classes)], "one over the count"),
        (lambda labels, num_classes: np.ones(num_classes), "should give"),
    ],
    "13.5": [
        (parts_row_by_row, "as it was given"),
        (parts_of_exact_copies, "only exact copies"),
        (parts_without_case, "copies with other spaces"),
        (parts_that_drop, "copies were dropped"),
        (lambda texts, seed: (list(range(len(texts))), []), "nothing is left to test on"),
        (parts_of_first_rows, "the same text on both sides"),
        (lambda texts, seed: texts[:3], "yours"),
    ],
}
