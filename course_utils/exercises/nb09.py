"""Exercises of notebook 09, little data."""

import math

import numpy as np

from .definition import Case, Exercise, Mistake


def thresholds(p, labels):
    return np.array([p[labels == j, j].mean() for j in range(p.shape[1])])


def counted(p, labels, reached):
    """Return the joint counts for bool (n, C): which thresholds each sentence reaches."""
    joint = np.zeros((p.shape[1], p.shape[1]), dtype=int)
    best = np.where(reached, p, -1.0).argmax(axis=1)
    for label, j, some in zip(labels, best, reached.any(axis=1), strict=True):
        joint[label, j] += some
    return joint


def by_argmax(p, labels):
    return counted(p, labels, np.ones_like(p, dtype=bool))


def transposed(p, labels):
    return counted(p, labels, p >= thresholds(p, labels)).T


def mean_of_all(p, labels):
    return counted(p, labels, p >= p.mean(axis=0))


def first_reached(p, labels):
    reached = p >= thresholds(p, labels)
    return counted(reached.astype(float), labels, reached)


def copies_on_both_sides(sentences, alter, num_validation):
    made = [*sentences, *(alter(sentence) for sentence in sentences)]
    return made[num_validation:], made[:num_validation]


def altered_validation(sentences, alter, num_validation):
    train, validation = sentences[num_validation:], sentences[:num_validation]
    return [*train, *map(alter, train)], [*validation, *map(alter, validation)]


def no_copies(sentences, alter, num_validation):
    return sentences[num_validation:], sentences[:num_validation]


def copies_only(sentences, alter, num_validation):
    return [alter(sentence) for sentence in sentences[num_validation:]], sentences[:num_validation]


def swapped(sentences, alter, num_validation):
    train = sentences[num_validation:]
    return sentences[:num_validation], [*train, *map(alter, train)]


P_SMALL = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.45, 0.55]])
P_NONE = np.array([[0.45, 0.55], [0.2, 0.8], [0.3, 0.7], [0.65, 0.35]])
P_BOTH = np.array([[0.55, 0.45], [0.4, 0.6], [0.6, 0.4], [0.48, 0.52]])
P_THREE = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.45, 0.5, 0.05], [0.1, 0.2, 0.7]])


# The solutions.
def joint_counts(p, labels):
    C = p.shape[1]
    t = np.array([p[labels == j, j].mean() for j in range(C)])
    counted = np.zeros((C, C), dtype=int)
    for row, label in zip(p, labels, strict=True):
        reached = [j for j in range(C) if row[j] >= t[j]]
        if reached:
            counted[label, max(reached, key=lambda j: row[j])] += 1
    return counted


def make_parts(sentences, alter, num_validation):
    validation, train = sentences[:num_validation], sentences[num_validation:]  # split first
    return [*train, *(alter(sentence) for sentence in train)], validation


# Other answers, right and wrong, that test the checks.
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


EXERCISES = [
    Exercise(
        id="09.1",
        kind="predict",
        title="sixteen sentences to choose with",
        solution="spread_of_sixteen = (0.75 * 0.25 / 16) ** 0.5",
        expected=(0.75 * 0.25 / 16) ** 0.5,
        tolerance=0.02,
        mistakes=(
            Mistake(0.75 * 0.25 / 16, "That is the variance of the mean. The standard deviation is its square root."),
            Mistake((0.75 * 0.25) ** 0.5, "That is the standard deviation of one prediction. The mean of 16 varies less."),
            Mistake(0.75 * 0.25, "That is the variance of a single prediction. Divide by 16, then take the square root."),
            Mistake(
                0.25, "That is the share of wrong predictions, or one over the root of 16. You need to combine the two."
            ),
            Mistake(1 / 16, "That is how much one sentence changes the accuracy. The standard deviation is larger."),
            Mistake(1.96 * (0.75 * 0.25 / 16) ** 0.5, "That is half of a 95 % interval, twice the standard deviation."),
        ),
        hints=(
            "what is the variance of one prediction that is correct with probability 0.75? And of a mean of 16 of them?",
            "one prediction: 0.75 * 0.25. The mean of n predictions has that variance divided by n.",
            "the square root of 0.75 * 0.25 / 16.",
        ),
        after="A standard deviation of eleven points: with 16 sentences you cannot distinguish two settings that differ by less than twenty.",
        right=(
            math.sqrt(3) / 16,
            0.108,
        ),
        wrong=(
            (0.75 * 0.25 / 16, "the variance of the mean"),
            (0.0625, "one sentence changes"),
            (0.5, "is not correct"),
        ),
    ),
    Exercise(
        id="09.2",
        kind="complete",
        title="the confident joint",
        solution=joint_counts,
        cases=(
            Case(
                "joint_counts(p of the four sentences above, [0, 0, 0, 1])",
                (P_SMALL, np.array([0, 0, 0, 1])),
                [[2, 1], [0, 1]],
            ),
            Case(
                "joint_counts([[.45, .55], [.2, .8], [.3, .7], [.65, .35]], [0, 1, 1, 0])",
                (P_NONE, np.array([0, 1, 1, 0])),
                [[1, 0], [0, 1]],
            ),
            Case(
                "joint_counts([[.55, .45], [.4, .6], [.6, .4], [.48, .52]], [0, 0, 1, 1])",
                (P_BOTH, np.array([0, 0, 1, 1])),
                [[1, 1], [1, 1]],
            ),
            Case(
                "joint_counts([[.8, .1, .1], [.2, .7, .1], [.1, .1, .8], [.45, .5, .05], [.1, .2, .7]], [0, 1, 2, 0, 1])",
                (P_THREE, np.array([0, 1, 2, 0, 1])),
                [[1, 1, 0], [0, 1, 0], [0, 0, 1]],
            ),
        ),
        mistakes=(
            Mistake(by_argmax, "each sentence goes to its most probable class, whether or not it reaches the threshold."),
            Mistake(transposed, "rows and columns are exchanged: the row is the given label."),
            Mistake(mean_of_all, "the threshold is a mean over all sentences. Take the mean over those with the label j."),
            Mistake(
                first_reached, "if two thresholds are reached, this counts the first class. Count the most probable one."
            ),
        ),
        hints=(
            "first the C thresholds: for class j the mean of column j over the sentences labelled j.",
            "for each sentence: which classes reach their threshold? None: do not count it. Else take the most probable.",
            "joint[label, max(reached, key=lambda j: row[j])] += 1.",
        ),
        after="Its entries off the diagonal count the suspects: divided by n they estimate how many labels of each kind are wrong.",
        right=(
            vectorised_joint,
            joint_of_lists,
        ),
        wrong=(
            (by_argmax, "whether or not it reaches the threshold"),
            (transposed, "rows and columns are exchanged"),
            (normalised_joint, "not yet"),
            (lambda p, labels: counted(p, labels, p > 0.5), "not yet"),
        ),
    ),
    Exercise(
        id="09.3",
        kind="debug",
        title="copies on both sides",
        solution=make_parts,
        given=copies_on_both_sides,
        cases=(
            Case(
                "make_parts(['a', 'b', 'c'], str.upper, 1)",
                (["a", "b", "c"], str.upper, 1),
                [["b", "c", "B", "C"], ["a"]],
            ),
            Case(
                "make_parts(['good', 'bad', 'dull', 'fun'], str.upper, 2)",
                (["good", "bad", "dull", "fun"], str.upper, 2),
                [["dull", "fun", "DULL", "FUN"], ["good", "bad"]],
            ),
            Case(
                "make_parts(['x', 'y'], str.upper, 1)",
                (["x", "y"], str.upper, 1),
                [["y", "Y"], ["x"]],
            ),
        ),
        mistakes=(
            Mistake(
                altered_validation, "the validation part has copies too. It should contain the original sentences only."
            ),
            Mistake(no_copies, "no sentence is on both sides, but the training part has lost its copies."),
            Mistake(copies_only, "the training part has the copies, but has lost the original sentences."),
            Mistake(swapped, "the two parts are exchanged: training comes first."),
        ),
        hints=(
            "which sentences have copies in the training part?",
            "which should come first: altering or splitting?",
            "validation, train = sentences[:num_validation], sentences[num_validation:]; then alter those of train only.",
        ),
        after="Every copy of a sentence belongs in the same part as the sentence.",
        right=(
            split_first,
            copies_dropped,
        ),
        wrong=(
            (copies_on_both_sides, "as it was given"),
            (altered_validation, "validation part has copies too"),
            (no_copies, "has lost its copies"),
            (interleaved, "not yet"),
        ),
    ),
    Exercise(
        id="09.q1",
        kind="choice",
        title="a curve read horizontally",
        question="At 64 labels model A is as accurate as model B at 256. What does that mean?",
        expected="b",
        options={
            "a": (
                "A is four times as accurate as B",
                "The factor is in the number of labels. The accuracies are equal there.",
            ),
            "b": (
                "around that point, A saves three of four labels",
                "Reading the curves horizontally turns a difference in accuracy into a difference in cost.",
            ),
            "c": (
                "with 1,024 labels B will be as good as A with 256",
                "The factor is only true where you read it. The curves get closer, and may cross.",
            ),
        },
    ),
    Exercise(
        id="09.q2",
        kind="choice",
        title="a fair control",
        question="Three altered copies of each sentence raise the accuracy of a model. What should they be compared with?",
        expected="c",
        options={
            "a": (
                "the same model on the sentences without copies",
                "Copies alone change the fit: they act like more data, or give a network more steps.",
            ),
            "b": (
                "a better model without copies",
                "That is a comparison of models. It says nothing about the alteration.",
            ),
            "c": (
                "three unaltered copies of each, over several draws",
                "Then only the alteration differs, and the draws show how much is luck.",
            ),
        },
    ),
    Exercise(
        id="09.q3",
        kind="choice",
        title="what to do with suspects",
        question="Confident learning suspects 150 of 1,000 sentences; about one in six of them has a wrong label. What next?",
        expected="a",
        options={
            "a": (
                "read the 150, correct what is wrong, keep the rest",
                "150 readings find about 25 wrong labels. At random the same work would find seven or eight.",
            ),
            "b": (
                "remove the 150 in any case: the model is right more often than the labels",
                "Five of six suspects have correct labels; they are the hard ones. Measure before you remove.",
            ),
            "c": (
                "flip all 150 labels",
                "That would make about 125 correct labels wrong, to correct 25.",
            ),
        },
    ),
]
