"""Exercises of notebook 04, attention and the Transformer."""

import math

import torch

from .definition import Case, Exercise, Mistake

LOG2, LOG3, LOG4 = math.log(2), math.log(3), math.log(4)
EQUAL = torch.zeros(1, 3, 3)
ROWS = torch.tensor([[[LOG3, 0.0, 5.0], [0.0, LOG4, -2.0], [1.0, 1.0, 1.0]]])
NO_PADDING = torch.tensor([[[LOG3, 0.0], [0.0, LOG4]]])
TWO_TEXTS = torch.tensor([[[LOG2, 0.0], [0.0, 0.0]], [[7.0, 3.0], [0.0, 2.0]]])


def mixes_up_the_words(x, heads):
    B, T, D = x.shape
    return x.reshape(B, heads, T, D // heads)


# The solutions.
def masked_weights(scores, attention_mask):
    padding = attention_mask[:, None, :] == 0  # (B, 1, T)
    return scores.masked_fill(padding, -torch.inf).softmax(dim=-1)


def to_heads(x, heads):
    B, T, D = x.shape
    return x.reshape(B, T, heads, D // heads).transpose(1, 2)


def with_temperature(logits, temperature):
    return (logits / temperature).softmax(dim=0)


# Other answers, right and wrong, that test the checks.
def additive_mask(scores, attention_mask):
    return torch.softmax(scores + (1 - attention_mask[:, None].float()) * -1e9, dim=2)


def renormalised(scores, attention_mask):
    powers = scores.exp() * attention_mask.unsqueeze(1)
    return powers / powers.sum(dim=-1, keepdim=True)


def masked_by_loop(scores, attention_mask):
    weights = torch.zeros_like(scores)
    for b, real in enumerate(attention_mask.bool()):
        weights[b][:, real] = scores[b][:, real].softmax(dim=1)
    return weights


def zero_for_padding(scores, attention_mask):
    return scores.masked_fill(attention_mask[:, None, :] == 0, 0).softmax(dim=-1)


def rows_off(scores, attention_mask):
    return scores.masked_fill(attention_mask[:, :, None] == 0, -1e9).softmax(dim=-1)


def heads_by_chunks(x, heads):
    return torch.stack(x.chunk(heads, dim=2), dim=1)


def heads_by_loop(x, heads):
    d = x.shape[2] // heads
    return [[[word[h * d : (h + 1) * d] for word in text] for h in range(heads)] for text in x.tolist()]


def every_other_number(x, heads):
    B, T, D = x.shape
    return x.reshape(B, T, D // heads, heads).permute(0, 3, 1, 2)


def softened_by_hand(logits, temperature):
    powers = [math.exp((z - float(logits.max())) / temperature) for z in logits.tolist()]
    return [power / sum(powers) for power in powers]


def powers_of_probabilities(logits, temperature):
    powers = logits.softmax(dim=0) ** (1 / temperature)
    return powers / powers.sum()


EXERCISES = [
    Exercise(
        id="04.1",
        kind="predict",
        title="three weights",
        solution="my_weights = (0.6, 0.2, 0.2)",
        expected=(0.6, 0.2, 0.2),
        tolerance=0.01,
        mistakes=(
            Mistake(
                ((3, 1, 1),),
                "Those are the exponentials. Weights add up to 1: divide each by the sum of the three.",
            ),
            Mistake(
                ((1, 0, 0),),
                "That is all of the weight on the largest score. A softmax gives something to every word, since exp(0) is 1.",
            ),
            Mistake(
                ((LOG3, 0, 0),),
                "Those are the scores themselves. The softmax takes the exponential of each first.",
            ),
            Mistake(
                ((0.75, 0.25, 0.25), (0.75, 0.125, 0.125), (0.75, 0.25, 0)),
                "3/4 would be right if there were two words. The three exponentials add up to 3 + 1 + 1.",
            ),
            Mistake(((1 / 3, 1 / 3, 1 / 3),), "Equal weights belong to equal scores."),
        ),
        hints=(
            "take the exponential of each score. What is exp(log 3), what is exp(0)?",
            "3, 1 and 1. The weights are these, divided by their sum.",
        ),
        after="A score that is larger by log 3 means three times the weight, whatever the other words are.",
        right=([0.6, 0.2, 0.2], torch.tensor([3.0, 1.0, 1.0]) / 5, (3 / 5, 1 / 5, 1 / 5)),
        wrong=(
            ((3, 1, 1), "divide each by the sum"),
            ((1, 0, 0), "gives something to every word"),
            ((0.2, 0.2, 0.6), "is not correct"),
        ),
    ),
    Exercise(
        id="04.2",
        kind="complete",
        title="weights that skip the padding",
        solution=masked_weights,
        cases=(
            Case(
                "masked_weights(equal scores of three words, [[1, 1, 0]])",
                (EQUAL, torch.tensor([[1, 1, 0]])),
                [[[0.5, 0.5, 0.0]] * 3],
            ),
            Case(
                "masked_weights([[[log 3, 0, 5], [0, log 4, -2], [1, 1, 1]]], [[1, 1, 0]])",
                (ROWS, torch.tensor([[1, 1, 0]])),
                [[[0.75, 0.25, 0.0], [0.2, 0.8, 0.0], [0.5, 0.5, 0.0]]],
            ),
            Case(
                "masked_weights([[[log 3, 0], [0, log 4]]], [[1, 1]])",
                (NO_PADDING, torch.tensor([[1, 1]])),
                [[[0.75, 0.25], [0.2, 0.8]]],
            ),
            Case(
                "masked_weights(two texts, [[1, 1], [1, 0]])",
                (TWO_TEXTS, torch.tensor([[1, 1], [1, 0]])),
                [[[2 / 3, 1 / 3], [0.5, 0.5]], [[1.0, 0.0], [1.0, 0.0]]],
            ),
        ),
        mistakes=(
            Mistake(
                lambda s, m: s.softmax(dim=-1) * m[:, None, :],
                "the softmax first and the mask afterwards: padding gets 0, but the rows no longer add up to 1.",
            ),
            Mistake(
                zero_for_padding,
                "the score of padding set to 0. That is an ordinary score, exp(0) = 1; it must be minus infinity.",
            ),
            Mistake(
                rows_off,
                "the mask on the rows, the queries. Padding must not be attended to, so it is the columns, the keys, that go.",
            ),
            Mistake(
                lambda s, m: s.masked_fill(m[:, None, :] == 0, -1e9).softmax(dim=1),
                "the softmax over the queries: columns add up to 1. Each query divides its attention among the keys, dim=-1.",
            ),
            Mistake(lambda s, m: s.softmax(dim=-1), "the softmax without the mask: padding gets attention."),
            Mistake(
                lambda s, m: s.masked_fill(m[:, None, :] == 0, -torch.inf),
                "the masked scores. The softmax is still to come.",
            ),
        ),
        hints=(
            "which axis of scores (B, T, T) counts the keys? The mask is (B, T): give it an axis for the queries.",
            "set the scores of padding to minus infinity, then apply softmax(dim=-1).",
            "scores.masked_fill(attention_mask[:, None, :] == 0, -torch.inf)",
        ),
        after="exp(-inf) is 0: padding drops out of the numerator and of the sum, as if it were not there.",
        right=(additive_mask, renormalised, masked_by_loop),
        wrong=(
            (lambda scores, attention_mask: scores.softmax(dim=2) * attention_mask.unsqueeze(1), "no longer add up to 1"),
            (
                lambda scores, attention_mask: torch.softmax(scores * attention_mask[:, None], dim=-1),
                "the score of padding set to 0",
            ),
            (lambda scores, attention_mask: torch.softmax(scores, 2), "without the mask"),
            (
                lambda scores, attention_mask: scores.masked_fill(attention_mask[:, None] == 1, -1e9).softmax(dim=-1),
                "should give",
            ),
        ),
    ),
    Exercise(
        id="04.3",
        kind="debug",
        title="heads that mix up the words",
        solution=to_heads,
        given=mixes_up_the_words,
        cases=(
            Case(
                "to_heads([[[1, 2], [3, 4], [5, 6]]], heads=2)",
                (torch.tensor([[[1, 2], [3, 4], [5, 6]]]), 2),
                [[[[1], [3], [5]], [[2], [4], [6]]]],
            ),
            Case(
                "to_heads([[[1, 2, 3, 4], [5, 6, 7, 8]]], heads=2)",
                (torch.tensor([[[1, 2, 3, 4], [5, 6, 7, 8]]]), 2),
                [[[[1, 2], [5, 6]], [[3, 4], [7, 8]]]],
            ),
            Case(
                "to_heads([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], heads=2)",
                (torch.tensor([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]), 2),
                [[[[1], [3]], [[2], [4]]], [[[5], [7]], [[6], [8]]]],
            ),
            Case(
                "to_heads([[[1, 2], [3, 4], [5, 6]]], heads=1)",
                (torch.tensor([[[1, 2], [3, 4], [5, 6]]]), 1),
                [[[[1, 2], [3, 4], [5, 6]]]],
            ),
        ),
        mistakes=(
            Mistake(
                lambda x, heads: x.reshape(len(x), x.shape[1], heads, -1),
                "the right groups of numbers, with the axes (B, T, heads, d). The heads have to come before the words.",
            ),
            Mistake(
                every_other_number,
                "a head gets every so-many-th number of a word. It should get d neighbours: split D into (heads, d), "
                "in this order.",
            ),
            Mistake(
                lambda x, heads: x.transpose(1, 2).reshape(len(x), heads, x.shape[1], -1),
                "transposed first and split afterwards: with d above 1 the numbers of different words end up in one row.",
            ),
        ),
        hints=(
            "what is in x.reshape(B, heads, T, d)[0, 0] when the words are (1, 2), (3, 4), (5, 6)?",
            "reshape splits the last axis safely, and only that one: first (B, T, heads, d).",
            "then swap the axes of words and heads: .transpose(1, 2)",
        ),
        after="reshape reads numbers in the order in which they are in memory; only transpose moves an axis.",
        right=(
            lambda x, heads: x.unflatten(2, (heads, -1)).permute(0, 2, 1, 3),
            heads_by_chunks,
            heads_by_loop,
        ),
        wrong=(
            (lambda x, heads: x.view(x.shape[0], heads, x.shape[1], -1), "as it was given"),
            (lambda x, heads: x.unflatten(2, (heads, -1)), "The heads have to come before the words"),
            (lambda x, heads: x.unflatten(2, (-1, heads)).permute(0, 3, 1, 2), "every so-many-th number"),
            (lambda x, heads: x.split(heads, dim=2), "should give"),
        ),
    ),
    Exercise(
        id="04.4",
        kind="predict",
        title="the weights of a block",
        solution="my_multiple = 12",
        expected=12,
        mistakes=(
            Mistake(4, "Those are the four matrices of attention. The feed-forward network has weights too."),
            Mistake(8, "Those are the two matrices of the feed-forward network. Attention has four more."),
            Mistake((11, 3), "W_O counts as well: attention has four matrices."),
            Mistake(
                (144, 56, 48),
                "The heads share the matrices: each gets its part of the D rows. Their number changes nothing.",
            ),
            Mistake((6, 9), "W_1 and W_2 are larger than the others: (4D, D) has 4 D^2 entries."),
        ),
        hints=(
            "(D, D) has D^2 entries, and (4D, D) has 4 D^2.",
            "four matrices of D^2, and two of 4 D^2. Heads are parts of these matrices.",
        ),
        after="12 D^2 for each block: 12 layers with D = 768 make 85 million, and BERT-base has 110 with its word vectors.",
        right=(12.0, 4 + 2 * 4),
        wrong=(
            (4, "The feed-forward network has weights too"),
            (144, "The heads share the matrices"),
            (13, "is not correct"),
        ),
    ),
    Exercise(
        id="04.5",
        kind="complete",
        title="temperature",
        solution=with_temperature,
        cases=(
            Case("with_temperature(logits=[log 4, 0], temperature=1)", (torch.tensor([LOG4, 0.0]), 1.0), [0.8, 0.2]),
            Case("with_temperature(logits=[log 4, 0], temperature=2)", (torch.tensor([LOG4, 0.0]), 2.0), [2 / 3, 1 / 3]),
            Case("with_temperature(logits=[log 3, 0], temperature=0.5)", (torch.tensor([LOG3, 0.0]), 0.5), [0.9, 0.1]),
            Case(
                "with_temperature(logits=[0, 0, log 4], temperature=2)",
                (torch.tensor([0.0, 0.0, LOG4]), 2.0),
                [0.25, 0.25, 0.5],
            ),
        ),
        mistakes=(
            Mistake(
                lambda z, t: (z * t).softmax(0),
                "multiplied by the temperature: a high temperature would make the draw surer. Divide.",
            ),
            Mistake(
                lambda z, t: z.softmax(0) / t,
                "the probabilities divided by the temperature: they no longer add up to 1. Divide the logits.",
            ),
            Mistake(lambda z, t: z.softmax(0), "the probabilities at temperature 1, whatever the temperature is."),
            Mistake(lambda z, t: z / t, "the divided logits. They still need the softmax."),
            Mistake(
                lambda z, t: (z / t).log_softmax(0),
                "the logarithms of the probabilities. Leave the logarithm out.",
            ),
        ),
        hints=(
            "the temperature changes the logits, before the softmax.",
            "divide the logits by the temperature, then apply the softmax.",
            "(logits / temperature).softmax(dim=0)",
        ),
        after="Towards temperature 0 only the likeliest word is left, which is what greedy decoding writes.",
        right=(
            lambda logits, temperature: torch.softmax(logits / temperature, -1),
            softened_by_hand,
            powers_of_probabilities,
        ),
        wrong=(
            (lambda logits, temperature: torch.softmax(logits * temperature, dim=0), "Divide"),
            (lambda logits, temperature: torch.softmax(logits, dim=0) / temperature, "no longer add up to 1"),
            (lambda logits, temperature: torch.softmax(logits, dim=0), "whatever the temperature is"),
            (lambda logits, temperature: logits.argmax(), "should give"),
        ),
    ),
    Exercise(
        id="04.6",
        kind="choice",
        title="what the map shows",
        solution='my_reading = "b"',
        question="A head of layer 0 pays nearly all of its attention to the token before. What can you conclude?",
        expected="b",
        options={
            "a": (
                "the model judges a review by pairs of words",
                "This is one head of 72, and its output is added to the word's own state. The map does not show what the "
                "layers above do with it.",
            ),
            "b": (
                "at each word this head passes on the value of the word before, and hardly anything else",
                "Its output is a weighted average of values, and nearly all of the weight is on one of them.",
            ),
            "c": (
                "without this head the model would make many more errors",
                "Attention weights do not show that. You would have to switch the head off and measure.",
            ),
            "d": (
                "the token before matters most for the sentiment",
                "The map is an average over all words, and no sentiment was predicted here.",
            ),
        },
        hints=("what does a head compute from its weights? Which of the answers says only that?",),
    ),
    Exercise(
        id="04.q1",
        kind="choice",
        title="order",
        question="An encoder without position vectors reads 'not dull just funny' and 'not funny just dull'. How do the means "
        "of its states differ?",
        expected="c",
        options={
            "a": (
                "they differ a little, since attention runs from left to right",
                "Attention has no direction, unless a mask gives it one.",
            ),
            "b": (
                "they differ a lot, since the sentences mean the opposite",
                "It would have to see the order for that. What tells it?",
            ),
            "c": ("not at all", "Shuffled words give the same states, shuffled, and their mean is the same."),
        },
    ),
    Exercise(
        id="04.q2",
        kind="choice",
        title="the root",
        question="Why are the scores divided by the square root of d?",
        expected="a",
        options={
            "a": (
                "so that wide heads do not start with all of the weight on one word",
                "A dot product of d terms grows like the root of d, and a softmax of large scores hardly has a gradient.",
            ),
            "b": ("so that each row of weights adds up to 1", "The softmax takes care of that, whatever the scores are."),
            "c": ("so that the computation needs less memory", "A division changes no shape: A stays T times T."),
        },
    ),
    Exercise(
        id="04.q3",
        kind="choice",
        title="a splendid curve",
        question="Your decoder's training loss falls to 0.2 within a minute, and what it writes makes no sense. What do you "
        "check first?",
        expected="b",
        options={
            "a": ("the temperature", "It changes what is drawn, not the training loss."),
            "b": (
                "the causal mask: change the last word of a text and see whether earlier logits change",
                "A loss like that means that the answer is in the input. No logits before the changed word may change.",
            ),
            "c": ("the number of layers", "No number of layers predicts the next word of a review with a loss of 0.2."),
        },
    ),
]
