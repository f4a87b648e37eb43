"""Exercises of notebook 04, the published listing. They run in the torchtext kernel too: torch 2.3, NumPy 1."""

import math

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss, softplus

from .definition import Case, Exercise, Mistake

LOG3 = math.log(3)


def competing_reviews(scores, labels):
    return cross_entropy(scores.squeeze(1), labels.float())


def reshaped(ids):
    return ids.reshape(ids.shape[1], ids.shape[0])


def right_in(batches):
    return [int((predictions == labels).sum()) for predictions, labels in batches]


def sizes_of(batches):
    return [len(labels) for _, labels in batches]


def batch_of(predictions, labels):
    return torch.tensor(predictions), torch.tensor(labels)


EXERCISES = [
    Exercise(
        id="04.1",
        kind="debug",
        title="one output for each review",
        given=competing_reviews,
        cases=(
            Case("one_output_loss(scores=[[0]], labels=[1])", (torch.tensor([[0.0]]), torch.tensor([1])), 0.69315),
            Case(
                "one_output_loss(scores=[[log 3], [0]], labels=[1, 0])",
                (torch.tensor([[LOG3], [0.0]]), torch.tensor([1, 0])),
                0.49041,
            ),
            Case(
                "one_output_loss(scores=[[log 3], [log 3]], labels=[0, 0])",
                (torch.tensor([[LOG3], [LOG3]]), torch.tensor([0, 0])),
                1.38629,
            ),
            Case(
                "one_output_loss(scores=[[log 3], [log 3], [0]], labels=[1, 0, 1])",
                (torch.tensor([[LOG3], [LOG3], [0.0]]), torch.tensor([1, 0, 1])),
                0.78904,
            ),
        ),
        mistakes=(
            Mistake(
                lambda scores, labels: binary_cross_entropy_with_logits(scores.squeeze(1).sigmoid(), labels.float()),
                "the sigmoid was taken twice: binary_cross_entropy_with_logits takes it itself, as its name says.",
            ),
            Mistake(
                lambda scores, labels: (softplus(scores) - scores * labels).mean(),
                "the shapes (B, 1) and (B,) were combined into (B, B): each score met every label. Here squeeze(1) is needed.",
            ),
            Mistake(
                lambda scores, labels: binary_cross_entropy_with_logits(scores.squeeze(1), labels.float(), reduction="sum"),
                "the sum over the batch. The loss of a batch is the mean.",
            ),
            Mistake(
                lambda scores, labels: mse_loss(scores.squeeze(1).sigmoid(), labels.float()),
                "the squared error of the probabilities. Cross-entropy is minus the logarithm of the right one.",
            ),
        ),
        hints=(
            "over what does cross_entropy take its softmax when it is given one number for each review?",
            "a yes-or-no question with one output takes a sigmoid, not a softmax, and each review by itself.",
            "torch.nn.functional.binary_cross_entropy_with_logits(scores.squeeze(1), labels.float()).",
        ),
        after="One output with a sigmoid and two with a softmax are the same model; mixed up they are neither.",
    ),
    Exercise(
        id="04.2",
        kind="debug",
        title="time first, batch first",
        given=reshaped,
        cases=(
            Case(
                "reviews_first(ids=[[1, 4], [2, 5], [3, 6]])",
                (torch.tensor([[1, 4], [2, 5], [3, 6]]),),
                [[1, 2, 3], [4, 5, 6]],
            ),
            Case("reviews_first(ids=[[1, 3], [2, 4]])", (torch.tensor([[1, 3], [2, 4]]),), [[1, 2], [3, 4]]),
            Case("reviews_first(ids=[[1], [2], [3]])", (torch.tensor([[1], [2], [3]]),), [[1, 2, 3]]),
        ),
        mistakes=(
            Mistake(lambda ids: ids, "nothing is exchanged: rows are still places, not reviews."),
            Mistake(
                (lambda ids: torch.rot90(ids, 1), lambda ids: torch.rot90(ids, -1)),
                "the table was turned, not flipped along its diagonal: one of the axes runs backwards now.",
            ),
            Mistake(lambda ids: ids.T.flatten(), "the reviews are in the right order, but glued into one row."),
        ),
        hints=(
            "follow one review: its words stand in a column. Where do they stand in the result?",
            "reshape keeps the order in which numbers lie in memory and only cuts the rows elsewhere. Axes must change places.",
            "ids.T, or ids.transpose(0, 1).",
        ),
        after="The shapes were right all along: only a decoded review shows that reshape had mixed the words of all reviews.",
    ),
    Exercise(
        id="04.3",
        kind="complete",
        title="accuracy over unequal batches",
        cases=(
            Case(
                "accuracy_over([([1, 1, 0, 0], [1, 1, 0, 0]), ([1], [0])])",
                ([batch_of([1, 1, 0, 0], [1, 1, 0, 0]), batch_of([1], [0])],),
                0.8,
            ),
            Case("accuracy_over([([0, 1], [0, 1])])", ([batch_of([0, 1], [0, 1])],), 1.0),
            Case(
                "accuracy_over([([1], [1]), ([0, 0, 0], [1, 1, 0])])",
                ([batch_of([1], [1]), batch_of([0, 0, 0], [1, 1, 0])],),
                0.5,
            ),
        ),
        mistakes=(
            Mistake(
                lambda batches: sum(r / n for r, n in zip(right_in(batches), sizes_of(batches), strict=True)) / len(batches),
                "the mean of the batches' accuracies: one review of a small batch counts as much as several of a large one.",
            ),
            Mistake(lambda batches: sum(right_in(batches)), "how many are right. Divide by how many there are."),
            Mistake(
                lambda batches: sum(right_in(batches)) / len(batches),
                "divided by the number of batches. Divide by the number of reviews.",
            ),
            Mistake(
                lambda batches: right_in(batches)[-1] / sizes_of(batches)[-1],
                "the last batch alone. Add up over all of them before you divide.",
            ),
        ),
        hints=(
            "two sums run over the batches.",
            "one counts the right answers, the other the reviews. Divide once, at the end.",
            "right += (predictions == labels).sum(), total += len(labels), and after the loop right / total.",
        ),
        after="The same holds for the loss: weigh each batch by its size, or collect and average once.",
    ),
    Exercise(
        id="04.4",
        kind="choice",
        title="a loss, but no coin",
        question='In the figure "time first" is a coin; "after padding" is better than one, however much it loses. Why the difference?',
        expected="b",
        options={
            "a": (
                "the intervals are wide; in truth both are coins",
                "The interval of the second lies wholly above the dotted line.",
            ),
            "b": (
                "its network was trained rightly, and reviews about as long as their batch have little padding to forget in",
                "The memory fades with each place of padding. In notebook 03 a network was trained with this fault, and there "
                "it learned nothing.",
            ),
            "c": (
                "padding is a word like any other, so it does no harm",
                "It moves probabilities, some by a lot. The same review alone and in company gets another answer.",
            ),
        },
        hints=("which of the two networks was trained with its fault, and which only used with it?",),
    ),
    Exercise(
        id="04.q1",
        kind="choice",
        title="the dearest faults",
        question="Which faults of a listing cost most in practice?",
        expected="c",
        options={
            "a": ("those that stop it with an error", "They cost minutes: the message says where to look."),
            "b": ("those that print a warning", "A warning can be read before the result is believed."),
            "c": (
                "those that run to the end and spoil the result",
                "Nothing points at them; a test or a decoded example does.",
            ),
        },
    ),
    Exercise(
        id="04.q2",
        kind="choice",
        title="which release",
        question="An old listing fails at IMDB(split=..., fields=...). What is the quickest way to learn whether it ever ran?",
        expected="a",
        options={
            "a": (
                "look for one release whose signature has both arguments",
                "There is none, so no version to go back to: repair it instead.",
            ),
            "b": ("install older and older releases until it runs", "Some need other Pythons, and here none would do."),
            "c": ("delete the arguments that it complains about", "Then it may run and mean something else."),
        },
    ),
    Exercise(
        id="04.q3",
        kind="choice",
        title="what a check of shapes misses",
        question="A batch of 64 reviews of 64 tokens goes into the network with time and batch exchanged. What finds it?",
        expected="b",
        options={
            "a": ("a check of shapes", "(64, 64) is right both ways."),
            "b": ("one decoded row, printed just before the model", "It reads as the first words of 64 reviews."),
            "c": ("the training loss becoming infinite", "It stays finite, near log 2."),
        },
    ),
]
