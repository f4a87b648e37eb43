"""Exercises of notebook 02, text to tensors."""

import itertools

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from .definition import Case, Exercise, Mistake


def padded(texts, *, mark=1, fill=0, left=False, length=None):
    longest = max(len(ids) for ids in texts) if length is None else length
    rows, masks = [], []
    for ids in texts:
        ids = list(ids)[:longest]
        gap = longest - len(ids)
        rows.append([fill] * gap + ids if left else ids + [fill] * gap)
        masks.append([1 - mark] * gap + [mark] * len(ids) if left else [mark] * len(ids) + [1 - mark] * gap)
    return rows, masks


def cuts_through_films(films, test_size):
    every_row = list(range(len(films)))
    return every_row[:-test_size], every_row[-test_size:]


def drops_the_film(films, test_size):
    train, test = cuts_through_films(films, test_size)
    return [row for row in train if films[row] not in {films[row] for row in test}], test


def moves_the_film_to_training(films, test_size):
    train, test = cuts_through_films(films, test_size)
    known = {films[row] for row in train}
    return train + [row for row in test if films[row] in known], [row for row in test if films[row] not in known]


def looks_at_neighbours_only(films, test_size):
    cut = len(films) - test_size
    while cut > 0 and films[cut - 1] == films[cut]:
        cut -= 1
    rows = list(range(len(films)))
    return rows[:cut], rows[cut:]


# The solutions.
def my_batch(texts):
    longest = max(len(text) for text in texts)
    padded_ids = [[*text, *[0] * (longest - len(text))] for text in texts]
    masks = [[1] * len(text) + [0] * (longest - len(text)) for text in texts]
    return padded_ids, masks


def split_by_film(films, test_size):
    held_out = set(films[-test_size:])
    every_row = range(len(films))
    train_rows = [row for row in every_row if films[row] not in held_out]
    return train_rows, [row for row in every_row if films[row] in held_out]


# Other answers, right and wrong, that test the checks.
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


EXERCISES = [
    Exercise(
        id="02.1",
        kind="complete",
        title="a padded batch with its mask",
        solution=my_batch,
        cases=(
            Case("my_batch([[5, 6, 7], [8]])", ([[5, 6, 7], [8]],), [[[5, 6, 7], [8, 0, 0]], [[1, 1, 1], [1, 0, 0]]]),
            Case("my_batch([[4]])", ([[4]],), [[[4]], [[1]]]),
            Case(
                "my_batch([[9], [3, 2], [6, 6]])",
                ([[9], [3, 2], [6, 6]],),
                [[[9, 0], [3, 2], [6, 6]], [[1, 0], [1, 1], [1, 1]]],
            ),
            Case("my_batch([[], [7, 7]])", ([[], [7, 7]],), [[[0, 0], [7, 7]], [[0, 0], [1, 1]]]),
        ),
        mistakes=(
            Mistake(
                lambda texts: padded(texts, mark=0),
                "the mask is inverted. Here, as in Hugging Face, 1 marks a real token. (PyTorch's own attention layers "
                "want the opposite: check before you pass a mask on.)",
            ),
            Mistake(
                lambda texts: padded(texts, left=True),
                "the padding is on the left. This course pads on the right; models that generate text often need it on the left.",
            ),
            Mistake(
                lambda texts: padded(texts, length=min(len(ids) for ids in texts)),
                "every text was truncated to the shortest. Nothing needs to be lost: pad to the longest.",
            ),
            Mistake(
                lambda texts: padded(texts)[0],
                "only the ids are returned. Without the mask nobody can distinguish padding from text: return ids, mask.",
            ),
            Mistake(
                lambda texts: (padded(texts)[0], [[1] * max(map(len, texts)) for _ in texts]),
                "the mask says 1 everywhere, so the padding counts as text.",
            ),
            Mistake(
                lambda texts: padded(texts, fill=1),
                "padded with id 1, which means an unknown word. Padding has id 0.",
            ),
        ),
        hints=(
            "how long is the longest text of the batch? Each row gets that many positions.",
            "a text of k ids in a batch of length T needs T - k zeros, in the ids and in the mask.",
            "ids + [0] * (T - len(ids)) for the ids, [1] * len(ids) + [0] * (T - len(ids)) for the mask.",
        ),
        after="A mask made from the lengths is right even where id 0 is a word.",
        right=(
            filled_by_numpy,
            filled_by_torch,
            filled_in_place,
        ),
        wrong=(
            (lambda texts: (filled_by_numpy(texts)[0], 1 - filled_by_numpy(texts)[1]), "the mask is inverted"),
            (
                lambda texts: [[row[::-1] for row in part] for part in filled_by_numpy([text[::-1] for text in texts])],
                "on the left",
            ),
            (lambda texts: (filled_by_numpy(texts)[0], np.ones_like(filled_by_numpy(texts)[0])), "1 everywhere"),
            (lambda texts: filled_by_torch(texts)[0], "only the ids"),
            (
                lambda texts: ([t[: min(map(len, texts))] for t in texts], [[1] * min(map(len, texts))] * len(texts)),
                "truncated",
            ),
            (fixed_length, "should give"),
            (lambda texts: torch.tensor(texts), "raises ValueError"),
        ),
    ),
    Exercise(
        id="02.2",
        kind="predict",
        title="the padding of two batches",
        solution="padding_shares = ((8 + 2) / (18 + 8), (1 + 5) / (4 + 18))",
        expected=(10 / 26, 6 / 22),
        tolerance=0.02,
        mistakes=(
            Mistake(
                [(8 / 18 + 2 / 8) / 2, (1 / 4 + 5 / 18) / 2],
                "These are means of two shares. A large batch has more positions and must count for more: "
                "add up the padding, add up the positions, then divide.",
            ),
            Mistake(
                [10 / 16, 6 / 16], "This divides the padding by the real tokens. Divide by all positions, padding included."
            ),
            Mistake(
                [20 / 36, 20 / 36],
                "This pads both batches to the longest text of all. Each batch is padded to its own longest text.",
            ),
            Mistake(
                [6 / 22, 10 / 26],
                "The two numbers are right, but in the wrong order: first in the given order, then sorted.",
            ),
            Mistake([16 / 26, 16 / 22], "These are the shares of real tokens. The padding is the rest."),
        ),
        hints=(
            "draw each batch as a rectangle: two rows, as wide as its longer text.",
            "in the given order: 2 x 9 and 2 x 4 positions for 16 tokens. Sorted: 2 x 2 and 2 x 9.",
            "26 positions for 16 tokens, and 22 positions for 16 tokens.",
        ),
        after="Four texts gain little; with thousands to choose from, neighbours in a sorted list are nearly equal in length.",
        right=(
            (0.385, 0.273),
            [10 / 26, 6 / 22],
            (0.38, 0.27),
        ),
        wrong=(
            ((0.347, 0.264), "means of two shares"),
            ((0.625, 0.375), "by the real tokens"),
            ((0.556, 0.556), "longest text of all"),
            ((0.273, 0.385), "in the wrong order"),
            ((0.615, 0.727), "shares of real tokens"),
            (0.385, "is not correct"),
        ),
    ),
    Exercise(
        id="02.3",
        kind="debug",
        title="a split that leaks films",
        solution=split_by_film,
        given=cuts_through_films,
        cases=(
            Case("split_by_film(['A', 'A', 'B', 'B', 'C'], test_size=1)", (list("AABBC"), 1), [[0, 1, 2, 3], [4]]),
            Case("split_by_film(['A', 'A', 'B', 'B', 'C'], test_size=2)", (list("AABBC"), 2), [[0, 1], [2, 3, 4]]),
            Case("split_by_film(['A', 'B', 'A', 'C'], test_size=2)", (list("ABAC"), 2), [[1], [0, 2, 3]]),
            Case("split_by_film(['A', 'B', 'B', 'B'], test_size=1)", (list("ABBB"), 1), [[0], [1, 2, 3]]),
        ),
        mistakes=(
            Mistake(
                drops_the_film,
                "honest, but reviews are lost: those removed from the training set belong in the test set.",
            ),
            Mistake(
                moves_the_film_to_training,
                "the film that is in both sets went to training, and the test set became smaller than requested.",
            ),
            Mistake(
                looks_at_neighbours_only,
                "only the rows beside the border are checked. A film may appear again elsewhere in the file.",
            ),
        ),
        hints=(
            "which films are on both sides of the border?",
            "the last test_size rows name the films of the test set; every row of these films belongs to it.",
            "held = set(films[-test_size:]); test the rows whose film is in held, train on the others.",
        ),
        after="Replace film by patient, customer or author, and you have the split that most data need (a grouped split).",
        right=(
            by_set,
            by_numpy,
        ),
        wrong=(
            (lambda films, size: ([*range(len(films) - size)], [*range(len(films) - size, len(films))]), "as it was given"),
            (
                lambda films, size: (
                    [r for r in range(len(films) - size) if films[r] not in films[-size:]],
                    [*range(len(films) - size, len(films))],
                ),
                "reviews are lost",
            ),
            (moves_to_training, "went to training"),
            (neighbours_only, "A film may appear again"),
            (lambda films, size: (by_set(films, size)[1], by_set(films, size)[0]), "should give"),
        ),
    ),
    Exercise(
        id="02.4",
        kind="choice",
        title="what the names-only model knows",
        solution='what_names_tell = "b"',
        question="The model sees nothing but rare names and still reaches about 0.66 under the random split. What has it learned?",
        expected="b",
        options={
            "a": (
                "which names people mention when they are angry",
                "Then it would be better than chance under the block split too, where the films are new. There it is at chance level.",
            ),
            "b": (
                "which films its training reviews liked, and it meets the same films again in the test set",
                "The names identify the film, and reviews of the same film often share a verdict. For new films this knowledge is worth nothing.",
            ),
            "c": (
                "the labels of the test reviews, which were in the training set",
                "No review is in both sets. It is enough that another review of the same film is.",
            ),
            "d": (
                "nothing: 0.66 is what random guessing gives with so few names",
                "Half of the reviews are positive, so random guessing gives 0.5, and the interval around 0.66 does not include it.",
            ),
        },
        hints=("compare the two scores: what is in the random split that the block split lacks?",),
    ),
    Exercise(
        id="02.q1",
        kind="choice",
        title="unknown words",
        question="A word occurs only in the test set. What does a vocabulary made from the training set do with it?",
        expected="a",
        options={
            "a": (
                "it becomes <unk>, like any new word",
                "A model in use will meet new words too, so the test should contain them.",
            ),
            "b": (
                "it is left out",
                "Then the text would get shorter and its positions would shift. An unknown word keeps its position.",
            ),
            "c": (
                "it gets a new id, at the end",
                "The model has no vector for that id, and the test would have changed the model.",
            ),
        },
    ),
    Exercise(
        id="02.q2",
        kind="choice",
        title="padding that does harm",
        question="Which test shows that padding does not affect a model's answers?",
        expected="c",
        options={
            "a": (
                "its accuracy stays above the baseline",
                "The bug of section 8 left the accuracy alone and still changed people's answers.",
            ),
            "b": ("training without an error message", "A forgotten mask raises no error, so it often stays unnoticed."),
            "c": (
                "a text gets the same answer alone and in a batch",
                "This takes one line of code, and every model of this course is tested that way.",
            ),
        },
    ),
    Exercise(
        id="02.q3",
        kind="choice",
        title="a score without a baseline",
        question="A network reaches 0.86 on IMDB reviews. What do you ask first?",
        expected="b",
        options={
            "a": ("how many parameters it has", "That says what it costs, not whether it is any good."),
            "b": (
                "what a linear model reaches on the same split",
                "TF-IDF with logistic regression may well be ahead of it, in seconds.",
            ),
            "c": ("how many epochs it was trained", "Worth knowing later. First you need something to compare 0.86 with."),
        },
    ),
]
