"""Answers to the exercises of notebook 05 that people give: right ones, and wrong ones with words of what they are told."""

import math

import torch


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


RIGHT = {
    "05.1": [
        lambda logits, token_id: logits.softmax(dim=0)[token_id],
        lambda logits, token_id: logits[token_id].exp() / logits.exp().sum(),
        lambda logits, token_id: torch.exp(
            -torch.nn.functional.cross_entropy(logits[None], torch.tensor([token_id]))
        ).item(),
        probability_by_loop,
    ],
    "05.2": [(7, 10), [7, 10], torch.tensor([7, 10])],
    "05.4": [
        lambda input_ids, chosen: input_ids.masked_fill(~chosen, -100),
        lambda input_ids, chosen: torch.where(chosen, input_ids, -100),
        labels_filled_in,
        labels_by_loop,
    ],
}
WRONG = {
    "05.1": [
        (lambda logits, token_id: torch.sigmoid(logits)[token_id], "the sigmoid of one logit"),
        (lambda logits, token_id: logits.log_softmax(dim=0)[token_id], "the logarithm of the probability"),
        (lambda logits, token_id: logits.exp()[token_id].item(), "not yet divided by the sum"),
        (lambda logits, token_id: torch.softmax(logits, 0), "all V probabilities"),
        (lambda logits, token_id: logits[token_id] / sum(logits), "divided by the sum of the logits"),
        (lambda logits, token_id: logits.argmax() == token_id, "should give 0.25"),
        (lambda logits, token_id: logits.softmax(dim=1)[token_id], "raises IndexError"),
    ],
    "05.2": [
        ((6, 10), "The prediction at the changed position"),
        ((4, 10), "Those are the positions to the left"),
        ((10, 7), "swapped"),
        (7, "is not it"),
    ],
    "05.4": [
        (lambda input_ids, chosen: input_ids, "as it was given"),
        (lambda input_ids, chosen: torch.where(chosen, -100, input_ids), "inverted"),
        (lambda input_ids, chosen: input_ids * chosen, "0 is a token like any other"),
        (labels_overwritten, "input_ids was changed in place"),
        (lambda input_ids, chosen: torch.masked_select(input_ids, chosen), "without their positions"),
    ],
}
