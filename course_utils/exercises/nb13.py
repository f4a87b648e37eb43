"""Exercises of notebook 13, your own data."""

import random
from collections import defaultdict

import numpy as np

from .definition import Case, Exercise, Mistake


def level(string):
    return " ".join(string.casefold().split())


def dealt_row_by_row(texts, seed):
    order = np.random.default_rng(seed).permutation(len(texts))
    cut = int(0.8 * len(texts))
    return order[:cut], order[cut:]


def dealt_by_key(texts, seed, key):
    keys = np.array([key(text) for text in texts])
    different = np.random.default_rng(seed).permutation(np.unique(keys))
    in_train = np.isin(keys, different[: int(0.8 * len(different))])
    return np.flatnonzero(in_train), np.flatnonzero(~in_train)


def without_copies(texts, seed):
    first = np.unique([level(text) for text in texts], return_index=True)[1]
    order = np.random.default_rng(seed).permutation(first)
    cut = int(0.8 * len(order))
    return order[:cut], order[cut:]


def what_the_split_did(result, arguments):
    """Return in words where the rows are, and whether a text is on both sides."""
    if result is None or result is ...:
        return result
    texts = arguments[0]
    train, test = ([int(row) for row in part] for part in result)
    exact = {texts[row] for row in train} & {texts[row] for row in test}
    levelled = {level(texts[row]) for row in train} & {level(texts[row]) for row in test}
    sides = "a text and its copy in other case or spaces on both sides" if levelled else "no text on both sides"
    return [
        "each row in one part" if sorted(train + test) == list(range(len(texts))) else "rows lost or twice",
        "some rows to test on" if test else "nothing to test on",
        "the same text on both sides" if exact else sides,
    ]


GOOD_SPLIT = ["each row in one part", "some rows to test on", "no text on both sides"]
TEN = tuple(f"film {i}" for i in range(10))
SHOUTED = tuple(text.upper() for text in TEN)
SPACED = tuple(text.replace(" ", "   ") for text in TEN)


def f1_by_class(counts):
    return 2 * counts.diagonal() / (counts.sum(axis=0) + counts.sum(axis=1))


# The solutions.
def my_macro_f1(counts):
    f1 = 2 * counts.diagonal() / (counts.sum(axis=0) + counts.sum(axis=1))  # (C,)
    return f1.mean()


def my_class_weights(labels, num_classes):
    sizes = np.bincount(labels, minlength=num_classes)  # (C,)
    return len(labels) / (num_classes * sizes)


def two_parts(texts, seed):
    keys = np.array([level(string) for string in texts])
    different = np.random.default_rng(seed).permutation(np.unique(keys))
    in_train = np.isin(keys, different[: int(0.8 * len(different))])
    return np.flatnonzero(in_train), np.flatnonzero(~in_train)


# Other answers, right and wrong, that test the checks.
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


def weights_of_sklearn(labels, num_classes):
    from sklearn.utils.class_weight import compute_class_weight  # takes a second, and only tests need it

    return compute_class_weight("balanced", classes=np.arange(num_classes), y=labels)


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


EXERCISES = [
    Exercise(
        id="13.1",
        kind="complete",
        title="macro F1 by hand",
        solution=my_macro_f1,
        cases=(
            Case(
                "my_macro_f1(counts=[[0, 20, 0], [0, 50, 0], [0, 30, 0]])",
                (np.array([[0, 20, 0], [0, 50, 0], [0, 30, 0]]),),
                2 / 9,
            ),
            Case("my_macro_f1(counts=[[5, 0], [0, 5]])", (np.array([[5, 0], [0, 5]]),), 1.0),
            Case("my_macro_f1(counts=[[1, 1], [0, 2]])", (np.array([[1, 1], [0, 2]]),), 11 / 15),
            Case("my_macro_f1(counts=[[3, 1], [2, 4]])", (np.array([[3, 1], [2, 4]]),), 23 / 33),
            Case(
                "my_macro_f1(counts=[[2, 0, 0], [0, 1, 1], [0, 1, 1]])",
                (np.array([[2, 0, 0], [0, 1, 1], [0, 1, 1]]),),
                2 / 3,
            ),
        ),
        mistakes=(
            Mistake(
                lambda counts: counts.trace() / counts.sum(),
                "the accuracy, in which a small class hardly counts. In the first case, always predicting the second class reaches 0.5.",
            ),
            Mistake(
                lambda counts: (counts.diagonal() / counts.sum(axis=1)).mean(),
                "the mean recall: TP / (TP + FN). A class that is predicted too often must cost something too: FP belongs in "
                "the denominator.",
            ),
            Mistake(
                lambda counts: (counts.diagonal() / np.maximum(counts.sum(axis=0), 1)).mean(),
                "the mean precision: TP / (TP + FP). Missed texts must cost something too: FN belongs in the denominator.",
            ),
            Mistake(
                lambda counts: (f1_by_class(counts) * counts.sum(axis=1)).sum() / counts.sum(),
                "F1 weighted by the size of the classes. In macro F1 each class counts the same.",
            ),
            Mistake(
                lambda counts: (counts.diagonal() / (counts.sum(axis=0) + counts.sum(axis=1) - counts.diagonal())).mean(),
                "TP / (TP + FP + FN). In F1 the TP count twice, in the numerator and in the denominator.",
            ),
            Mistake(lambda counts: f1_by_class(counts)[-1], "F1 of the last class only. Macro F1 is the mean over all."),
            Mistake(lambda counts: f1_by_class(counts), "F1 of each class. Take their mean."),
        ),
        hints=(
            "for each class count TP, FP and FN. The row is the true class, the column the predicted one.",
            "TP is on the diagonal; the row sums to TP + FN, the column to TP + FP.",
            "2 TP + FP + FN is row sum plus column sum: (2 * counts.diagonal() / (counts.sum(0) + counts.sum(1))).mean().",
        ),
        after="sklearn.metrics.f1_score does this from labels and predictions.",
        right=(
            f1_by_loop,
            f1_from_precision_and_recall,
            lambda counts: np.mean(2 * np.diag(counts) / (counts.sum(0) + counts.sum(1))),
        ),
        wrong=(
            (lambda counts: np.diag(counts).sum() / counts.sum(), "the accuracy"),
            (lambda counts: np.mean(np.diag(counts) / counts.sum(1)), "the mean recall"),
            (
                lambda counts: np.mean(np.diag(counts) / (counts.sum(0) + counts.sum(1) - np.diag(counts))),
                "the TP count twice",
            ),
            (lambda counts: 2 * np.diag(counts) / (counts.sum(0) + counts.sum(1)), "Take their mean"),
            (lambda counts: np.mean(np.diag(counts) / (counts.sum(0) + counts.sum(1))), "should give"),
        ),
    ),
    Exercise(
        id="13.2",
        kind="predict",
        title="half the width",
        solution="my_size = 600",
        expected=600,
        tolerance=0.01,
        mistakes=(
            Mistake(300, "Twice the texts make an interval 1 / root of 2 as wide: 8.5 points."),
            Mistake(450, "That many must be added to the 150. The question is the size of the whole test part."),
            Mistake(75, "With fewer texts the interval gets wider."),
            Mistake(2400, "Sixteen times the texts give a quarter of the width."),
        ),
        hints=(
            "the width falls with the square root of the number of texts.",
            "for half the width, the square root must be twice as large.",
            "four times the texts.",
        ),
        after="The rule holds for independent texts; copies and texts about one film count for less.",
        right=(
            600,
            600.0,
            np.int64(600),
        ),
        wrong=(
            (300, "8.5 points"),
            (450, "added to the 150"),
            (212, "is not correct"),
        ),
    ),
    Exercise(
        id="13.3",
        kind="choice",
        title="two models on the same texts",
        solution='my_report = "c"',
        question="Model A has 0.78 (0.71 to 0.85), model B 0.83 (0.77 to 0.89). B minus A, on the same texts, is 0.05 (0.01 to "
        "0.09). What may you report?",
        expected="c",
        options={
            "a": (
                "nothing: the intervals of the two overlap",
                "They contain the noise of the texts, which both models share. It cancels in the difference on the same texts.",
            ),
            "b": (
                "B is five points better",
                "Five points is the estimate. One point or nine would agree with the test as well.",
            ),
            "c": (
                "B is better on such texts, by one to nine points",
                "The interval of the gain excludes zero, and it shows how precise the estimate is.",
            ),
            "d": (
                "B is better than A on 95 % of the texts",
                "95 % is how often such an interval contains the true value. It says nothing about single texts.",
            ),
        },
        hints=("which of the three intervals answers your question?",),
    ),
    Exercise(
        id="13.4",
        kind="complete",
        title="weights for imbalanced classes",
        solution=my_class_weights,
        cases=(
            Case("my_class_weights(labels=[0, 0, 0, 1], num_classes=2)", (np.array([0, 0, 0, 1]), 2), [2 / 3, 2.0]),
            Case("my_class_weights(labels=[0, 1], num_classes=2)", (np.array([0, 1]), 2), [1.0, 1.0]),
            Case("my_class_weights(labels=[0, 0, 1, 2], num_classes=3)", (np.array([0, 0, 1, 2]), 3), [2 / 3, 4 / 3, 4 / 3]),
            Case("my_class_weights(labels=[1, 1, 1, 1, 0], num_classes=2)", (np.array([1, 1, 1, 1, 0]), 2), [2.5, 0.625]),
        ),
        mistakes=(
            Mistake(
                lambda labels, num_classes: np.bincount(labels, minlength=num_classes) / len(labels),
                "the shares of the classes, so the large class gets the larger weight. It should be the other way round.",
            ),
            Mistake(
                lambda labels, num_classes: len(labels) / np.bincount(labels, minlength=num_classes),
                "not yet divided by the number of classes. Then weights of equally large classes would be C, not 1.",
            ),
            Mistake(
                lambda labels, num_classes: 1 / np.bincount(labels, minlength=num_classes),
                "one over the count. Their ratio is correct, but the mean weight of a text should be 1, otherwise you change the "
                "learning rate too: multiply by n / C.",
            ),
            Mistake(
                lambda labels, num_classes: num_classes * np.bincount(labels, minlength=num_classes) / len(labels),
                "inverted: the rare class gets the small weight.",
            ),
            Mistake(
                lambda labels, num_classes: (len(labels) / (num_classes * np.bincount(labels, minlength=num_classes)))[
                    labels
                ],
                "a weight for each text. Return one for each class, in the order of the classes.",
            ),
        ),
        hints=(
            "count the texts of each class first; np.bincount does it.",
            "the larger the count, the smaller the weight; equal classes get 1.",
            "len(labels) / (num_classes * np.bincount(labels, minlength=num_classes)).",
        ),
        after="torch.nn.functional.cross_entropy takes them as weight. Whether they help is a question for validation macro F1.",
        right=(
            lambda labels, num_classes: len(labels) / (num_classes * np.bincount(labels, minlength=num_classes)),
            weights_of_sklearn,
            weights_by_loop,
        ),
        wrong=(
            (lambda labels, num_classes: np.bincount(labels) / len(labels), "the shares of the classes"),
            (lambda labels, num_classes: len(labels) / np.bincount(labels), "not yet divided by the number of classes"),
            (lambda labels, num_classes: [1 / (labels == c).sum() for c in range(num_classes)], "one over the count"),
            (lambda labels, num_classes: np.ones(num_classes), "should give"),
        ),
    ),
    Exercise(
        id="13.5",
        kind="debug",
        title="copies on both sides",
        solution=two_parts,
        given=dealt_row_by_row,
        observe=what_the_split_did,
        cases=(
            Case("two_parts(ten sentences, each twice, seed=0)", (TEN * 2, 0), GOOD_SPLIT),
            Case("two_parts(these, and each of them in capitals, seed=1)", ((TEN + SHOUTED) * 2, 1), GOOD_SPLIT),
            Case("two_parts(these, and each of them with wider spaces, seed=2)", ((TEN + SPACED) * 2, 2), GOOD_SPLIT),
            Case("two_parts(ten different sentences, seed=3)", (TEN, 3), GOOD_SPLIT),
        ),
        mistakes=(
            Mistake(
                without_copies,
                "copies were dropped. That is a valid split too, but here every row must be in one of the two parts.",
            ),
            Mistake(
                lambda texts, seed: dealt_by_key(texts, seed, str.casefold),
                "copies with other spaces still count as different. `level` of section 2 normalises case and spaces.",
            ),
            Mistake(
                lambda texts, seed: dealt_by_key(texts, seed, str),
                "only exact copies are kept together. Normalise the texts first with `level`: case and spaces do not matter.",
            ),
            Mistake(
                lambda texts, seed: (np.arange(len(texts)), np.array([], dtype=int)),
                "nothing is left to test on.",
            ),
            Mistake(
                lambda texts, seed: (np.arange(len(texts)), np.arange(len(texts))),
                "the same rows are in both parts: you would test a model on texts that it has memorised.",
            ),
        ),
        hints=(
            "shuffle something other than the rows.",
            "shuffle the different texts, after `level`; split that list; then find for each row in which part its text is.",
            "keys = np.array([level(text) for text in texts]); shuffle np.unique(keys); np.isin(keys, chosen keys) tells you which "
            "rows go where.",
        ),
        after="With a group_column instead of the text, the same lines keep all rows of a customer together.",
        right=(
            parts_by_isin,
            parts_by_groups,
        ),
        wrong=(
            (parts_row_by_row, "as it was given"),
            (parts_of_exact_copies, "only exact copies"),
            (parts_without_case, "copies with other spaces"),
            (parts_that_drop, "copies were dropped"),
            (lambda texts, seed: (list(range(len(texts))), []), "nothing is left to test on"),
            (parts_of_first_rows, "the same text on both sides"),
            (lambda texts, seed: texts[:3], "yours"),
        ),
    ),
    Exercise(
        id="13.q1",
        kind="choice",
        title="a test part that was used",
        question="You tried six learning rates and kept the one with the best test accuracy. What is that accuracy now?",
        expected="b",
        options={
            "a": (
                "an honest estimate, since the model never trained on the test part",
                "It learned nothing from these texts, but you did: you chose by their scores.",
            ),
            "b": (
                "too high on average: the test part has become a validation part",
                "The best of six scores is partly luck.",
            ),
            "c": (
                "too low, because six runs share one test part",
                "Several runs on one test part do not lower the score. Choosing the best of them raises it.",
            ),
        },
    ),
    Exercise(
        id="13.q2",
        kind="choice",
        title="a good-looking number",
        question="Half of the rows are praise, the rest are two other classes. A model has 0.52 accuracy and 0.27 macro F1. What do "
        "you think of it?",
        expected="c",
        options={
            "a": (
                "good: 0.52 is far above one third",
                "One third is chance level. Always predicting praise gets 0.50 here.",
            ),
            "b": (
                "the two numbers contradict each other",
                "They do not: in one each text counts the same, in the other each class.",
            ),
            "c": ("it is hardly better than always predicting praise", "That alone gives 0.50 and a macro F1 of 0.22."),
        },
    ),
    Exercise(
        id="13.q3",
        kind="choice",
        title="two labels for one sentence",
        question="The same sentence is in the table as praise and as complaint. What should you do with it before training?",
        expected="a",
        options={
            "a": ("set both rows aside and report them, so that a person can decide", "The table does not tell you."),
            "b": ("keep the first row", "Its position in the file does not tell you which label is correct."),
            "c": (
                "keep both: the model will average them",
                "The model cannot learn from it, and in a test part one of them is always wrong.",
            ),
        },
    ),
]
