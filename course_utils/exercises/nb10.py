"""Exercises of notebook 10, adaptive and cross-model."""

import numpy as np
import torch

from .definition import Case, Exercise, Mistake

CURVE = [0.7, 0.6, 0.55, 0.56, 0.54, 0.55, 0.56, 0.5]


def kept(losses, patience, *, late=0, last=False, first=1, ever=False):
    best, stale, check = 0, 0, 0
    for check, loss in enumerate(losses):
        stale = 0 if loss < losses[best] or check == 0 else stale + 1
        best = check if stale == 0 else best
        if stale > patience + late and not ever:
            break
    return (check if last else best) + first


def poured_into_the_first(weights):
    soup = weights[0]
    for other in weights[1:]:
        for key in soup:
            soup[key] += other[key]
    for key in soup:
        soup[key] /= len(weights)
    return soup


def average(weights, divide=len):
    return {key: sum(one[key] for one in weights) / divide(weights) for key in weights[0]}


def halved_each_time(weights):
    soup = dict(weights[0])
    for other in weights[1:]:
        soup = {key: (soup[key] + other[key]) / 2 for key in soup}
    return soup


def models(*rows):
    return ([{"head": torch.tensor(row)} for row in rows],)


# The solutions.
def kept_check(losses, patience):
    best, where, stale = float("inf"), 0, 0
    for number, loss in enumerate(losses, start=1):
        stale = stale + 1
        if loss < best:
            best, where, stale = loss, number, 0
        if stale > patience:
            break
    return where


def pour(weights):
    return {key: sum(one[key] for one in weights) / len(weights) for key in weights[0]}


# Other answers, right and wrong, that test the checks.
def kept_by_loop(losses, patience):
    best, where, stale = float("inf"), 0, 0
    for check, loss in enumerate(losses, start=1):
        if loss < best:
            best, where, stale = loss, check, 0
        else:
            stale += 1
        if stale > patience:
            break
    return where


def kept_by_minima(losses, patience):
    records = [i for i in range(len(losses)) if i == 0 or losses[i] < min(losses[:i])]
    for one, following in zip(records, [*records[1:], None], strict=True):
        if following is None or following - one > patience + 1:
            return one + 1
    return None


def kept_at_the_end(losses, patience):
    stale, best = 0, losses[0]
    for check, loss in enumerate(losses[1:], start=2):
        stale, best = (0, loss) if loss < best else (stale + 1, best)
        if stale > patience:
            return check
    return len(losses)


def poured_in_a_loop(weights):
    soup = {key: value.clone() for key, value in weights[0].items()}
    for other in weights[1:]:
        for key in soup:
            soup[key] += other[key]
    return {key: value / len(weights) for key, value in soup.items()}


EXERCISES = [
    Exercise(
        id="10.1",
        kind="complete",
        title="the check that is kept",
        solution=kept_check,
        cases=(
            Case(f"kept_check({CURVE}, patience=1)", (CURVE, 1), 5),
            Case(f"kept_check({CURVE}, patience=0)", (CURVE, 0), 3),
            Case(f"kept_check({CURVE}, patience=5)", (CURVE, 5), 8),
            Case("kept_check([0.5, 0.6, 0.4, 0.7], patience=1)", ([0.5, 0.6, 0.4, 0.7], 1), 3),
        ),
        mistakes=(
            Mistake(
                lambda losses, patience: kept(losses, patience, first=0), "counted from 0. The first check is number 1."
            ),
            Mistake(
                lambda losses, patience: kept(losses, patience, ever=True),
                "the best check of the whole curve. A run that has stopped never sees the later losses.",
            ),
            Mistake(
                lambda losses, patience: kept(losses, patience, last=True),
                "the check at which it stops. The weights come from the best check before that.",
            ),
            Mistake(
                lambda losses, patience: kept(losses, patience, late=-1),
                "too impatient by one: it gives up after MORE than `patience` checks without a better one.",
            ),
        ),
        hints=(
            "store two things while you go through the losses: the index of the best one, and how many checks ago it was.",
            "a better loss resets the count to 0; any other adds 1; stop as soon as the count is above patience.",
            "for check, loss in enumerate(losses, start=1): if loss < best, then best, where, stale = loss, check, 0.",
        ),
        after="That is all of early stopping, except for the copy of the weights.",
        right=(
            kept_by_loop,
            kept_by_minima,
        ),
        wrong=(
            (lambda losses, patience: int(np.argmin(losses)) + 1, "never sees the later losses"),
            (lambda losses, patience: kept_by_loop(losses, patience) - 1, "counted from 0"),
            (kept_at_the_end, "the check at which it stops"),
            (lambda losses, patience: kept_by_loop(losses, patience - 1), "too impatient by one"),
            (lambda losses, patience: min(losses), "should give"),
        ),
    ),
    Exercise(
        id="10.2",
        kind="predict",
        title="one voice against two",
        solution="my_answer = ((0.9 + 0.45 + 0.45) / 3, 1)",
        expected=[0.6, 1],
        tolerance=0.005,
        mistakes=(
            Mistake([0.45, 0], "That is the median. The ensemble takes the mean, so a confident model counts more."),
            Mistake(
                [1 / 3, 0], "That is the share of votes. The ensemble takes the mean of the probabilities, not of the votes."
            ),
            Mistake([0.6, 0], "The probability is correct; which class does it predict?"),
        ),
        hints=(
            "add the three probabilities and divide.",
            "(0.9 + 0.45 + 0.45) / 3, and class 1 if that is above one half.",
        ),
        after="One confident model outvotes two uncertain ones. If it is overconfident, that is no gain.",
        right=(
            (0.6, 1),
            [0.6, 1],
            np.array([0.6, 1.0]),
        ),
        wrong=(
            ((0.45, 0), "the median"),
            ((0.33333, 0), "share of votes"),
            ((0.6, 0), "which class"),
            (0.6, "is not correct"),
        ),
    ),
    Exercise(
        id="10.3",
        kind="debug",
        title="the soup that ate its first member",
        solution=pour,
        given=poured_into_the_first,
        observe=lambda result, arguments: [result, arguments[0][0]] if isinstance(result, dict) else result,
        cases=(
            Case(
                "pour([{'head': [2, 4]}, {'head': [4, 8]}]), and then the first member,",
                models([2.0, 4.0], [4.0, 8.0]),
                [{"head": [3.0, 6.0]}, {"head": [2.0, 4.0]}],
            ),
            Case(
                "pour([{'head': [1, 1]}, {'head': [2, 5]}, {'head': [6, 0]}]), and then the first member,",
                models([1.0, 1.0], [2.0, 5.0], [6.0, 0.0]),
                [{"head": [3.0, 2.0]}, {"head": [1.0, 1.0]}],
            ),
            Case(
                "pour([{'head': [7, -7]}]), and then the first member,",
                models([7.0, -7.0]),
                [{"head": [7.0, -7.0]}, {"head": [7.0, -7.0]}],
            ),
        ),
        mistakes=(
            Mistake(lambda weights: average(weights, lambda _: 1), "the sum of the weights. A soup is their mean."),
            Mistake(
                halved_each_time,
                "halved after each member, so the last one counts half and the first ones count less and less.",
            ),
            Mistake(lambda weights: average(weights[:2]), "two members only. All of them belong in the soup."),
        ),
        hints=(
            "look at the first member: what are its weights after you made the soup?",
            "soup = weights[0] does not copy: it is another name for the first member, and += changes its tensors in place.",
            "{key: sum(one[key] for one in weights) / len(weights) for key in weights[0]} makes new tensors.",
        ),
        after="A state_dict contains the tensors of the model itself: if you change them in place, you change the model.",
        right=(
            lambda weights: {key: torch.stack([one[key] for one in weights]).mean(dim=0) for key in weights[0]},
            lambda weights: {key: sum(one[key] for one in weights) / len(weights) for key in weights[0]},
            poured_in_a_loop,
        ),
        wrong=(
            (lambda weights: {key: sum(one[key] for one in weights) for key in weights[0]}, "A soup is their mean"),
            (lambda weights: {key: (weights[0][key] + weights[-1][key]) / 2 for key in weights[0]}, "should give"),
            (
                lambda weights: {key: (weights[0][key] + weights[1 % len(weights)][key]) / 2 for key in weights[0]},
                "two members only",
            ),
            (lambda weights: weights[0], "should give"),
        ),
    ),
    Exercise(
        id="10.q1",
        kind="choice",
        title="a verdict",
        question="A schedule minus the constant rate: +1.2 points (+0.1 to +2.4); seed by seed +3.0, +1.1, -0.5. What do you "
        "write?",
        expected="b",
        options={
            "a": ("the schedule is better", "The interval says so for these sentences, but one of three seeds says no."),
            "b": ("this experiment is undecided", "The sign changes with the seed: run more seeds before you claim it."),
            "c": ("the schedule is worse", "Nothing here says that: the mean is above zero."),
        },
    ),
    Exercise(
        id="10.q2",
        kind="choice",
        title="why the same start",
        question="Why do the members of a soup have to share their start?",
        expected="a",
        options={
            "a": (
                "only then do the same positions contain corresponding units",
                "The order of units is arbitrary: runs from another start have them in another order.",
            ),
            "b": (
                "otherwise their shapes differ",
                "Shapes are also the same for runs from different starts, and that is why nothing warns you.",
            ),
            "c": ("otherwise their losses differ", "Members may be better or worse; the greedy soup even relies on it."),
        },
    ),
    Exercise(
        id="10.q3",
        kind="choice",
        title="picking the members",
        question="Somebody picks the members of a greedy soup by their accuracy on the test part and reports that accuracy. "
        "What is wrong?",
        expected="c",
        options={
            "a": (
                "nothing, if the soup is uniform afterwards",
                "The choice has already used the test labels, however the members are averaged.",
            ),
            "b": ("the soup will be worse than its members", "It may be quite good. But you cannot trust its accuracy."),
            "c": (
                "the accuracy is too optimistic, since the choice used the test labels",
                "Choose on validation; the test part comes last, once.",
            ),
        },
    ),
]
