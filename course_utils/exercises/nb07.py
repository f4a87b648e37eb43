"""Exercises of notebook 07, three kinds of tuning."""

import math

import numpy as np

from .definition import Case, Exercise, Mistake


def chosen_on_the_test_part(validation, test):
    chosen = int(np.argmax(test))
    return chosen, test[chosen]


# The solutions.
def rate_from(u, low, high):
    return 10 ** (np.log10(low) + u * (np.log10(high) - np.log10(low)))


def published(validation, test):
    chosen = int(np.argmax(validation))
    return chosen, test[chosen]


# Other answers, right and wrong, that test the checks.
def report_by_loop(validation, test):
    best = 0
    for trial in range(len(validation)):
        if validation[trial] > validation[best]:
            best = trial
    return best, test[best]


EXERCISES = [
    Exercise(
        id="07.1",
        kind="complete",
        title="drawing a learning rate on a log scale",
        solution=rate_from,
        cases=(
            Case("rate_from(u=0.0, low=1e-4, high=1.0)", (0.0, 1e-4, 1.0), 1e-4),
            Case("rate_from(u=1.0, low=1e-4, high=1.0)", (1.0, 1e-4, 1.0), 1.0),
            Case("rate_from(u=0.5, low=1e-4, high=1.0)", (0.5, 1e-4, 1.0), 0.01),
            Case("rate_from(u=0.25, low=1e-4, high=1.0)", (0.25, 1e-4, 1.0), 0.001),
            Case("rate_from(u=0.5, low=0.01, high=1.0)", (0.5, 0.01, 1.0), 0.1),
        ),
        mistakes=(
            Mistake(
                lambda u, low, high: low + u * (high - low),
                "a linear scale. Half of the draws would be above 0.5, and one in ten thousand below 0.0002.",
            ),
            Mistake(
                lambda u, low, high: np.log10(low) + u * (np.log10(high) - np.log10(low)),
                "the logarithm of the learning rate. Compute 10 to that power at the end.",
            ),
            Mistake(
                lambda u, low, high: 10**u * low,
                "the range is one power of ten, whatever high is. Interpolate between log low and log high.",
            ),
            Mistake(
                lambda u, low, high: high * (low / high) ** u,
                "low and high are swapped: u = 0 should give low.",
            ),
        ),
        hints=(
            "first turn u into a number on the log scale.",
            "the logarithm is log low + u (log high - log low), in any base.",
            "10 ** (np.log10(low) + u * (np.log10(high) - np.log10(low))).",
        ),
        after="Every power of ten is equally likely, which is what you want for a learning rate.",
        right=(
            lambda u, low, high: 10 ** (np.log10(low) + u * (np.log10(high) - np.log10(low))),
            lambda u, low, high: low * (high / low) ** u,
            lambda u, low, high: math.exp((1 - u) * math.log(low) + u * math.log(high)),
        ),
        wrong=(
            (lambda u, low, high: (1 - u) * low + u * high, "a linear scale"),
            (lambda u, low, high: np.interp(u, [0, 1], np.log10([low, high])), "the logarithm of the learning rate"),
            (lambda u, low, high: low * 10**u, "one power of ten"),
            (lambda u, low, high: 10 ** np.interp(u, [0, 1], np.log10([high, low])), "swapped"),
            (lambda u, low, high: np.random.default_rng(0).uniform(low, high), "should give"),
        ),
    ),
    Exercise(
        id="07.2",
        kind="predict",
        title="the learning rate of the lowest layer",
        solution="my_lowest_rate = 0.0016 * 0.5**4",
        expected=1e-4,
        tolerance=1e-3,
        mistakes=(
            Mistake(1.6e-3, "That is the head's own learning rate."),
            Mistake(2e-4, "That is layer 1, three steps below the head: k = L - 3. Layer 0 is one step further down."),
            Mistake(8e-4, "That is the top layer, one step below the head. Layer 0 is three steps below it."),
            Mistake(4e-4, "That is two steps down. From the head to layer 0 of L = 4 it takes L steps."),
        ),
        hints=(
            "each step down from the head halves the learning rate.",
            "layer k has the exponent L - k.",
            "0.0016 times 0.5 to the fourth.",
        ),
        after="The lowest layer has a sixteenth of the head's learning rate.",
        right=(
            1e-4,
            0.0016 * 0.5**4,
            np.float64(0.0001),
        ),
        wrong=(
            (0.0016, "the head's own"),
            (0.0002, "layer 1"),
            (0.0008, "the top layer"),
            (0.4, "is not correct"),
        ),
    ),
    Exercise(
        id="07.3",
        kind="predict",
        title="what an adapter adds",
        solution="my_adapter_size = 2 * 384 * 8 + 8 + 384",
        expected=6_536,
        tolerance=0.0005,
        mistakes=(
            Mistake(6_144, "That is the two matrices. Each has a bias too."),
            Mistake(3_072, "That is one matrix. There are two: W_down and W_up."),
            Mistake(6_160, "The biases are not both of size m: b_up has D numbers, like h."),
            Mistake(147_456, "That is a whole D x D matrix. The bottleneck avoids it."),
            Mistake(13_072, "That is two adapters. The question is about one."),
        ),
        hints=(
            "count four things: two matrices and two biases.",
            "W_down has m D numbers and m biases; W_up has D m and D.",
            "2 * 384 * 8 + 8 + 384.",
        ),
        after="Twelve of them, two in each layer, have less than one percent of the encoder's parameters.",
        right=(
            6536,
            2 * 384 * 8 + 8 + 384,
            6536.0,
        ),
        wrong=(
            (2 * 384 * 8, "Each has a bias"),
            (384 * 8, "one matrix"),
            (384 * 384, "a whole D x D"),
            (2 * 384 * 8 + 16, "b_up"),
        ),
    ),
    Exercise(
        id="07.4",
        kind="debug",
        title="the search that peeked",
        solution=published,
        given=chosen_on_the_test_part,
        cases=(
            Case(
                "published(validation=[0.70, 0.80, 0.75], test=[0.72, 0.76, 0.79])",
                ([0.70, 0.80, 0.75], [0.72, 0.76, 0.79]),
                (1, 0.76),
            ),
            Case("published(validation=[0.9, 0.6], test=[0.7, 0.8])", ([0.9, 0.6], [0.7, 0.8]), (0, 0.7)),
            Case(
                "published(validation=[0.5, 0.6, 0.72, 0.8], test=[0.8, 0.75, 0.7, 0.5])",
                ([0.5, 0.6, 0.72, 0.8], [0.8, 0.75, 0.7, 0.5]),
                (3, 0.5),
            ),
        ),
        mistakes=(
            Mistake(
                lambda validation, test: (int(np.argmax(validation)), max(validation)),
                "the right trial, with its validation accuracy. It won because that number was high, so the number is too optimistic.",
            ),
            Mistake(
                lambda validation, test: (int(np.argmax(validation)), max(test)),
                "the best test accuracy of all trials, whichever trial it belongs to. Report the one of the chosen trial.",
            ),
            Mistake(
                lambda validation, test: (
                    int(np.argmax(np.add(validation, test))),
                    test[int(np.argmax(np.add(validation, test)))],
                ),
                "the test part influences the choice. Choose by validation alone.",
            ),
            Mistake(
                lambda validation, test: test[int(np.argmax(validation))],
                "the accuracy alone. Return the index of the trial too: (trial, accuracy).",
            ),
        ),
        hints=(
            "the function does two things: it chooses and it reports. Which part may it use for each?",
            "choose by validation, report test.",
            "best = int(np.argmax(validation)); return best, test[best].",
        ),
        after="The number is lower than before, and it is the one that others will measure on new data.",
        right=(
            lambda validation, test: (int(np.argmax(validation)), test[int(np.argmax(validation))]),
            lambda validation, test: max(((v, (i, test[i])) for i, v in enumerate(validation)))[1],
            lambda validation, test: [validation.index(max(validation)), test[validation.index(max(validation))]],
            report_by_loop,
        ),
        wrong=(
            (lambda validation, test: (test.index(max(test)), max(test)), "as it was given"),
            (lambda validation, test: max((v, i) for i, v in enumerate(validation))[::-1], "too optimistic"),
            (lambda validation, test: (int(np.argmax(validation)), max(test)), "whichever trial"),
            (lambda validation, test: test[int(np.argmax(validation))], "the accuracy alone"),
            (lambda validation, test: (0, test[0]), "should give"),
        ),
    ),
    Exercise(
        id="07.q1",
        kind="choice",
        title="which kind of tuning",
        question="You swap the pooling of the classifier from CLS to mean. Which kind of tuning is it?",
        expected="c",
        options={
            "a": ("of hyperparameters only", "A search may treat it as one, but what changes is what the model computes."),
            "b": ("of parameters", "No weight of the model has changed; the data take another path through it."),
            "c": (
                "of structure",
                "The weights are the same, but the computation changes. A search can still choose between structures.",
            ),
        },
    ),
    Exercise(
        id="07.q2",
        kind="choice",
        title="a study that is resumed",
        question="A search crashed at night after 40 of 100 trials. Its study is in a file. What do you do?",
        expected="a",
        options={
            "a": (
                "load the study by its name, mark the trial that was running as failed, and ask for 60 more",
                "Nothing is lost, and nothing is counted twice. Give the sampler a new seed.",
            ),
            "b": (
                "start a study of the same name",
                "Optuna refuses, so that old and new results are never mixed by accident.",
            ),
            "c": ("delete the file and start again", "It works, but you lose forty trials."),
        },
    ),
    Exercise(
        id="07.q3",
        kind="choice",
        title="two ways, one point apart",
        question="Adapters minus all layers: -1.0 points (-3.2 to 1.1). What may you say?",
        expected="b",
        options={
            "a": ("adapters are worse by one point", "The interval contains zero, and also gains of a point."),
            "b": (
                "this test cannot distinguish them, and adapters train far fewer parameters",
                "It is a tie; you may choose by memory and disk.",
            ),
            "c": (
                "they are equally good",
                "Not being able to distinguish them does not mean that they are equal: 3 points are within the interval.",
            ),
        },
    ),
]
