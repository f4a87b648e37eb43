"""Exercises of notebook 03, an LSTM classifier."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import cross_entropy

from .definition import Case, Exercise, Mistake

LOG3 = float(np.log(3))  # softmax of (log 3, 0) is (3/4, 1/4)


def softmax_before_the_loss(logits, labels):
    return cross_entropy(logits.softmax(dim=1), labels)


def forgets_eval(model, inputs):
    with torch.no_grad():
        return model(inputs)


def stays_in_eval(model, inputs):
    model.eval()
    with torch.no_grad():
        return model(inputs)


def always_trains_afterwards(model, inputs):
    answer = stays_in_eval(model, inputs)
    model.train()
    return answer


def never_trains_and_is_asked_wrongly(model, inputs):
    model.train()
    return forgets_eval(model, inputs)


class InTurn(nn.Module):
    """A dropout that is the same on every machine: in training mode it sets the two inputs to zero in turn."""

    calls = 0

    def forward(self, inputs):
        if not self.training:
            return inputs
        self.calls += 1
        return inputs * torch.eye(2)[self.calls % 2]


def adder(mode: bool) -> nn.Module:
    """Return such a dropout and a layer that adds two inputs, in training mode or not."""
    layer = nn.Linear(2, 1, bias=False)
    nn.init.ones_(layer.weight)
    return nn.Sequential(InTurn(), layer).train(mode)


def answer_and_mode(result, arguments):
    return None if result is None or result is ... else [result, arguments[0].training]


def mean_of_means(batches):
    shares = []
    for predictions, truths in batches:
        hit = sum(p == y for p, y in zip(predictions, truths, strict=True))
        shares.append(hit / len(truths))
    return sum(shares) / len(shares)


def right_in(batches):
    return sum(p == y for predictions, labels in batches for p, y in zip(predictions, labels, strict=True))


def reads_the_padding(states, attention_mask):
    return states[:, -1]


def at(states, positions):
    return states[torch.arange(len(states)), positions]


THREE = torch.tensor([[[1.0], [3.0], [100.0]]])  # (B, T, H) = (1, 3, 1)
PAIR = torch.tensor([[[1.0, 10.0], [3.0, 20.0], [9.0, 9.0], [9.0, 9.0]], [[2.0, 4.0], [4.0, 4.0], [6.0, 4.0], [8.0, 0.0]]])
PAIR_MASK = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])
ALONE = torch.tensor([[[5.0], [7.0]]])


# The solutions.
def masked_mean(states, attention_mask):
    weights = attention_mask[:, :, None]  # (B, T, 1)
    return (states * weights).sum(dim=1) / weights.sum(dim=1)


def loss_of(logits, labels):
    return cross_entropy(logits, labels)


def ask(model, inputs):
    was_training = model.training
    model.eval()
    with torch.no_grad():
        outputs = model(inputs)
    model.train(was_training)
    return outputs


def accuracy_of(batches):
    hit = total = 0
    for predictions, truths in batches:
        hit += sum(p == y for p, y in zip(predictions, truths, strict=True))
        total += len(truths)
    return hit / total


def last_state(states, attention_mask):
    last_positions = attention_mask.sum(dim=1) - 1  # (B,)
    return states[torch.arange(len(states)), last_positions]


# Other answers, right and wrong, that test the checks.
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
    positions = (attention_mask.sum(dim=1) - 1)[:, None, None].expand(-1, 1, states.shape[2])
    return states.gather(1, positions).squeeze(1)


EXERCISES = [
    Exercise(
        id="03.1",
        kind="complete",
        title="masked mean pooling",
        solution=masked_mean,
        cases=(
            Case("masked_mean([[[1], [3], [100]]], mask [[1, 1, 0]])", (THREE, torch.tensor([[1, 1, 0]])), [[2.0]]),
            Case("masked_mean([[[5], [7]]], mask [[1, 1]])", (ALONE, torch.tensor([[1, 1]])), [[6.0]]),
            Case(
                "masked_mean(two texts of 2 and 4 words: the first [1, 10], [3, 20], then padding 9; the second [2, 4], [4, 4], [6, 4], [8, 0])",
                (PAIR, PAIR_MASK),
                [[2.0, 15.0], [5.0, 3.0]],
            ),
            Case("masked_mean([[[1], [3], [100]]], mask [[1, 0, 0]])", (THREE, torch.tensor([[1, 0, 0]])), [[1.0]]),
        ),
        mistakes=(
            Mistake(lambda states, mask: states.mean(dim=1), "the padding is in the mean: the mask was not used."),
            Mistake(
                lambda states, mask: (states * mask[..., None]).sum(1) / states.shape[1],
                "the padding is excluded from the sum but not from the count: divide by the number of real words of each text, not by T.",
            ),
            Mistake(
                lambda states, mask: (states * mask[..., None]).sum(1) / mask.sum(),
                "each text is divided by the words of the whole batch. mask.sum(dim=1) counts those of each text.",
            ),
            Mistake(
                lambda states, mask: (states * mask[..., None]).sum(1),
                "this is the sum. Divide by the number of real words.",
            ),
            Mistake(
                lambda states, mask: states.masked_fill(mask[..., None] == 0, -torch.inf).amax(1),
                "this is max pooling, as in the class above. Return the mean instead.",
            ),
            Mistake(
                lambda states, mask: (states * mask[..., None]).sum(2) / mask.sum(1, keepdim=True),
                "the sum runs over the units H. It should run over the words, dim=1.",
            ),
        ),
        hints=(
            "a sum in which padding counts zero, divided by the number of real words.",
            "the mask is (B, T) and the states are (B, T, H): mask[:, :, None] fits.",
            "(states * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True).",
        ),
        after="Sentence encoders such as the MiniLM of notebook 05 pool in exactly this way.",
        right=(
            looped_mean,
            in_place_mean,
            multiplied_mean,
        ),
        wrong=(
            (lambda states, mask: states.sum(1) / states.shape[1], "the mask was not used"),
            (lambda states, mask: torch.einsum("bth,bt->bh", states, mask.float()) / states.size(1), "not by T"),
            (lambda states, mask: states.masked_fill(~mask.bool()[..., None], 0).sum(1), "this is the sum"),
            (lambda states, mask: (states * mask[..., None]).sum(dim=1) / mask.sum(), "of the whole batch"),
            (lambda states, mask: states.masked_fill(mask[..., None] == 0, -1e9).max(dim=1).values, "max pooling"),
            (lambda states, mask: (states * mask).sum(1), "should give"),
        ),
    ),
    Exercise(
        id="03.2",
        kind="debug",
        title="a loss that stops at 0.313",
        solution=loss_of,
        given=softmax_before_the_loss,
        cases=(
            Case("loss_of([[0, 0]], labels [0])", (torch.zeros(1, 2), torch.tensor([0])), float(np.log(2))),
            Case(
                "loss_of([[log 3, 0]], labels [0])", (torch.tensor([[LOG3, 0.0]]), torch.tensor([0])), float(np.log(4 / 3))
            ),
            Case("loss_of([[log 3, 0]], labels [1])", (torch.tensor([[LOG3, 0.0]]), torch.tensor([1])), float(np.log(4))),
            Case("loss_of([[20, -20]], labels [0])", (torch.tensor([[20.0, -20.0]]), torch.tensor([0])), 0.0),
            Case(
                "loss_of([[log 3, 0], [log 3, 0]], labels [0, 1])",
                (torch.tensor([[LOG3, 0.0], [LOG3, 0.0]]), torch.tensor([0, 1])),
                float(np.log(16 / 3) / 2),
            ),
        ),
        mistakes=(
            Mistake(
                lambda logits, labels: functional.nll_loss(logits.softmax(dim=1), labels),
                "minus the probability itself. The logarithm is missing: nll_loss wants log_softmax.",
            ),
            Mistake(
                lambda logits, labels: functional.nll_loss(logits, labels),
                "minus the logit of the true class. nll_loss takes log-probabilities; cross_entropy takes logits.",
            ),
            Mistake(
                lambda logits, labels: functional.cross_entropy(logits.sigmoid(), labels),
                "a sigmoid instead of the softmax. Neither belongs there: the loss does it itself.",
            ),
            Mistake(
                lambda logits, labels: functional.cross_entropy(logits, labels, reduction="sum"),
                "the sum over the batch. The loss is a mean, so that it does not grow with the batch.",
            ),
        ),
        hints=(
            "a model that is right and confident should have a loss near zero. What is the loss here?",
            "cross_entropy expects logits. What does it get?",
            "cross_entropy(logits, labels), and nothing before it.",
        ),
        after="Use the softmax when you need probabilities, never before the loss.",
        right=(
            functional.cross_entropy,
            loss_by_hand,
            lambda logits, labels: functional.nll_loss(logits.log_softmax(dim=1), labels),
            lambda logits, labels: functional.cross_entropy(logits.log_softmax(dim=1), labels).item(),
        ),
        wrong=(
            (lambda logits, labels: functional.cross_entropy(functional.softmax(logits, dim=-1), labels), "as it was given"),
            (
                lambda logits, labels: -logits.softmax(1)[torch.arange(len(labels)), labels].mean(),
                "The logarithm is missing",
            ),
            (lambda logits, labels: -logits[torch.arange(len(labels)), labels].mean(), "minus the logit"),
            (lambda logits, labels: functional.cross_entropy(torch.sigmoid(logits), labels), "a sigmoid"),
            (lambda logits, labels: functional.cross_entropy(logits, labels) * len(labels), "the sum over the batch"),
            (lambda logits, labels: functional.cross_entropy(logits.argmax(dim=1), labels), "raises"),
        ),
    ),
    Exercise(
        id="03.3",
        kind="debug",
        title="an answer that changes",
        solution=ask,
        given=forgets_eval,
        cases=(
            Case(
                "ask(model, [[1, 2]]), the model in training mode:",
                (adder(True), torch.tensor([[1.0, 2.0]])),
                [[[3.0]], True],
            ),
            Case(
                "ask(model, [[1, 2]]), the model in evaluation mode:",
                (adder(False), torch.tensor([[1.0, 2.0]])),
                [[[3.0]], False],
            ),
            Case(
                "ask(model, [[0, 0], [2, 2], [1, 5]]), the model in training mode:",
                (adder(True), torch.tensor([[0.0, 0.0], [2.0, 2.0], [1.0, 5.0]])),
                [[[0.0], [4.0], [6.0]], True],
            ),
        ),
        mistakes=(
            Mistake(
                stays_in_eval,
                "the answer is right, but the model stays in evaluation mode. If this is called between two epochs, the second trains "
                "without dropout. Restore the mode that the model had.",
            ),
            Mistake(
                always_trains_afterwards,
                "the model always ends in training mode, even if it was in evaluation mode before. The next caller gets random answers.",
            ),
            Mistake(never_trains_and_is_asked_wrongly, "train() switches dropout on. Switch it off with eval()."),
        ),
        hints=(
            "call the model twice: is the answer the same? Which layer behaves differently in training mode?",
            "eval() switches dropout off; no_grad only saves memory. And model.training says which mode the model was in.",
            "was_training = model.training; model.eval(); call the model; model.train(was_training).",
        ),
        after="prediction.evaluate does the same two things around its loop.",
        observe=answer_and_mode,
        right=(
            asks_politely,
            asks_with_finally,
        ),
        wrong=(
            (lambda model, inputs: model(inputs).detach(), "as it was given"),
            (lambda model, inputs: model.eval()(inputs), "stays in evaluation mode"),
            (lambda model, inputs: (model.eval()(inputs), model.train())[0], "always ends in training mode"),
            (lambda model, inputs: model.train()(inputs), "should give"),
            (asks_often, "should give"),
        ),
    ),
    Exercise(
        id="03.4",
        kind="debug",
        title="an accuracy that depends on the batches",
        solution=accuracy_of,
        given=mean_of_means,
        cases=(
            Case(
                "accuracy_of([([1, 1, 1, 1], [1, 1, 1, 1]), ([0], [1])])", ([([1, 1, 1, 1], [1, 1, 1, 1]), ([0], [1])],), 0.8
            ),
            Case("accuracy_of([([0, 1], [0, 0]), ([1, 1], [1, 1])])", ([([0, 1], [0, 0]), ([1, 1], [1, 1])],), 0.75),
            Case("accuracy_of([([0, 1, 1], [0, 0, 0]), ([1], [1])])", ([([0, 1, 1], [0, 0, 0]), ([1], [1])],), 0.5),
            Case("accuracy_of([([1], [0])])", ([([1], [0])],), 0.0),
        ),
        mistakes=(
            Mistake(
                lambda batches: (
                    right_in([b for b in batches if len(b[0]) == len(batches[0][0])])
                    / sum(len(b[0]) for b in batches if len(b[0]) == len(batches[0][0]))
                ),
                "the smaller last batch is left out. Its examples belong to the score.",
            ),
            Mistake(
                lambda batches: right_in(batches) / len(batches),
                "the right answers are divided by the number of batches. Divide by the number of examples.",
            ),
            Mistake(
                lambda batches: right_in(batches) / (len(batches) * len(batches[0][0])),
                "all batches count as if they were as large as the first. Add up their actual sizes.",
            ),
            Mistake(lambda batches: 1 - right_in(batches) / sum(len(b[0]) for b in batches), "this is the error rate."),
            Mistake(lambda batches: right_in(batches), "this is the number of right answers, not their share."),
        ),
        hints=(
            "five examples, four right. What should come out, and what does?",
            "the mean of two batches counts one example in the small batch as much as four in the large one.",
            "add up the right answers of all batches, add up their sizes, and divide once at the end.",
        ),
        after="The same is true of the loss: prediction.evaluate weighs each batch by its examples.",
        right=(
            counted,
            weighted,
        ),
        wrong=(
            (lambda batches: np.mean([np.mean(np.equal(*batch)) for batch in batches]), "as it was given"),
            (lambda batches: sum(np.sum(np.equal(*batch)) for batch in batches) / len(batches), "number of batches"),
            (lambda batches: sum(np.sum(np.equal(*batch)) for batch in batches), "not their share"),
            (lambda batches: 1 - counted(batches), "the error rate"),
            (lambda batches: counted([b for b in batches if len(b[0]) == len(batches[0][0])]), "left out"),
            (
                lambda batches: counted(batches) * sum(len(b[0]) for b in batches) / len(batches) / len(batches[0][0]),
                "as the first",
            ),
        ),
    ),
    Exercise(
        id="03.5",
        kind="debug",
        title="the state at the padding",
        solution=last_state,
        given=reads_the_padding,
        cases=(
            Case("last_state([[[1], [3], [100]]], mask [[1, 1, 0]])", (THREE, torch.tensor([[1, 1, 0]])), [[3.0]]),
            Case("last_state([[[5], [7]]], mask [[1, 1]])", (ALONE, torch.tensor([[1, 1]])), [[7.0]]),
            Case(
                "last_state(two texts of 2 and 4 words: the first [1, 10], [3, 20], then padding 9; the second [2, 4], [4, 4], [6, 4], [8, 0])",
                (PAIR, PAIR_MASK),
                [[3.0, 20.0], [8.0, 0.0]],
            ),
            Case(
                "last_state([[[1], [2], [9]], [[4], [5], [9]]], mask [[1, 0, 0], [1, 1, 0]])",
                (torch.tensor([[[1.0], [2.0], [9.0]], [[4.0], [5.0], [9.0]]]), torch.tensor([[1, 0, 0], [1, 1, 0]])),
                [[1.0], [5.0]],
            ),
            Case("last_state([[[1], [3], [100]]], mask [[1, 0, 0]])", (THREE, torch.tensor([[1, 0, 0]])), [[1.0]]),
        ),
        mistakes=(
            Mistake(
                (
                    lambda states, mask: at(states, mask.sum(1)),
                    lambda states, mask: at(states, mask.sum(1).clamp(max=states.shape[1] - 1)),
                ),
                "one position too far: the last of k words is at position k - 1.",
            ),
            Mistake(
                lambda states, mask: states[:, int(mask.sum(1).max()) - 1],
                "every text is read at the length of the longest. Each has its own last word.",
            ),
            Mistake(
                lambda states, mask: states[:, int(mask[0].sum()) - 1],
                "every text is read at the length of the first. Each has its own last word.",
            ),
            Mistake(
                lambda states, mask: (states * mask[..., None])[:, -1],
                "the padding is set to zero and then read anyway. Read at the last real word instead.",
            ),
            Mistake(
                (lambda states, mask: states[:, 0], lambda states, mask: at(states, mask.argmax(1))),
                "this is the state after the first word. (The argmax of a mask finds its first 1.)",
            ),
        ),
        hints=(
            "at which position is the last real word of each text?",
            "mask.sum(dim=1) counts the real words, and positions are counted from 0.",
            "states[torch.arange(len(states)), mask.sum(dim=1) - 1].",
        ),
        after="A single wrong line keeps a model at chance level: always test a text alone and in a batch.",
        right=(
            looped_last,
            gathered_last,
        ),
        wrong=(
            (lambda states, mask: states[:, states.shape[1] - 1], "as it was given"),
            (lambda states, mask: states[torch.arange(len(states)), mask.sum(1)], "one position too far"),
            (lambda states, mask: states[:, mask.sum(1).max() - 1], "the length of the longest"),
            (lambda states, mask: (states * mask.unsqueeze(-1))[:, -1], "set to zero"),
            (lambda states, mask: states[torch.arange(len(states)), mask.argmax(dim=1)], "the first word"),
            (lambda states, mask: states.mean(dim=1), "should give"),
        ),
    ),
    Exercise(
        id="03.q1",
        kind="choice",
        title="the forget gate",
        question="The forget gate of a unit is 0.5 at every word. How much of what it wrote ten words ago is still in its cell?",
        expected="c",
        options={
            "a": ("half", "That is what is left after one word."),
            "b": ("a twentieth", "The gate multiplies at every word; it does not divide by the distance."),
            "c": ("about a thousandth", "One half to the power of ten is 1/1024: an untrained LSTM forgets fast."),
        },
    ),
    Exercise(
        id="03.q2",
        kind="choice",
        title="before a long run",
        question="Your model cannot overfit a batch of 32 reviews. What do you do?",
        expected="b",
        options={
            "a": ("give it more training data", "It cannot even learn these. More data will not fix what is broken."),
            "b": (
                "look for something broken: the loss, a mask, a frozen layer",
                "That is what this test is for, and it takes seconds.",
            ),
            "c": ("train it overnight", "The loss of one batch should fall within dozens of steps."),
        },
    ),
    Exercise(
        id="03.q3",
        kind="choice",
        title="the two curves",
        question="The training loss keeps falling while the validation loss rises. What does that mean?",
        expected="a",
        options={
            "a": (
                "the model begins to overfit: it memorises its training reviews",
                "Keep the weights of the best epoch, as fit does.",
            ),
            "b": ("the learning rate is too large", "Then the training loss would swing or rise too."),
            "c": (
                "the validation set is too small",
                "A small set makes the curve noisy; it does not make it rise steadily.",
            ),
        },
    ),
]
