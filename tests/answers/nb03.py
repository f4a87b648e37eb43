"""Answers to the exercises of notebook 03 that people give: right ones, and wrong ones with words of what they are told."""

import numpy as np
import torch
from torch.nn import functional


def looped_mean(states, attention_mask):
    rows = []
    for text, mask in zip(states, attention_mask, strict=True):
        rows.append(text[mask.bool()].mean(dim=0).tolist())
    return rows


def in_place_mean(states, attention_mask):
    states *= attention_mask.unsqueeze(2)
    return states.sum(dim=1) / attention_mask.sum(dim=1, keepdim=True)


def multiplied_mean(states, attention_mask):
    weights = attention_mask.float() / attention_mask.float().sum(dim=1, keepdim=True)
    return torch.einsum("bth,bt->bh", states, weights)


def loss_by_hand(logits, labels):
    logits, labels = logits.numpy().astype(float), labels.numpy()
    return np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(logits, labels, strict=True)])


def asks_politely(model, inputs):
    before = model.training
    model.eval()
    with torch.inference_mode():
        answer = model(inputs)
    model.train(before)
    return answer


def asks_with_finally(model, inputs):
    was_training = model.training
    try:
        return model.eval()(inputs)
    finally:
        if was_training:
            model.train()


def asks_often(model, inputs):
    with torch.no_grad():
        return sum(model(inputs) for _ in range(50)) / 50


def counted(batches):
    right = total = 0
    for predictions, labels in batches:
        right += int((np.array(predictions) == np.array(labels)).sum())
        total += len(labels)
    return right / total


def weighted(batches):
    shares = [np.mean(np.array(predictions) == np.array(labels)) for predictions, labels in batches]
    return np.average(shares, weights=[len(labels) for _, labels in batches])


def looped_last(states, attention_mask):
    return torch.stack([text[int(mask.nonzero().max())] for text, mask in zip(states, attention_mask, strict=True)])


def gathered_last(states, attention_mask):
    places = (attention_mask.sum(dim=1) - 1)[:, None, None].expand(-1, 1, states.shape[2])
    return states.gather(1, places).squeeze(1)


RIGHT = {
    "03.1": [looped_mean, in_place_mean, multiplied_mean],
    "03.2": [
        functional.cross_entropy,
        loss_by_hand,
        lambda logits, labels: functional.nll_loss(logits.log_softmax(dim=1), labels),
        lambda logits, labels: functional.cross_entropy(logits.log_softmax(dim=1), labels).item(),
    ],
    "03.3": [asks_politely, asks_with_finally],
    "03.4": [counted, weighted],
    "03.5": [looped_last, gathered_last],
}
WRONG = {
    "03.1": [
        (lambda states, mask: states.sum(1) / states.shape[1], "the mask was not used"),
        (lambda states, mask: torch.einsum("bth,bt->bh", states, mask.float()) / states.size(1), "not by T"),
        (lambda states, mask: states.masked_fill(~mask.bool()[..., None], 0).sum(1), "this is the sum"),
        (lambda states, mask: (states * mask[..., None]).sum(dim=1) / mask.sum(), "of the whole batch"),
        (lambda states, mask: states.masked_fill(mask[..., None] == 0, -1e9).max(dim=1).values, "max pooling"),
        (lambda states, mask: (states * mask).sum(1), "should give"),
    ],
    "03.2": [
        (lambda logits, labels: functional.cross_entropy(functional.softmax(logits, dim=-1), labels), "as it was given"),
        (lambda logits, labels: -logits.softmax(1)[torch.arange(len(labels)), labels].mean(), "The logarithm is missing"),
        (lambda logits, labels: -logits[torch.arange(len(labels)), labels].mean(), "minus the logit"),
        (lambda logits, labels: functional.cross_entropy(torch.sigmoid(logits), labels), "a sigmoid"),
        (lambda logits, labels: functional.cross_entropy(logits, labels) * len(labels), "the sum over the batch"),
        (lambda logits, labels: functional.cross_entropy(logits.argmax(dim=1), labels), "raises"),
    ],
    "03.3": [
        (lambda model, inputs: model(inputs).detach(), "as it was given"),
        (lambda model, inputs: model.eval()(inputs), "stays in evaluation mode"),
        (lambda model, inputs: (model.eval()(inputs), model.train())[0], "always ends in training mode"),
        (lambda model, inputs: model.train()(inputs), "should give"),
        (asks_often, "should give"),
    ],
    "03.4": [
        (lambda batches: np.mean([np.mean(np.equal(*batch)) for batch in batches]), "as it was given"),
        (lambda batches: sum(np.sum(np.equal(*batch)) for batch in batches) / len(batches), "number of batches"),
        (lambda batches: sum(np.sum(np.equal(*batch)) for batch in batches), "not their share"),
        (lambda batches: 1 - counted(batches), "the error rate"),
        (lambda batches: counted([b for b in batches if len(b[0]) == len(batches[0][0])]), "left out"),
        (
            lambda batches: counted(batches) * sum(len(b[0]) for b in batches) / len(batches) / len(batches[0][0]),
            "as the first",
        ),
    ],
    "03.5": [
        (lambda states, mask: states[:, states.shape[1] - 1], "as it was given"),
        (lambda states, mask: states[torch.arange(len(states)), mask.sum(1)], "one position too far"),
        (lambda states, mask: states[:, mask.sum(1).max() - 1], "the length of the longest"),
        (lambda states, mask: (states * mask.unsqueeze(-1))[:, -1], "set to zero"),
        (lambda states, mask: states[torch.arange(len(states)), mask.argmax(dim=1)], "the first word"),
        (lambda states, mask: states.mean(dim=1), "should give"),
    ],
}
