"""Answers to the exercises of notebook 04 that people give: right ones, and wrong ones with words of what they are told."""

import math

import torch
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, log_softmax


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


RIGHT = {
    "04.1": [
        lambda scores, labels: binary_cross_entropy_with_logits(scores.squeeze(1), labels.float()),
        lambda scores, labels: binary_cross_entropy(scores.sigmoid(), labels[:, None].float()),
        lambda scores, labels: cross_entropy(torch.cat([torch.zeros_like(scores), scores], dim=1), labels),
        loss_by_loop,
    ],
    "04.2": [
        lambda ids: ids.T,
        lambda ids: ids.permute(1, 0).contiguous(),
        lambda ids: torch.stack(ids.unbind(dim=1)),
        columns_as_rows,
    ],
    "04.3": [
        counted,
        lambda batches: (torch.cat([p for p, _ in batches]) == torch.cat([y for _, y in batches])).float().mean(),
        lambda batches: sum((p == y).sum() for p, y in batches) / sum(y.numel() for _, y in batches),
    ],
}
WRONG = {
    "04.1": [
        (lambda scores, labels: -(labels * log_softmax(scores[:, 0], 0)).sum(), "as it was given"),
        (lambda scores, labels: cross_entropy(scores, labels), "should give"),
        (lambda scores, labels: binary_cross_entropy_with_logits(scores, labels.float()), "raises ValueError"),
        (
            lambda scores, labels: binary_cross_entropy_with_logits(torch.sigmoid(scores[:, 0]), labels.float()),
            "the sigmoid was applied twice",
        ),
        (lambda scores, labels: (torch.log1p(scores.exp()) - labels * scores).mean(), "each score was compared"),
        (lambda scores, labels: (scores[:, 0].sigmoid() - labels).square().mean(), "the squared error"),
    ],
    "04.2": [
        (lambda ids: ids.view(ids.size(1), -1), "as it was given"),
        (lambda ids: ids, "the axes are not swapped"),
        (lambda ids: ids.flip(0).T, "one of the axes runs backwards"),
        (lambda ids: ids.T.reshape(-1), "joined into one row"),
    ],
    "04.3": [
        (mean_of_means, "one review of a small batch counts as much"),
        (only_the_last, "only the last batch"),
        (lambda batches: sum((p == y).sum() for p, y in batches), "Divide by the number of reviews"),
        (lambda batches: sum((p == y).sum() for p, y in batches) / len(batches), "divided by the number of batches"),
        (lambda batches: 1.0, "should give 0.8"),
    ],
}
