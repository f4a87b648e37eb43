"""Exercises of notebook 14, fine-tune a GPT."""

import torch

from .definition import Case, Exercise, Mistake

END = 2


# The solutions.
def answer_labels(prompt_ids, answer_ids, end_id):
    input_ids = prompt_ids + answer_ids + [end_id]
    labels = [-100] * len(prompt_ids) + answer_ids + [end_id]
    return input_ids, labels


def at_the_last_position(logits, attention_mask):
    return logits[:, -1]


def last_logits(logits, attention_mask):
    positions = torch.arange(logits.shape[1])
    last = (attention_mask * positions).argmax(dim=1)
    return logits[torch.arange(len(logits)), last]


# Other answers, right and wrong, that test the checks.
def answer_labels_by_loop(prompt_ids, answer_ids, end_id):
    input_ids, labels = [], []
    for token in prompt_ids:
        input_ids.append(token)
        labels.append(-100)
    for token in [*answer_ids, end_id]:
        input_ids.append(token)
        labels.append(token)
    return input_ids, labels


def last_by_loop(logits, attention_mask):
    rows = []
    for row, mask in zip(logits, attention_mask, strict=True):
        rows.append(row[[i for i, kept in enumerate(mask.tolist()) if kept][-1]])
    return torch.stack(rows)


LOGITS = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[7.0, 8.0], [9.0, 10.0], [11.0, 12.0]]])  # (2, 3, 2)
RIGHT, LEFT, FULL = (torch.tensor(mask) for mask in ([[1, 1, 0], [1, 1, 1]], [[0, 1, 1], [1, 1, 1]], [[1, 1, 1], [1, 1, 1]]))

EXERCISES = [
    Exercise(
        id="14.1",
        kind="predict",
        title="the cache of a larger model",
        solution="my_cache_size = 2 * 32 * 8 * 128 * 2 * 4_000 / 1e6",
        expected=524.288,
        tolerance=0.005,
        mistakes=(
            Mistake(262.144, "That is the keys alone, or the values alone. The cache contains both."),
            Mistake(0.131072, "That is one token. The text has 4,000."),
            Mistake(16.384, "That is one layer. Each of the 32 layers has keys and values of its own."),
            Mistake(65.536, "That is one key-value head. There are 8."),
            Mistake(1_048.576, "That is four bytes a number. Here each takes 2."),
        ),
        hints=(
            "how many numbers does one token add in one layer?",
            "two vectors (key and value) of 8 heads of size 128, in each of 32 layers.",
            "2 * 32 * 8 * 128 numbers a token, times 2 bytes, times 4,000 tokens.",
        ),
        after="More than the 270 MB of our whole model. Long texts fill a GPU with cache, not with weights.",
        right=(524.288, 524, 2 * 2 * 32 * 8 * 128 * 4e3 / 1e6),
        wrong=(
            (262.1, "keys alone"),
            (0.131, "one token"),
            (65.5, "one key-value head"),
            (1_048.6, "four bytes"),
            (7, "is not correct"),
        ),
    ),
    Exercise(
        id="14.2",
        kind="debug",
        title="logits at the padding",
        solution=last_logits,
        given=at_the_last_position,
        cases=(
            Case(
                "last_logits of a batch that is padded on the right, mask [[1, 1, 0], [1, 1, 1]]",
                (LOGITS, RIGHT),
                [[3.0, 4.0], [11.0, 12.0]],
            ),
            Case(
                "last_logits of a batch that is padded on the left, mask [[0, 1, 1], [1, 1, 1]]",
                (LOGITS, LEFT),
                [[5.0, 6.0], [11.0, 12.0]],
            ),
            Case("last_logits of a batch without padding", (LOGITS, FULL), [[5.0, 6.0], [11.0, 12.0]]),
        ),
        mistakes=(
            Mistake(
                lambda logits, attention_mask: logits[torch.arange(len(logits)), attention_mask.sum(dim=1) - 1],
                "counting the tokens finds the last one if the padding is on the right. On the left it finds another.",
            ),
            Mistake(
                lambda logits, attention_mask: (
                    (logits * attention_mask[:, :, None]).sum(dim=1) / attention_mask.sum(dim=1)[:, None]
                ),
                "the mean over all tokens. Only the last token has read the whole prompt.",
            ),
        ),
        hints=(
            "which position does the first row's answer come from, and what stands there?",
            "find the last position where attention_mask is 1.",
            "(attention_mask * torch.arange(T)).argmax(dim=1) is the last position with a 1.",
        ),
        after="With padding on the left the last position is right for every row, which is why generate wants it there.",
        right=(
            last_by_loop,
            lambda logits, attention_mask: logits[
                torch.arange(len(logits)), logits.shape[1] - 1 - attention_mask.flip(1).argmax(dim=1)
            ],
        ),
        wrong=(
            (lambda logits, attention_mask: logits[:, -1], "as it was given"),
            (lambda logits, attention_mask: logits[torch.arange(len(logits)), attention_mask.sum(1) - 1], "On the left"),
            (lambda logits, attention_mask: logits[:, 0], "should give"),
        ),
    ),
    Exercise(
        id="14.3",
        kind="complete",
        title="labels of an answer",
        solution=answer_labels,
        cases=(
            Case(
                "answer_labels(prompt_ids=[5, 6, 7], answer_ids=[8], end_id=2)",
                ([5, 6, 7], [8], END),
                ([5, 6, 7, 8, 2], [-100, -100, -100, 8, 2]),
            ),
            Case(
                "answer_labels(prompt_ids=[5], answer_ids=[8, 9], end_id=2)",
                ([5], [8, 9], END),
                ([5, 8, 9, 2], [-100, 8, 9, 2]),
            ),
            Case(
                "answer_labels(prompt_ids=[5, 6], answer_ids=[], end_id=2)", ([5, 6], [], END), ([5, 6, 2], [-100, -100, 2])
            ),
        ),
        mistakes=(
            Mistake(
                lambda prompt_ids, answer_ids, end_id: (
                    prompt_ids + answer_ids + [end_id],
                    prompt_ids + answer_ids + [end_id],
                ),
                "every token has a label. This is the loss of pretraining: the model is trained to write prompts too.",
            ),
            Mistake(
                lambda prompt_ids, answer_ids, end_id: (
                    prompt_ids + answer_ids + [end_id],
                    [-100] * len(prompt_ids) + answer_ids + [-100],
                ),
                "the end token is not in the loss, so the model never learns to stop.",
            ),
            Mistake(
                lambda prompt_ids, answer_ids, end_id: (prompt_ids + answer_ids, [-100] * len(prompt_ids) + answer_ids),
                "the end token is missing. A model that never sees one never stops.",
            ),
            Mistake(
                lambda prompt_ids, answer_ids, end_id: (
                    prompt_ids + answer_ids + [end_id],
                    [*([-100] * len(prompt_ids) + answer_ids + [end_id])[1:], -100],
                ),
                "the labels are shifted. transformers shifts them itself; shifted twice, the model learns to skip a token.",
            ),
            Mistake(
                lambda prompt_ids, answer_ids, end_id: (
                    prompt_ids + answer_ids + [end_id],
                    prompt_ids + [-100] * (len(answer_ids) + 1),
                ),
                "the wrong part is masked: -100 marks what the loss ignores, the prompt.",
            ),
        ),
        hints=(
            "both lists have the same length: prompt, answer and end token.",
            "label -100 at each token of the prompt, the token itself at the answer and at the end token.",
            "[-100] * len(prompt_ids) + answer_ids + [end_id].",
        ),
        after="These are the labels that you give to transformers; it shifts them by one itself.",
        right=(
            lambda prompt_ids, answer_ids, end_id: (
                [*prompt_ids, *answer_ids, end_id],
                [*(-100 for _ in prompt_ids), *answer_ids, end_id],
            ),
            answer_labels_by_loop,
        ),
        wrong=(
            (lambda p, a, e: (p + a + [e], p + a + [e]), "every token has a label"),
            (lambda p, a, e: (p + a, [-100] * len(p) + a), "end token is missing"),
            (lambda p, a, e: (p + a + [e], [-100] * len(p) + a + [-100]), "never learns to stop"),
            (lambda p, a, e: (p + a + [e], [0] * len(p) + a + [e]), "should give"),
        ),
    ),
    Exercise(
        id="14.4",
        kind="predict",
        title="the first loss",
        solution="my_first_loss = -np.log(0.5)",
        expected=0.693,
        tolerance=0.002,
        mistakes=(
            Mistake(
                0.0, "A loss of 0 would need an infinite margin. At first the margin is 0, and the sigmoid of 0 is not 1."
            ),
            Mistake(0.5, "That is the sigmoid of 0. The loss is minus its logarithm."),
            Mistake(0.0693, "beta is inside the sigmoid, not in front of the loss."),
            Mistake(-0.693, "The sign: the loss is *minus* the logarithm of a probability, so it is positive."),
            Mistake(1.0, "The loss is a natural logarithm, not one to base 2."),
        ),
        hints=(
            "if the model is the reference, what are the two ratios, and their logarithms?",
            "the bracket is 0 - 0, whatever beta is.",
            "-log sigmoid(0) = -log(1/2).",
        ),
        after="A first loss far from 0.693 is a bug: the reference is not the model that the training starts from.",
        right=(0.6931, 0.693147, 0.694),
        wrong=((0.0, "infinite margin"), (0.5, "sigmoid of 0"), (0.0693, "inside the sigmoid"), (3.0, "is not correct")),
    ),
    Exercise(
        id="14.q1",
        kind="choice",
        title="a prompt that always says positive",
        question="A prompt classifies 52 % of the validation reviews correctly, and says positive 97 % of the time. What do you "
        "try first?",
        expected="b",
        options={
            "a": ("a larger model", "Perhaps later. This one may already rank the reviews correctly."),
            "b": (
                "subtract the median margin",
                "The model prefers one word whatever the review says; calibration removes that.",
            ),
            "c": ("greedy decoding", "Nothing is decoded here: the logits of two words are compared."),
        },
    ),
    Exercise(
        id="14.q2",
        kind="choice",
        title="a model that does not stop",
        question="After fine-tuning, every answer is right, and then the model goes on writing. What is the likely reason?",
        expected="c",
        options={
            "a": ("the temperature is too high", "Then the answers would vary; they would still end."),
            "b": ("the cache is full", "A cache that is full ends the text, it does not prolong it."),
            "c": ("no end token in the loss", "It never saw an answer end. Append the end token, and give it a label."),
        },
    ),
    Exercise(
        id="14.q3",
        kind="choice",
        title="a label for 10 million reviews",
        question="You have 5,000 labelled reviews, and want to classify 10 million on a CPU. Which model do you train?",
        expected="a",
        options={
            "a": ("an encoder", "As accurate here, and much cheaper for each review."),
            "b": (
                "a language model with LoRA",
                "It reaches the same accuracy, at several times the computation for each review.",
            ),
            "c": (
                "nothing: prompt a language model",
                "With 5,000 labels, training is more accurate and the model can be smaller.",
            ),
        },
    ),
]
