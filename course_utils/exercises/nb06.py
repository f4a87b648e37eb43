"""Exercises of notebook 06, fine-tune BERT."""

import math
from types import SimpleNamespace

import numpy as np
import torch
from torch.nn.functional import cross_entropy, nll_loss

from .definition import Case, Exercise, Mistake

LOG2, LOG3 = math.log(2), math.log(3)


class VotingModel:
    """A replacement for a classifier: token 7 votes for class 1, every other unmasked token for class 0."""

    def __call__(self, input_ids, attention_mask=None, token_type_ids=None):
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        votes = torch.where(input_ids == 7, 1.0, -1.0) * mask
        mean = votes.sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        return SimpleNamespace(logits=torch.stack([-mean, mean], dim=1))  # (B, C)


def batch_of(*rows):
    """Return a padded batch (0 is padding) with its mask."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def softmax_before_the_loss(logits, labels):
    probabilities = logits.softmax(dim=1)
    return torch.nn.functional.cross_entropy(probabilities, labels)


def chosen_on_the_test_part(validation, test):
    return max(test)


def without_the_mask(model, batch):
    return model(batch["input_ids"]).logits.argmax(dim=1)


def length(gradients):
    return math.sqrt(sum((gradient**2).sum().item() for gradient in gradients))


def fall(step, num_steps, warmup_steps):
    return (num_steps - step) / (num_steps - warmup_steps)


# The solutions.
def loss_of(logits, labels):
    return torch.nn.functional.cross_entropy(logits, labels)


def rate_at(step, num_steps, warmup_steps, peak):
    if step < warmup_steps:
        return peak * step / warmup_steps
    return peak * (num_steps - step) / (num_steps - warmup_steps)


def clipped(gradients, max_norm):
    length = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    factor = 1.0 if length <= max_norm else max_norm / length
    return [factor * gradient for gradient in gradients]


def accuracy_to_report(validation, test):
    best_epoch = int(np.argmax(validation))
    return test[best_epoch]


def answers_of(model, batch):
    return model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits.argmax(dim=1)


# Other answers, right and wrong, that test the checks.
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


EXERCISES = [
    Exercise(
        id="06.1",
        kind="predict",
        title="the untrained loss",
        solution="my_untrained_loss = np.log(5)",
        expected=math.log(5),
        tolerance=0.005,
        mistakes=(
            Mistake(LOG2, "That is the loss for two classes. The head has five rows now."),
            Mistake(math.log2(5), "That is in bits. Use the natural logarithm, as PyTorch does."),
            Mistake(0.2, "That is the probability of the right class. The loss is minus its logarithm."),
            Mistake(-math.log(5), "The size is right, but cross-entropy is never negative: -log(1/5)."),
            Mistake(0.8, "That is the share of wrong answers. Cross-entropy is minus the logarithm of a probability."),
        ),
        hints=(
            "which probability does an untrained head give to each of five classes, on average?",
            "a fifth each. The loss is minus the logarithm of the probability of the right class.",
            "-log(1/5) = log 5; math.log(5) computes it.",
        ),
        after="Print it before every first training run: an untrained loss far from log C is a bug found early.",
        right=(
            math.log(5),
            1.609,
            np.float64(1.6094),
            1.61,
        ),
        wrong=(
            (0.6931, "the loss for two classes"),
            (2.32, "in bits"),
            (0.2, "the probability of the right class"),
            (5, "is not correct"),
        ),
    ),
    Exercise(
        id="06.2",
        kind="debug",
        title="the softmax before the loss",
        solution=loss_of,
        given=softmax_before_the_loss,
        cases=(
            Case("loss_of(logits=[[log 3, 0]], labels=[0])", (torch.tensor([[LOG3, 0.0]]), torch.tensor([0])), 0.28768),
            Case("loss_of(logits=[[log 3, 0]], labels=[1])", (torch.tensor([[LOG3, 0.0]]), torch.tensor([1])), 1.38629),
            Case(
                "loss_of(logits=[[log 3, 0], [0, log 3]], labels=[0, 0])",
                (torch.tensor([[LOG3, 0.0], [0.0, LOG3]]), torch.tensor([0, 0])),
                0.83699,
            ),
            Case(
                "loss_of(logits=[[0, 0, log 2]], labels=[2])", (torch.tensor([[0.0, 0.0, LOG2]]), torch.tensor([2])), 0.69315
            ),
        ),
        mistakes=(
            Mistake(
                lambda logits, labels: nll_loss(logits.softmax(dim=1), labels),
                "nll_loss expects the logarithms of probabilities and got probabilities. Use log_softmax, or pass the logits "
                "to cross_entropy.",
            ),
            Mistake(
                lambda logits, labels: cross_entropy(logits, labels, reduction="sum"),
                "the sum over the batch. The loss is the mean, so that a larger batch does not mean longer steps.",
            ),
            Mistake(
                lambda logits, labels: logits.log_softmax(dim=1)[torch.arange(len(labels)), labels].mean(),
                "the sign: minus the logarithm.",
            ),
            Mistake(
                (
                    lambda logits, labels: nll_loss(logits.log_softmax(dim=0), labels),
                    lambda logits, labels: cross_entropy(logits.softmax(dim=0), labels),
                ),
                "the softmax runs over the sentences of the batch (dim=0). The classes of one sentence compete: dim=1.",
            ),
            Mistake(
                lambda logits, labels: cross_entropy(logits.sigmoid(), labels),
                "a sigmoid instead of the softmax: these are still probabilities, not logits.",
            ),
        ),
        hints=(
            "what does cross_entropy do with its first argument before anything else?",
            "it applies the softmax. So what should you pass?",
            "the logits themselves: cross_entropy(logits, labels).",
        ),
        after="With the bug the loss of two classes cannot fall below 0.313, however confident the model is.",
        right=(
            cross_entropy,
            lambda logits, labels: nll_loss(logits.log_softmax(dim=1), labels),
            lambda logits, labels: -logits.softmax(1)[range(len(labels)), labels].log().mean(),
            loss_by_loop,
        ),
        wrong=(
            (lambda logits, labels: cross_entropy(torch.softmax(logits, -1), labels), "as it was given"),
            (lambda logits, labels: -logits.softmax(1)[range(len(labels)), labels].mean(), "got probabilities"),
            (lambda logits, labels: len(labels) * cross_entropy(logits, labels), "the sum over the batch"),
            (lambda logits, labels: -cross_entropy(logits, labels), "the sign"),
            (lambda logits, labels: cross_entropy(logits.log_softmax(dim=0), labels), "should give"),
        ),
    ),
    Exercise(
        id="06.3",
        kind="complete",
        title="the learning rate at a step",
        solution=rate_at,
        cases=(
            Case("rate_at(step=0, num_steps=20, warmup_steps=4, peak=1.0)", (0, 20, 4, 1.0), 0.0),
            Case("rate_at(step=3, num_steps=20, warmup_steps=4, peak=1.0)", (3, 20, 4, 1.0), 0.75),
            Case("rate_at(step=4, num_steps=20, warmup_steps=4, peak=1.0)", (4, 20, 4, 1.0), 1.0),
            Case("rate_at(step=12, num_steps=20, warmup_steps=4, peak=1.0)", (12, 20, 4, 1.0), 0.5),
            Case("rate_at(step=12, num_steps=20, warmup_steps=4, peak=0.1)", (12, 20, 4, 0.1), 0.05),
            Case("rate_at(step=0, num_steps=10, warmup_steps=0, peak=1.0)", (0, 10, 0, 1.0), 1.0),
        ),
        mistakes=(
            Mistake(
                lambda step, num_steps, warmup_steps, peak: peak * min(1, step / warmup_steps if warmup_steps else 1),
                "after the warm-up the learning rate stays at its peak. It should decay to zero.",
            ),
            Mistake(
                lambda step, num_steps, warmup_steps, peak: (
                    peak * ((step + 1) / warmup_steps if step < warmup_steps else fall(step, num_steps, warmup_steps))
                ),
                "the peak is reached one step early. It should be at step warmup_steps, and step 0 has the learning rate 0.",
            ),
            Mistake(
                lambda step, num_steps, warmup_steps, peak: (
                    peak * ((step + 1) / (warmup_steps + 1) if step < warmup_steps else fall(step, num_steps, warmup_steps))
                ),
                "here step 0 has the learning rate 0, as in transformers: no + 1.",
            ),
            Mistake(
                lambda step, num_steps, warmup_steps, peak: (
                    peak * (step / warmup_steps if step < warmup_steps else (num_steps - step) / num_steps)
                ),
                "the decay is counted from the start of the run, so the learning rate jumps down after the warm-up. From the "
                "peak at warmup_steps to zero at num_steps it takes num_steps - warmup_steps steps.",
            ),
            Mistake(
                lambda step, num_steps, warmup_steps, peak: (
                    step / warmup_steps if step < warmup_steps else fall(step, num_steps, warmup_steps)
                ),
                "this is the factor, between 0 and 1. The learning rate is the factor times peak.",
            ),
            Mistake(
                lambda step, num_steps, warmup_steps, peak: peak * (num_steps - step) / num_steps,
                "there is no warm-up: the learning rate decays from the first step.",
            ),
        ),
        hints=(
            "two straight lines: one for step < warmup_steps, one for the rest.",
            "going up, the share of the peak is step / warmup_steps.",
            "going down, it is (num_steps - step) / (num_steps - warmup_steps).",
        ),
        after="transformers.get_linear_schedule_with_warmup multiplies the learning rate of any optimiser by this factor.",
        right=(
            rate_by_cases,
            rate_by_transformers,
            lambda step, n, w, peak: np.interp(step, [0, w, n] if w else [0, n], [0, peak, 0] if w else [peak, 0]),
            lambda step, n, w, peak: peak * min(step / w if w else 1.0, (n - step) / (n - w)),
        ),
        wrong=(
            (rate_with_plus_one, "no + 1"),
            (rate_that_falls_at_once, "there is no warm-up"),
            (lambda step, n, w, peak: peak * min(1.0, step / w if w else 1.0), "stays at its peak"),
            (lambda step, n, w, peak: min(step / w if w else 1.0, (n - step) / (n - w)), "is the factor times peak"),
            (lambda step, n, w, peak: peak, "should give 0"),
        ),
    ),
    Exercise(
        id="06.4",
        kind="complete",
        title="gradient clipping",
        solution=clipped,
        cases=(
            Case("clipped(gradients=[[3, 4]], max_norm=1)", ([torch.tensor([3.0, 4.0])], 1.0), [[0.6, 0.8]]),
            Case(
                "clipped(gradients=[[3], [4]], max_norm=1)",
                ([torch.tensor([3.0]), torch.tensor([4.0])], 1.0),
                [[0.6], [0.8]],
            ),
            Case(
                "clipped(gradients=[[6, 0], [[0], [8]]], max_norm=5)",
                ([torch.tensor([6.0, 0.0]), torch.tensor([[0.0], [8.0]])], 5.0),
                [[3.0, 0.0], [[0.0], [4.0]]],
            ),
            Case("clipped(gradients=[[0.3, 0.4]], max_norm=1)", ([torch.tensor([0.3, 0.4])], 1.0), [[0.3, 0.4]]),
            Case("clipped(gradients=[[0, 0]], max_norm=1)", ([torch.zeros(2)], 1.0), [[0.0, 0.0]]),
        ),
        mistakes=(
            Mistake(
                lambda gradients, max_norm: [g * min(1, max_norm / max(g.norm().item(), 1e-9)) for g in gradients],
                "each tensor was clipped separately, so the direction of the whole step changes. Use the norm of all "
                "gradients together, and multiply all of them by the same factor.",
            ),
            Mistake(
                lambda gradients, max_norm: [g.clamp(-max_norm, max_norm) for g in gradients],
                "each number was clipped separately. That changes the direction of the step; scale all gradients instead.",
            ),
            Mistake(
                (
                    lambda gradients, max_norm: [g * (max_norm / torch.tensor(length(gradients))) for g in gradients],
                    lambda gradients, max_norm: [g * max_norm / max(length(gradients), 1e-9) for g in gradients],
                ),
                "every gradient gets the norm max_norm. If the norm is already smaller, or zero, leave it unchanged.",
            ),
            Mistake(
                lambda gradients, max_norm: [g * min(1, max_norm / max(length(gradients) ** 2, 1e-9)) for g in gradients],
                "you divided by the square of the norm. The square root is missing.",
            ),
        ),
        hints=(
            "first one number: the norm of all gradients together, as if they were one long vector.",
            "then one factor for all of them: max_norm / norm, but never above 1.",
            "length = torch.cat([g.flatten() for g in gradients]).norm(); the factor is 1.0 if length <= max_norm.",
        ),
        after="torch.nn.utils.clip_grad_norm_ does it in place. The step keeps its direction and becomes shorter.",
        right=(
            clipped_by_hand,
            clipped_by_torch,
        ),
        wrong=(
            (clipped_apart, "each tensor was clipped separately"),
            (
                lambda gradients, max_norm: [torch.clamp(g, -max_norm, max_norm) for g in gradients],
                "each number was clipped separately",
            ),
            (clipped_to_length, "every gradient gets the norm max_norm"),
            (lambda gradients, max_norm: gradients, "should give [[0.6, 0.8]]"),
            (lambda gradients, max_norm: [g / g.sum() for g in gradients], "should give"),
        ),
    ),
    Exercise(
        id="06.5",
        kind="choice",
        title="reading the curves",
        solution='my_diagnosis = "b"',
        question="In another run the training loss falls to 0.05; the validation loss falls to 0.42 and then climbs to 0.70; "
        "the validation accuracy stays at 0.81. What is going on?",
        expected="b",
        options={
            "a": (
                "the learning rate is ten times too small",
                "Then the training loss would not have fallen to 0.05.",
            ),
            "b": (
                "the model overfits: it memorises its sentences, and its wrong predictions become more confident",
                "Accuracy counts only which class has the larger probability; the loss also punishes confident mistakes.",
            ),
            "c": (
                "every parameter is frozen, so nothing is learned",
                "Then the training loss could not have fallen. (With a frozen head alone it can: the layers below adapt to it.)",
            ),
            "d": (
                "validation sentences are in the training set",
                "Then the validation loss would fall with the training loss.",
            ),
        },
        hints=("the accuracy stays and the loss climbs: what does the loss see that the accuracy does not?",),
    ),
    Exercise(
        id="06.6",
        kind="debug",
        title="the epoch chosen on the test set",
        solution=accuracy_to_report,
        given=chosen_on_the_test_part,
        cases=(
            Case(
                "accuracy_to_report(validation=[0.80, 0.84, 0.83, 0.82], test=[0.79, 0.81, 0.85, 0.80])",
                ([0.80, 0.84, 0.83, 0.82], [0.79, 0.81, 0.85, 0.80]),
                0.81,
            ),
            Case(
                "accuracy_to_report(validation=[0.7, 0.6, 0.6], test=[0.65, 0.9, 0.7])",
                ([0.7, 0.6, 0.6], [0.65, 0.9, 0.7]),
                0.65,
            ),
            Case(
                "accuracy_to_report(validation=[0.5, 0.6, 0.9, 0.8], test=[0.52, 0.76, 0.7, 0.74])",
                ([0.5, 0.6, 0.9, 0.8], [0.52, 0.76, 0.7, 0.74]),
                0.7,
            ),
        ),
        mistakes=(
            Mistake(
                lambda validation, test: test[-1],
                "this is the last epoch. Validation decides which epoch you keep, and that need not be the last.",
            ),
            Mistake(
                lambda validation, test: max(validation),
                "the best validation accuracy. It was picked for being high, so it is too optimistic; report the test accuracy of "
                "the epoch that it picks.",
            ),
            Mistake(
                lambda validation, test: sum(test) / len(test),
                "the mean over the epochs. You keep one model, so only one epoch counts.",
            ),
            Mistake(
                lambda validation, test: max(range(len(validation)), key=lambda epoch: validation[epoch]),
                "the number of the epoch. Return the test accuracy of that epoch.",
            ),
        ),
        hints=(
            "this function makes a choice. Which set may you use for choices?",
            "find the epoch with the best validation accuracy, and look up its test accuracy.",
            "best = validation.index(max(validation)), then return test[best].",
        ),
        after="Choosing among four epochs is a little too optimistic; choosing among a hundred settings is far too optimistic.",
        right=(
            lambda validation, test: test[validation.index(max(validation))],
            lambda validation, test: test[np.argmax(validation)],
            lambda validation, test: max(zip(validation, test, strict=True))[1],
            report_by_loop,
        ),
        wrong=(
            (lambda validation, test: max(test), "as it was given"),
            (lambda validation, test: test[-1], "the last epoch"),
            (lambda validation, test: max(validation), "picked for being high"),
            (lambda validation, test: np.argmax(validation), "the number of the epoch"),
            (lambda validation, test: max(validation + test), "should give 0.81"),
        ),
    ),
    Exercise(
        id="06.7",
        kind="debug",
        title="the mask that was not passed",
        solution=answers_of,
        given=without_the_mask,
        cases=(
            Case(
                "answers_of(model, ids [[7, 0, 0, 0], [7, 7, 5, 7]], padding 0)",
                (VotingModel(), batch_of([7], [7, 7, 5, 7])),
                [1, 1],
            ),
            Case("answers_of(model, ids [[7]])", (VotingModel(), batch_of([7])), [1]),
            Case(
                "answers_of(model, ids [[5, 0, 0], [7, 7, 0], [5, 5, 7]], padding 0)",
                (VotingModel(), batch_of([5], [7, 7], [5, 5, 7])),
                [0, 1, 0],
            ),
        ),
        mistakes=(
            Mistake(
                lambda model, batch: model(batch["input_ids"], 1 - batch["attention_mask"]).logits.argmax(dim=1),
                "the mask is inverted: the model now reads only the padding. 1 marks a real token.",
            ),
            Mistake(
                lambda model, batch: model(batch["input_ids"], batch["attention_mask"]).logits.argmax(dim=0),
                "argmax over the sentences. Each sentence picks one of its classes: dim=1.",
            ),
            Mistake(
                lambda model, batch: model(batch["input_ids"], batch["attention_mask"]).logits,
                "these are the logits. The predicted class of a sentence is the index of its largest logit.",
            ),
        ),
        hints=(
            "a sentence alone gets the right answer, in a batch it does not. What else does the model see in a batch?",
            "how does the model know which of the ids are padding?",
            'model(batch["input_ids"], attention_mask=batch["attention_mask"]).',
        ),
        after="The test that finds this bug in any model: the same answer alone and in a batch.",
        right=(
            lambda model, batch: model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits.argmax(dim=1),
            lambda model, batch: model(**batch).logits.argmax(-1).tolist(),
            lambda model, batch: model(batch["input_ids"], (batch["input_ids"] > 0).long()).logits.max(dim=1).indices,
            one_by_one,
        ),
        wrong=(
            (lambda model, batch: model(batch["input_ids"]).logits.argmax(-1), "as it was given"),
            (
                lambda model, batch: model(batch["input_ids"], torch.ones_like(batch["input_ids"])).logits.argmax(1),
                "as it was given",
            ),
            (lambda model, batch: model(batch["input_ids"], batch["attention_mask"] == 0).logits.argmax(1), "inverted"),
            (lambda model, batch: model(**batch).logits, "The predicted class of a sentence"),
            (lambda model, batch: model(batch).logits.argmax(1), "raises"),
        ),
    ),
    Exercise(
        id="06.q1",
        kind="choice",
        title="what is new",
        question="Which of the seven steps makes fine-tuning BERT different from training the LSTM of notebook 03?",
        expected="a",
        options={
            "a": (
                "step 1: the parameters that we load",
                "The rest follows from it: the tokenizer that belongs to these parameters, and small steps that do not destroy them.",
            ),
            "b": ("step 3: the loss", "Both use cross-entropy of the logits."),
            "c": ("step 7: the test", "Both use a held-out test set and the same kind of intervals."),
        },
    ),
    Exercise(
        id="06.q2",
        kind="choice",
        title="a gain with its interval",
        question="On the same test sentences: fine-tuned minus TF-IDF = 6.3 points (3.9 to 8.7). What does it mean?",
        expected="b",
        options={
            "a": (
                "with another seed the gain would lie between 3.9 and 8.7 points",
                "The interval comes from resampling the test sentences, with one trained model. How much the seed changes the "
                "gain is another question (section 13).",
            ),
            "b": (
                "with other sentences of this kind this model would very probably still be better",
                "The whole interval lies above zero.",
            ),
            "c": (
                "nothing, as long as the two accuracies' own intervals overlap",
                "Both models predicted the same sentences, so the paired difference can be more precise than the two accuracies.",
            ),
        },
    ),
    Exercise(
        id="06.q3",
        kind="choice",
        title="ten times the learning rate",
        question="You fine-tune with a learning rate of 1e-3 instead of 1e-4. What should you expect?",
        expected="c",
        options={
            "a": ("the same result in a tenth of the steps", "You cannot trade steps for learning rate like that."),
            "b": (
                "only the head learns, the encoder stays",
                "All parameters that are not frozen change, and by about ten times as much.",
            ),
            "c": (
                "the first steps may destroy what pretraining learned, and the loss may stay near log 2",
                "The parameters are good already, so the steps must be short. If your curve is flat at log 2, lower the learning rate.",
            ),
        },
    ),
]
