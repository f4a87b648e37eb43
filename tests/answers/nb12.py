"""Answers to the exercises of notebook 12 that people give: right ones, and wrong ones with a part of their message."""

import itertools

import numpy as np


def labels_by_loop(words, tags):
    labels, before = [], None
    for word in words:
        if word is None:
            labels.append(-100)
        elif word == before and tags[word] == 1:
            labels.append(2)
        else:
            labels.append(tags[word])
        before = word
    return labels


def labels_by_set(words, tags):
    begun = set()
    labels = []
    for word in words:
        if word is None:
            labels.append(-100)
            continue
        labels.append(2 if word in begun and tags[word] else tags[word])
        begun.add(word)
    return np.array(labels)


def labels_zero_everywhere_else(words, tags):
    labels = labels_by_loop(words, tags)
    return [0 if label == -100 else label for label in labels]


def span_by_loops(start, end):
    best, span = start[0] + end[0], (0, 0)
    for a in range(1, len(start)):
        for b in range(a, len(end)):
            if start[a] + end[b] > best:
                best, span = start[a] + end[b], (a, b)
    return span


def span_by_matrix(start, end):
    sums = np.add.outer(np.array(start, float), np.array(end, float))
    allowed = np.triu(np.ones(sums.shape, dtype=bool))
    allowed[0, 1:] = False
    return np.unravel_index(np.where(allowed, sums, -np.inf).argmax(), sums.shape)


def span_by_product(start, end):
    pairs = itertools.combinations_with_replacement(range(1, len(start)), 2)
    return max([(0, 0), *pairs], key=lambda pair: start[pair[0]] + end[pair[1]])


def names_mended(tags):
    names, start = [], None
    for k, tag in enumerate([*tags, 0]):
        if tag != 2 and start is not None:
            names.append((start, k))
            start = None
        if tag == 1 and start is None:
            start = k
    return names


def names_by_beginnings(tags):
    begins = [k for k, tag in enumerate(tags) if tag == 1]
    return [[k, k + 1 + sum(1 for _ in itertools.takewhile(lambda tag: tag == 2, tags[k + 1 :]))] for k in begins]


RIGHT = {
    "12.1": [labels_by_loop, labels_by_set],
    "12.3": [span_by_loops, span_by_matrix, span_by_product],
    "12.2": [names_mended, names_by_beginnings],
}
WRONG = {
    "12.1": [
        (lambda words, tags: [-100 if w is None else tags[w] for w in words], "begins three names"),
        (lambda words, tags: ([-100, *tags] + [-100] * len(words))[: len(words)], "shifted after the first word"),
        (labels_zero_everywhere_else, "Give them -100"),
        (lambda words, tags: tags, "should give"),
    ],
    "12.3": [
        (lambda start, end: (np.argmax(start), np.argmax(end)), "chosen independently"),
        (lambda start, end: (1 + np.argmax(start[1:]), 1 + np.argmax(end[1:])), "the end can be before the start"),
        (lambda start, end: (0, 0), "should give [1, 2]"),
        (lambda start, end: start + end, "should give"),
    ],
    "12.2": [
        (lambda tags: [(k, k + 1) for k in range(len(tags)) if tags[k] > 0], "a name of its own"),
        (lambda tags: [(k, k + 2) for k in range(len(tags)) if tags[k] == 1], "should give"),
        (lambda tags: [], "should give"),
        (lambda tags: names_mended(tags)[:1], "should give"),
    ],
}
