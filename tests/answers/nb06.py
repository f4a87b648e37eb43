"""Answers to the exercises of notebook 06 that people give: right ones, and wrong ones with words of what they are told."""

import math

import numpy as np
import torch
from torch.nn.functional import cross_entropy, nll_loss


def loss_by_loop(logits, labels):
    losses = [math.log(sum(math.exp(z) for z in row)) - row[y] for row, y in zip(logits.tolist(), labels, strict=True)]
    return sum(losses) / len(losses)


def rate_by_cases(step, num_steps, warmup_steps, peak):
    if step < warmup_steps:
        return peak * step / warmup_steps
    left = num_steps - step
    return peak * left / (num_steps - warmup_steps)


def rate_by_transformers(step, num_steps, warmup_steps, peak):
    from transformers import get_linear_schedule_with_warmup

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    return get_linear_schedule_with_warmup(optimizer, warmup_steps, num_steps).lr_lambdas[0](step) * peak


def rate_with_plus_one(step, num_steps, warmup_steps, peak):
    return peak * min((step + 1) / (warmup_steps + 1), (num_steps - step) / (num_steps - warmup_steps))


def rate_that_falls_at_once(step, num_steps, warmup_steps, peak):
    return peak - peak * step / num_steps


def report_by_loop(validation, test):
    best = 0
    for epoch in range(len(validation)):
        if validation[epoch] > validation[best]:
            best = epoch
    return test[best]


def clipped_by_hand(gradients, max_norm):
    total = math.sqrt(sum(float((gradient * gradient).sum()) for gradient in gradients))
    if total <= max_norm:
        return gradients
    return [gradient * (max_norm / total) for gradient in gradients]


def clipped_by_torch(gradients, max_norm):
    parameters = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    return [parameter.grad for parameter in parameters]


def clipped_apart(gradients, max_norm):
    return [g if g.norm() <= max_norm else g / g.norm() * max_norm for g in gradients]


def clipped_to_length(gradients, max_norm):
    total = torch.cat([g.flatten() for g in gradients]).norm()
    return [g / total * max_norm for g in gradients]


def one_by_one(model, batch):
    answers = []
    for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
        answers.append(model(ids[mask == 1][None]).logits.argmax().item())
    return answers


RIGHT = {
    "06.1": [math.log(5), 1.609, np.float64(1.6094), 1.61],
    "06.2": [
        cross_entropy,
        lambda logits, labels: nll_loss(logits.log_softmax(dim=1), labels),
        lambda logits, labels: -logits.softmax(1)[range(len(labels)), labels].log().mean(),
        loss_by_loop,
    ],
    "06.3": [
        rate_by_cases,
        rate_by_transformers,
        lambda step, n, w, peak: np.interp(step, [0, w, n] if w else [0, n], [0, peak, 0] if w else [peak, 0]),
        lambda step, n, w, peak: peak * min(step / w if w else 1.0, (n - step) / (n - w)),
    ],
    "06.4": [clipped_by_hand, clipped_by_torch],
    "06.6": [
        lambda validation, test: test[validation.index(max(validation))],
        lambda validation, test: test[np.argmax(validation)],
        lambda validation, test: max(zip(validation, test, strict=True))[1],
        report_by_loop,
    ],
    "06.7": [
        lambda model, batch: model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits.argmax(dim=1),
        lambda model, batch: model(**batch).logits.argmax(-1).tolist(),
        lambda model, batch: model(batch["input_ids"], (batch["input_ids"] > 0).long()).logits.max(dim=1).indices,
        one_by_one,
    ],
}
WRONG = {
    "06.1": [
        (0.6931, "the loss for two classes"),
        (2.32, "in bits"),
        (0.2, "the probability of the right class"),
        (5, "is not it"),
    ],
    "06.2": [
        (lambda logits, labels: cross_entropy(torch.softmax(logits, -1), labels), "as it was given"),
        (lambda logits, labels: -logits.softmax(1)[range(len(labels)), labels].mean(), "got probabilities"),
        (lambda logits, labels: len(labels) * cross_entropy(logits, labels), "the sum over the batch"),
        (lambda logits, labels: -cross_entropy(logits, labels), "the sign"),
        (lambda logits, labels: cross_entropy(logits.log_softmax(dim=0), labels), "should give"),
    ],
    "06.3": [
        (rate_with_plus_one, "no + 1"),
        (rate_that_falls_at_once, "there is no warm-up"),
        (lambda step, n, w, peak: peak * min(1.0, step / w if w else 1.0), "stays at its peak"),
        (lambda step, n, w, peak: min(step / w if w else 1.0, (n - step) / (n - w)), "is the factor times peak"),
        (lambda step, n, w, peak: peak, "should give 0"),
    ],
    "06.4": [
        (clipped_apart, "each tensor was clipped separately"),
        (
            lambda gradients, max_norm: [torch.clamp(g, -max_norm, max_norm) for g in gradients],
            "each number was clipped separately",
        ),
        (clipped_to_length, "every gradient gets the norm max_norm"),
        (lambda gradients, max_norm: gradients, "should give [[0.6, 0.8]]"),
        (lambda gradients, max_norm: [g / g.sum() for g in gradients], "should give"),
    ],
    "06.6": [
        (lambda validation, test: max(test), "as it was given"),
        (lambda validation, test: test[-1], "the last epoch"),
        (lambda validation, test: max(validation), "picked for being high"),
        (lambda validation, test: np.argmax(validation), "the number of the epoch"),
        (lambda validation, test: max(validation + test), "should give 0.81"),
    ],
    "06.7": [
        (lambda model, batch: model(batch["input_ids"]).logits.argmax(-1), "as it was given"),
        (
            lambda model, batch: model(batch["input_ids"], torch.ones_like(batch["input_ids"])).logits.argmax(1),
            "as it was given",
        ),
        (lambda model, batch: model(batch["input_ids"], batch["attention_mask"] == 0).logits.argmax(1), "inverted"),
        (lambda model, batch: model(**batch).logits, "The predicted class of a sentence"),
        (lambda model, batch: model(batch).logits.argmax(1), "raises"),
    ],
}
