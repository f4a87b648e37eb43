"""Exercises of notebook 05, what pretraining buys."""

import math

import torch

from .definition import Case, Exercise, Mistake

LOG2, LOG3, LOG4 = math.log(2), math.log(3), math.log(4)


def labels_at_every_place(input_ids, chosen):
    return input_ids.clone()


def overwrites(input_ids, chosen):
    input_ids[~chosen] = -100
    return input_ids


def labels_or_overwritten(result, arguments):
    return "input_ids itself was overwritten" if bool((arguments[0] == -100).any()) else result


# The solutions.
def probability_of(logits, token_id):
    powers = logits.exp()
    return powers[token_id] / powers.sum()


def labels_for(input_ids, chosen):
    return input_ids.masked_fill(~chosen, -100)


# Other answers, right and wrong, that test the checks.
def probability_by_loop(logits, token_id):
    largest = max(logits.tolist())
    powers = [math.exp(value - largest) for value in logits.tolist()]
    return powers[token_id] / sum(powers)


def labels_by_loop(input_ids, chosen):
    return [
        [word if asked else -100 for word, asked in zip(row, places, strict=True)]
        for row, places in zip(input_ids.tolist(), chosen.tolist(), strict=True)
    ]


def labels_filled_in(input_ids, chosen):
    labels = torch.full_like(input_ids, -100)
    labels[chosen] = input_ids[chosen]
    return labels


def labels_overwritten(input_ids, chosen):
    labels = input_ids
    labels[~chosen] = -100
    return labels


EXERCISES = [
    Exercise(
        id="05.1",
        kind="complete",
        title="the probability of a hidden word",
        solution=probability_of,
        cases=(
            Case("probability_of(logits=[0, 0, 0, 0], token_id=2)", (torch.zeros(4), 2), 0.25),
            Case("probability_of(logits=[log 3, 0, 0], token_id=0)", (torch.tensor([LOG3, 0.0, 0.0]), 0), 0.6),
            Case("probability_of(logits=[log 3, 0, 0], token_id=1)", (torch.tensor([LOG3, 0.0, 0.0]), 1), 0.2),
            Case("probability_of(logits=[log 2, log 2, log 4], token_id=2)", (torch.tensor([LOG2, LOG2, LOG4]), 2), 0.5),
            Case("probability_of(logits=[-log 4, 0], token_id=0)", (torch.tensor([-LOG4, 0.0]), 0), 0.2),
        ),
        mistakes=(
            Mistake(
                lambda z, i: z[i].sigmoid(),
                "the sigmoid of one logit, as in binary classification. Here V words compete, and each logit matters "
                "only relative to the others.",
            ),
            Mistake(
                lambda z, i: z.softmax(0).log()[i],
                "the logarithm of the probability. Leave the logarithm out.",
            ),
            Mistake(
                lambda z, i: -z.softmax(0).log()[i],
                "the loss at this position, -log p. Return p itself.",
            ),
            Mistake(
                lambda z, i: z.exp()[i],
                "e to the logit, not yet divided by the sum over all words. Probabilities add up to one.",
            ),
            Mistake(
                lambda z, i: z.softmax(0),
                "all V probabilities. Return the one of token_id.",
            ),
            Mistake(
                lambda z, i: z[i] / z.sum(),
                "a logit divided by the sum of the logits. They may be zero or negative: apply exp to each first.",
            ),
            Mistake(
                lambda z, i: z.exp()[i] / (z.exp().sum() - z.exp()[i]),
                "the odds: this word against the others. The sum must include the word itself.",
            ),
            Mistake(
                lambda z, i: 1 / len(z),
                "1/V, whatever the logits say: that is uniform guessing.",
            ),
        ),
        hints=(
            "the formula p_j(v) in the section on the loss, for one position j.",
            "exp of every logit; then divide the one of the token by the sum.",
            "logits.exp()[token_id] / logits.exp().sum(), or logits.softmax(dim=0)[token_id].",
        ),
        after="Minus its logarithm is what this position adds to the loss.",
        right=(
            lambda logits, token_id: logits.softmax(dim=0)[token_id],
            lambda logits, token_id: logits[token_id].exp() / logits.exp().sum(),
            lambda logits, token_id: torch.exp(
                -torch.nn.functional.cross_entropy(logits[None], torch.tensor([token_id]))
            ).item(),
            probability_by_loop,
        ),
        wrong=(
            (lambda logits, token_id: torch.sigmoid(logits)[token_id], "the sigmoid of one logit"),
            (lambda logits, token_id: logits.log_softmax(dim=0)[token_id], "the logarithm of the probability"),
            (lambda logits, token_id: logits.exp()[token_id].item(), "not yet divided by the sum"),
            (lambda logits, token_id: torch.softmax(logits, 0), "all V probabilities"),
            (lambda logits, token_id: logits[token_id] / sum(logits), "divided by the sum of the logits"),
            (lambda logits, token_id: logits.argmax() == token_id, "should give 0.25"),
            (lambda logits, token_id: logits.softmax(dim=1)[token_id], "raises IndexError"),
        ),
    ),
    Exercise(
        id="05.2",
        kind="predict",
        title="who sees the future",
        solution="my_places = (7, 10)  # (GPT, BERT)",
        expected=(7, 10),
        mistakes=(
            Mistake(
                ((6, 10),),
                "The prediction at the changed position itself changes too: GPT predicts the next word from the new word. "
                "Only the positions before it stay the same.",
            ),
            Mistake(
                ((3, 10), (4, 10)),
                "Those are the positions to the left. GPT attends to the left, so the change affects the positions to the right.",
            ),
            Mistake(((10, 7),), "The two are swapped: the first number belongs to GPT, the second to BERT."),
            Mistake(
                (10, 10),
                "That would be two BERTs. In GPT no position may attend to the right, so the first ones do not change.",
            ),
            Mistake(
                ((7, 9), (6, 9)), "In BERT the changed position counts as well: it reads the new word and predicts from it."
            ),
            Mistake(((7, 7),), "In BERT the positions to the left attend to the right as well."),
            Mistake(((1, 1), (1, 10)), "Attention passes the change on, so predictions at other positions change too."),
        ),
        hints=(
            "write down ten dots and mark the fourth. Which of the others may attend to it?",
            "in BERT every position attends everywhere; in GPT a position attends to itself and to the left.",
            "in GPT the fourth position changes and all to its right; count them.",
        ),
        after="This is why GPT can generate one word after the other, and why BERT needs a mask.",
        right=(
            (7, 10),
            [7, 10],
            torch.tensor([7, 10]),
        ),
        wrong=(
            ((6, 10), "The prediction at the changed position"),
            ((4, 10), "Those are the positions to the left"),
            ((10, 7), "swapped"),
            (7, "is not correct"),
        ),
    ),
    Exercise(
        id="05.3",
        kind="choice",
        title="what the probe shows",
        solution='my_reading = "c"',
        question="The probe reads some sentiment at layer 0, most at layers 4 and 5, less at the last. What can you conclude?",
        expected="c",
        options={
            "a": (
                "layer 5 knows more about sentiment than layer 4",
                "Look at the intervals: those of neighbouring layers overlap. This validation set is too small to "
                "distinguish them.",
            ),
            "b": (
                "the last layer has forgotten what the words mean",
                "It was tuned to give sentences about the same topic similar vectors. Information that a linear probe does not "
                "find may still be there.",
            ),
            "c": (
                "word vectors alone, before any attention, contain much of the sentiment",
                "Layer 0 comes before any attention, and its whole interval is far above the chance level of 0.5. The middle layers "
                "probably add to it, but their intervals still touch that of layer 0.",
            ),
            "d": (
                "fine-tuning should stop at layer 5, since the last layer does harm",
                "The probe sees frozen states. When you fine-tune a model, the last layer changes as well.",
            ),
        },
        hints=("what is layer 0, and where is chance level?",),
    ),
    Exercise(
        id="05.4",
        kind="debug",
        title="labels that forget -100",
        solution=labels_for,
        given=labels_at_every_place,
        cases=(
            Case(
                "labels_for([[101, 7, 8, 102]], chosen at the 8)",
                (torch.tensor([[101, 7, 8, 102]]), torch.tensor([[False, False, True, False]])),
                [[-100, -100, 8, -100]],
            ),
            Case(
                "labels_for([[5, 6], [7, 8]], chosen at the 5 and the 8)",
                (torch.tensor([[5, 6], [7, 8]]), torch.tensor([[True, False], [False, True]])),
                [[5, -100], [-100, 8]],
            ),
            Case(
                "labels_for([[5, 6, 7]], chosen nowhere)",
                (torch.tensor([[5, 6, 7]]), torch.tensor([[False, False, False]])),
                [[-100, -100, -100]],
            ),
            Case(
                "labels_for([[5, 6, 7]], chosen everywhere)",
                (torch.tensor([[5, 6, 7]]), torch.tensor([[True, True, True]])),
                [[5, 6, 7]],
            ),
        ),
        observe=labels_or_overwritten,
        mistakes=(
            Mistake(
                overwrites,
                "the labels are right, but input_ids was changed in place, and the model would read -100 as a word. Work "
                "on a copy.",
            ),
            Mistake(
                lambda ids, chosen: ids.masked_fill(chosen, -100),
                "inverted: the chosen positions are the ones that count, so they keep their word.",
            ),
            Mistake(
                (lambda ids, chosen: ids.masked_fill(~chosen, 0), lambda ids, chosen: ids.masked_fill(~chosen, -1)),
                "the other positions got a number that does not mean 'ignore'. 0 is a token like any other; "
                "cross_entropy ignores -100.",
            ),
            Mistake(
                lambda ids, chosen: ids[chosen],
                "only the chosen words, without their positions. The logits are (B, T, V), so the labels must be (B, T).",
            ),
        ),
        hints=(
            "at which positions does the model of section 11 find the label in its input?",
            "every position that was not chosen must get -100; `~chosen` is True there.",
            "input_ids.masked_fill(~chosen, -100) makes a new tensor.",
        ),
        after="With these labels cross_entropy(logits.flatten(0, 1), labels.flatten()) is the mean over the chosen positions.",
        right=(
            lambda input_ids, chosen: input_ids.masked_fill(~chosen, -100),
            lambda input_ids, chosen: torch.where(chosen, input_ids, -100),
            labels_filled_in,
            labels_by_loop,
        ),
        wrong=(
            (lambda input_ids, chosen: input_ids, "as it was given"),
            (lambda input_ids, chosen: torch.where(chosen, -100, input_ids), "inverted"),
            (lambda input_ids, chosen: input_ids * chosen, "0 is a token like any other"),
            (labels_overwritten, "input_ids was changed in place"),
            (lambda input_ids, chosen: torch.masked_select(input_ids, chosen), "without their positions"),
        ),
    ),
    Exercise(
        id="05.q1",
        kind="choice",
        title="who writes the labels",
        question="In masked-language-model pretraining, where do the labels come from?",
        expected="b",
        options={
            "a": ("people mark the sentiment of each sentence", "That is fine-tuning. Pretraining has no such labels."),
            "b": ("from the text: the hidden words are the labels", "That is why it is called self-supervised."),
            "c": (
                "there are none, the loss needs no labels",
                "The loss is a cross-entropy, which needs a label at every position it counts.",
            ),
        },
    ),
    Exercise(
        id="05.q2",
        kind="choice",
        title="an untrained language model",
        question="A masked language model with a vocabulary of 8,000 words is untrained. About which loss does it start with?",
        expected="a",
        options={
            "a": ("log 8,000, about 9.0", "8,000 equally likely words: the same rule as log C for a classifier."),
            "b": ("log 2, about 0.7", "That is for two classes. Here every word of the vocabulary is a class."),
            "c": (
                "0.15 times log 8,000, about 1.3, since 15 % of the positions count",
                "The loss is the mean over the positions that count, however few they are.",
            ),
        },
    ),
    Exercise(
        id="05.q3",
        kind="choice",
        title="too good to be true",
        question="After 200 steps of your own pretraining the loss is 0.3. What do you suspect first?",
        expected="c",
        options={
            "a": ("the learning rate is too small", "Then the loss would hardly have moved from log V."),
            "b": ("nothing: the model is excellent", "Even large models have a higher loss at hidden words. Measure again."),
            "c": (
                "the loss counts positions whose word is in the input",
                "A model learns to copy very quickly. Measure at masked positions only.",
            ),
        },
    ),
]
