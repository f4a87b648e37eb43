"""Exercises of notebook 07, three kinds of tuning."""

import numpy as np

from .definition import Case, Exercise, Mistake


def chosen_on_the_test_part(validation, test):
    best = int(np.argmax(test))
    return best, test[best]


EXERCISES = [
    Exercise(
        id="07.1",
        kind="complete",
        title="drawing a rate on a log scale",
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
                "a plain scale. Half of the draws would lie above 0.5, and one in ten thousand below 0.0002.",
            ),
            Mistake(
                lambda u, low, high: np.log10(low) + u * (np.log10(high) - np.log10(low)),
                "the logarithm of the rate. Raise 10 to it at the end.",
            ),
            Mistake(
                lambda u, low, high: 10**u * low,
                "the range is one power of ten whatever high is. Let u run from log low to log high.",
            ),
            Mistake(
                lambda u, low, high: high * (low / high) ** u,
                "the ends are turned round: u = 0 should give low.",
            ),
        ),
        hints=(
            "make u a number on the scale of the logarithms first.",
            "the logarithm is log low + u (log high - log low), in any base.",
            "10 ** (np.log10(low) + u * (np.log10(high) - np.log10(low))).",
        ),
        after="Every power of ten is as likely as every other, which is what a rate needs.",
    ),
    Exercise(
        id="07.2",
        kind="predict",
        title="the rate of the lowest layer",
        expected=1e-4,
        tolerance=1e-3,
        mistakes=(
            Mistake(1.6e-3, "That is the head's own rate."),
            Mistake(2e-4, "That is layer 1, three steps below the head: k = L - 3. Layer 0 lies one step further down."),
            Mistake(8e-4, "That is the top layer, one step below the head. Layer 0 lies three steps below it."),
            Mistake(4e-4, "That is two steps down. From the head to layer 0 of L = 4 it takes L steps."),
        ),
        hints=(
            "each step down from the head halves the rate.",
            "layer k has the exponent L - k.",
            "0.0016 times 0.5 to the fourth.",
        ),
        after="The lowest layer moves a sixteenth as fast as the head.",
    ),
    Exercise(
        id="07.3",
        kind="predict",
        title="what an adapter adds",
        expected=6_536,
        tolerance=0.0005,
        mistakes=(
            Mistake(6_144, "That is the two matrices. Each has a bias too."),
            Mistake(3_072, "That is one matrix. There is W_down and W_up."),
            Mistake(6_160, "The biases are not both of size m: b_up lives where h lives, in D numbers."),
            Mistake(147_456, "That is a whole D x D matrix. The bottleneck is there to avoid it."),
            Mistake(13_072, "That is two adapters. Asked for is one."),
        ),
        hints=(
            "count four things: two matrices and two biases.",
            "W_down has m D numbers and m biases; W_up has D m and D.",
            "2 * 384 * 8 + 8 + 384.",
        ),
        after="Twelve of them, two for each layer, are less than one percent of the encoder.",
    ),
    Exercise(
        id="07.4",
        kind="debug",
        title="the search that peeked",
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
                "the right trial, with its validation accuracy. It won because that number was high, so the number flatters.",
            ),
            Mistake(
                lambda validation, test: (int(np.argmax(validation)), max(test)),
                "the best test accuracy of all trials, whichever trial it belongs to. Report that of the chosen one.",
            ),
            Mistake(
                lambda validation, test: (
                    int(np.argmax(np.add(validation, test))),
                    test[int(np.argmax(np.add(validation, test)))],
                ),
                "the test part has a say in the choice. Choose by validation alone.",
            ),
            Mistake(
                lambda validation, test: test[int(np.argmax(validation))],
                "the accuracy alone. Give the number of the trial too: (trial, accuracy).",
            ),
        ),
        hints=(
            "two things happen here: a choice, and a report. Which part is each allowed to use?",
            "choose by validation, report test.",
            "best = int(np.argmax(validation)); return best, test[best].",
        ),
        after="The number is lower than before, and it is the one that a stranger will measure.",
    ),
    Exercise(
        id="07.q1",
        kind="choice",
        title="which kind of tuning",
        question="You swap the pooling of the classifier from CLS to mean. Which kind of tuning is it?",
        expected="c",
        options={
            "a": ("of hyperparameters only", "A search may treat it as one, but what changes is what the model computes."),
            "b": ("of parameters", "No number of the model has changed; another path through it has been taken."),
            "c": (
                "of structure",
                "The same numbers stand in another arrangement. A search can still choose among arrangements.",
            ),
        },
    ),
    Exercise(
        id="07.q2",
        kind="choice",
        title="a study that goes on",
        question="A search died at night after 40 of 100 trials. Its study lies in a file. What do you do?",
        expected="a",
        options={
            "a": (
                "load the study by its name, mark the trial that was running as failed, and ask for 60 more",
                "Nothing is lost, and nothing is counted twice. Give the sampler a new seed.",
            ),
            "b": (
                "start a study of the same name",
                "It is refused, so that old and new results are never mixed by accident.",
            ),
            "c": ("delete the file and start again", "It works, and throws forty trials away."),
        },
    ),
    Exercise(
        id="07.q3",
        kind="choice",
        title="two ways, one point apart",
        question="Adapters minus all layers: -1.0 points (-3.2 to 1.1). What may you say?",
        expected="b",
        options={
            "a": ("adapters are worse by one point", "The interval holds zero, and gains of a point as well."),
            "b": (
                "this test cannot tell them apart, and adapters train far fewer parameters",
                "An honest tie; the choice may rest on memory and disk.",
            ),
            "c": (
                "they are equally good",
                "Not being able to tell is not the same as being equal: 3 points are within the interval.",
            ),
        },
    ),
]
