"""Exercises of notebook 03b, the published listing. They run in the torchtext kernel too: torch 2.3, NumPy 1."""

import math

import torch
from torch import nn
from torch.nn.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    log_softmax,
    mse_loss,
    softplus,
)

from .definition import Case, Exercise, Mistake

LOG3 = math.log(3)


def competing_reviews(scores, labels):
    return nn.functional.cross_entropy(scores.squeeze(1), labels.float())


def reshaped(ids):
    return ids.reshape(ids.shape[1], ids.shape[0])


def right_in(batches):
    return [int((predictions == labels).sum()) for predictions, labels in batches]


def sizes_of(batches):
    return [len(labels) for _, labels in batches]


def batch_of(predictions, labels):
    return torch.tensor(predictions), torch.tensor(labels)


# The solutions.
def one_output_loss(scores, labels):
    return nn.functional.binary_cross_entropy_with_logits(scores.squeeze(1), labels.float())


def reviews_first(ids):
    return ids.transpose(0, 1)


def accuracy_over(batches):
    right = sum((predictions == labels).sum().item() for predictions, labels in batches)
    return right / sum(len(labels) for _, labels in batches)


# Other answers, right and wrong, that test the checks.
def loss_by_loop(scores, labels):
    losses = [math.log(1 + math.exp(-z if y else z)) for (z,), y in zip(scores.tolist(), labels.tolist(), strict=True)]
    return sum(losses) / len(losses)


def columns_as_rows(ids):
    return [[row[column] for row in ids.tolist()] for column in range(ids.shape[1])]


def counted(batches):
    right = total = 0
    for predictions, labels in batches:
        right += (predictions == labels).sum().item()
        total += len(labels)
    return right / total


def mean_of_means(batches):
    return torch.stack([(predictions == labels).float().mean() for predictions, labels in batches]).mean()


def only_the_last(batches):
    for predictions, labels in batches:
        accuracy = (predictions == labels).float().mean()
    return accuracy


EXERCISES = [
    Exercise(
        id="03b.1",
        kind="debug",
        title="one output for each review",
        solution=one_output_loss,
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
                "the sigmoid was applied twice: binary_cross_entropy_with_logits applies it itself, as its name says.",
            ),
            Mistake(
                lambda scores, labels: (softplus(scores) - scores * labels).mean(),
                "the shapes (B, 1) and (B,) were combined into (B, B): each score was compared with every label. Here squeeze(1) is needed.",
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
            "over which axis does cross_entropy take its softmax when it gets one number for each review?",
            "binary classification with one output needs a sigmoid, not a softmax, for each review separately.",
            "torch.nn.functional.binary_cross_entropy_with_logits(scores.squeeze(1), labels.float()).",
        ),
        after="One output with a sigmoid and two with a softmax are equivalent models. Do not mix the two.",
        right=(
            lambda scores, labels: binary_cross_entropy_with_logits(scores.squeeze(1), labels.float()),
            lambda scores, labels: binary_cross_entropy(scores.sigmoid(), labels[:, None].float()),
            lambda scores, labels: cross_entropy(torch.cat([torch.zeros_like(scores), scores], dim=1), labels),
            loss_by_loop,
        ),
        wrong=(
            (lambda scores, labels: -(labels * log_softmax(scores[:, 0], 0)).sum(), "as it was given"),
            (lambda scores, labels: cross_entropy(scores, labels), "should give"),
            (lambda scores, labels: binary_cross_entropy_with_logits(scores, labels.float()), "raises ValueError"),
            (
                lambda scores, labels: binary_cross_entropy_with_logits(torch.sigmoid(scores[:, 0]), labels.float()),
                "the sigmoid was applied twice",
            ),
            (lambda scores, labels: (torch.log1p(scores.exp()) - labels * scores).mean(), "each score was compared"),
            (lambda scores, labels: (scores[:, 0].sigmoid() - labels).square().mean(), "the squared error"),
        ),
    ),
    Exercise(
        id="03b.2",
        kind="debug",
        title="time first, batch first",
        solution=reviews_first,
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
            Mistake(lambda ids: ids, "the axes are not swapped: rows are still positions, not reviews."),
            Mistake(
                (lambda ids: torch.rot90(ids, 1), lambda ids: torch.rot90(ids, -1)),
                "the table was rotated, not transposed: one of the axes runs backwards now.",
            ),
            Mistake(lambda ids: ids.T.flatten(), "the reviews are in the right order, but joined into one row."),
        ),
        hints=(
            "follow one review: its words are in a column. Where are they in the result?",
            "reshape keeps the order of the numbers in memory and only breaks the rows elsewhere. You need to swap the axes.",
            "ids.T, or ids.transpose(0, 1).",
        ),
        after="The shapes were right from the start: only a decoded review shows that reshape mixed the words of all reviews.",
        right=(
            lambda ids: ids.T,
            lambda ids: ids.permute(1, 0).contiguous(),
            lambda ids: torch.stack(ids.unbind(dim=1)),
            columns_as_rows,
        ),
        wrong=(
            (lambda ids: ids.view(ids.size(1), -1), "as it was given"),
            (lambda ids: ids, "the axes are not swapped"),
            (lambda ids: ids.flip(0).T, "one of the axes runs backwards"),
            (lambda ids: ids.T.reshape(-1), "joined into one row"),
        ),
    ),
    Exercise(
        id="03b.3",
        kind="complete",
        title="accuracy over unequal batches",
        solution=accuracy_over,
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
            Mistake(
                lambda batches: sum(right_in(batches)),
                "this is the number of right answers. Divide by the number of reviews.",
            ),
            Mistake(
                lambda batches: sum(right_in(batches)) / len(batches),
                "you divided by the number of batches. Divide by the number of reviews.",
            ),
            Mistake(
                lambda batches: right_in(batches)[-1] / sizes_of(batches)[-1],
                "only the last batch counts. Add up over all batches before you divide.",
            ),
        ),
        hints=(
            "you need two sums over the batches.",
            "one counts the right answers, the other the reviews. Divide once, at the end.",
            "right += (predictions == labels).sum(), total += len(labels), and after the loop right / total.",
        ),
        after="The same is true for the loss: weight each batch by its size, or collect and average once.",
        right=(
            counted,
            lambda batches: (torch.cat([p for p, _ in batches]) == torch.cat([y for _, y in batches])).float().mean(),
            lambda batches: sum((p == y).sum() for p, y in batches) / sum(y.numel() for _, y in batches),
        ),
        wrong=(
            (mean_of_means, "one review of a small batch counts as much"),
            (only_the_last, "only the last batch"),
            (lambda batches: sum((p == y).sum() for p, y in batches), "Divide by the number of reviews"),
            (lambda batches: sum((p == y).sum() for p, y in batches) / len(batches), "divided by the number of batches"),
            (lambda batches: 1.0, "should give 0.8"),
        ),
    ),
    Exercise(
        id="03b.4",
        kind="choice",
        title="worse, but above chance",
        solution='my_explanation = "b"',
        question='In the figure "time first" is at chance level; "after padding" is above it, however much it loses. Why the difference?',
        expected="b",
        options={
            "a": (
                "the intervals are wide; both may be at chance level",
                "The interval of the second is entirely above the dotted line.",
            ),
            "b": (
                "its network was trained correctly, and reviews nearly as long as the longest in their batch have little padding",
                "The LSTM forgets a little at each position of padding. In notebook 03 a network was trained with this bug, and it "
                "learned nothing.",
            ),
            "c": (
                "padding is a word like any other, so it does no harm",
                "It changes probabilities, some by a lot. The same review gets a different answer alone and in a batch.",
            ),
        },
        hints=("which of the two networks was trained with its bug, and which was only used with it?",),
    ),
    Exercise(
        id="03b.q1",
        kind="choice",
        title="the most expensive bugs",
        question="Which bugs of a listing cost most in practice?",
        expected="c",
        options={
            "a": ("those that stop it with an error", "They cost minutes: the message says where to look."),
            "b": ("those that print a warning", "You can read a warning before you trust the result."),
            "c": (
                "those that run to the end and spoil the result",
                "No message points to them; you need a test or a decoded example.",
            ),
        },
    ),
    Exercise(
        id="03b.q2",
        kind="choice",
        title="which release",
        question="An old listing fails at IMDB(split=..., fields=...). What is the quickest way to find out whether it ever ran?",
        expected="a",
        options={
            "a": (
                "look for one release whose signature has both arguments",
                "There is none, so there is no version to go back to: fix the listing instead.",
            ),
            "b": (
                "install older and older releases until it runs",
                "Some need other versions of Python, and here no release works.",
            ),
            "c": ("delete the arguments that it complains about", "Then it may run but do something else."),
        },
    ),
    Exercise(
        id="03b.q3",
        kind="choice",
        title="what a check of shapes misses",
        question="A batch of 64 reviews of 64 tokens goes into the network with time and batch swapped. What finds this bug?",
        expected="b",
        options={
            "a": ("a check of shapes", "(64, 64) is right in both cases."),
            "b": ("one decoded row, printed just before the model", "It reads as the first words of 64 reviews."),
            "c": ("the training loss becoming infinite", "It stays finite, near log 2."),
        },
    ),
]
