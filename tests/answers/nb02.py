"""Answers to the exercises of notebook 02 that people give: right ones, and wrong ones with words of what they are told."""

import itertools

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence


def filled_by_numpy(texts):
    ids = np.zeros((len(texts), max(map(len, texts))), dtype=int)
    mask = np.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return ids, mask


def filled_by_torch(texts):
    ids = pad_sequence([torch.tensor(text, dtype=torch.long) for text in texts], batch_first=True)
    lengths = torch.tensor([len(text) for text in texts])
    return ids, torch.arange(ids.shape[1])[None] < lengths[:, None]


def filled_in_place(texts):
    mask = [[1] * len(text) for text in texts]
    longest = max(map(len, texts))
    for text, row in zip(texts, mask, strict=True):
        while len(text) < longest:
            text.append(0)
            row.append(0)
    return texts, mask


def fixed_length(texts):
    return [text + [0] * (8 - len(text)) for text in texts], [[1] * len(text) + [0] * (8 - len(text)) for text in texts]


def by_set(films, test_size):
    held = set(films[-test_size:])
    rows = range(len(films))
    return [row for row in rows if films[row] not in held], [row for row in rows if films[row] in held]


def by_numpy(films, test_size):
    names = np.array(films)
    held = np.isin(names, names[len(names) - test_size :])
    return np.flatnonzero(~held), np.flatnonzero(held)


def neighbours_only(films, test_size):
    groups = [list(group) for _, group in itertools.groupby(range(len(films)), key=lambda row: films[row])]
    test: list = []
    while len(test) < test_size:
        test = groups.pop() + test
    return [row for group in groups for row in group], test


def moves_to_training(films, test_size):
    cut = len(films) - test_size
    back = [row for row in range(cut, len(films)) if films[row] in films[:cut]]
    return [*range(cut), *back], [row for row in range(cut, len(films)) if row not in back]


RIGHT = {
    "02.1": [filled_by_numpy, filled_by_torch, filled_in_place],
    "02.2": [(0.385, 0.273), [10 / 26, 6 / 22], (0.38, 0.27)],
    "02.3": [by_set, by_numpy],
}
WRONG = {
    "02.1": [
        (lambda texts: (filled_by_numpy(texts)[0], 1 - filled_by_numpy(texts)[1]), "the mask is inverted"),
        (
            lambda texts: [[row[::-1] for row in part] for part in filled_by_numpy([text[::-1] for text in texts])],
            "on the left",
        ),
        (lambda texts: (filled_by_numpy(texts)[0], np.ones_like(filled_by_numpy(texts)[0])), "1 everywhere"),
        (lambda texts: filled_by_torch(texts)[0], "only the ids"),
        (lambda texts: ([t[: min(map(len, texts))] for t in texts], [[1] * min(map(len, texts))] * len(texts)), "truncated"),
        (fixed_length, "should give"),
        (lambda texts: torch.tensor(texts), "raises ValueError"),
    ],
    "02.2": [
        ((0.347, 0.264), "means of two shares"),
        ((0.625, 0.375), "by the real tokens"),
        ((0.556, 0.556), "longest text of all"),
        ((0.273, 0.385), "in the wrong order"),
        ((0.615, 0.727), "shares of real tokens"),
        (0.385, "is not it"),
    ],
    "02.3": [
        (lambda films, size: ([*range(len(films) - size)], [*range(len(films) - size, len(films))]), "as it was given"),
        (lambda films, size: ([r for r in range(len(films) - size) if films[r] not in films[-size:]],
                              [*range(len(films) - size, len(films))]), "reviews are lost"),
        (moves_to_training, "went to training"),
        (neighbours_only, "A film may appear again"),
        (lambda films, size: (by_set(films, size)[1], by_set(films, size)[0]), "should give"),
    ],
}  # fmt: skip
