"""Drawings of notebook 14: writing token by token, the labels of an answer, and a preference pair."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from .shapes import arrow, box, brace, canvas, finish, labels, legend, tensor, write


def next_token_loop() -> Figure:
    """A loop in a row. The tokens "the film was directed by" enter a tall box, the decoder, which gives logits (1, V)
    for the next token. Softmax with a temperature and top-p makes probabilities of them, half of them hatched, dropped. One
    token, "Steven", is drawn, and an arrow leads below everything back to the left, where it is appended to the text.
    """
    ax, shades = canvas(70, 30), np.array([[0.15, 0.9, 0.1, 0.5, 0.05, 0.3]])
    words = tensor(ax, 7, 17, [["the"], ["film"], ["was"], ["directed"], ["by"]], "tokens (T)", cell=9, high=2.6)
    decoder = box(ax, 22, 17, 10, 13, "decoder,\n30 layers", kind="pretrained")
    logits = tensor(ax, 36.5, 17, (1, 6), "logits (1, V)", cell=2, shades=shades)
    chosen = tensor(ax, 55, 17, (1, 6), "probabilities (1, V)", cell=2, shades=shades, masked=shades < 0.2)
    arrow(ax, words, decoder, logits)
    arrow(ax, logits, chosen)
    write(ax, 46, 14, "÷ τ, softmax,\ntop-p", size=10)
    token = box(ax, 65, 6, 8, 3.6, "Steven", kind="new")
    arrow(ax, chosen, token, bend="-|", size=10)
    arrow(ax, token, (7, 6), words)
    labels(ax, (58, 10.5, "draw one"), (36, 7.4, "append it, and ask again"), size=10)
    return finish(ax)


def labels_of_an_answer() -> Figure:
    """Two rows of cells, one below the other: the ids of a conversation, and their labels. Below the prompt, "user: a
    gripping drama", and the line that opens the answer, the labels are hatched, -100; at the answer "positive" and at the
    end token they are the ids themselves. Arrows show that the logits at a position are compared with the label of the next
    one. Only two labels are in the loss.
    """
    ax = canvas(70, 25)
    ids = ["user", "a", "gripping", "drama", "assistant", "positive", "<|im_end|>"]
    hidden = np.array([[True] * 5 + [False] * 2])
    tensor(ax, 39, 19.5, [ids], "input_ids (T)", cell=8.6, high=3, size=9)
    targets = [["−100"] * 5 + ["positive", "<|im_end|>"]]
    tensor(ax, 39, 7, targets, cell=8.6, high=3, size=9, masked=hidden, kind="new")
    write(ax, 1, 7, "labels (T)", ha="left")
    for position in (4, 5):
        x = 39 + 8.6 * (position - 3)
        arrow(ax, (x, 17.7), (x + 8.6, 8.9))
    write(ax, 47, 14, "predicts the next", ha="right", size=10)
    brace(ax, (9, 5), (52, 5), "prompt: ignored")
    brace(ax, (52.2, 5), (69, 5), "answer: in the loss")
    legend(ax, 1, 13.6, masked="not in the loss")
    return finish(ax)


def preference_pair() -> Figure:
    """One prompt, a review, leads to two answers: the chosen one, "positive", and the rejected one, "Sure! This review
    is". Both go through the same two models, the trained one, orange, and the frozen reference, grey. Each answer gets the
    difference of the two log-probabilities; training makes that of the chosen answer larger than that of the rejected one.
    """
    ax = canvas(70, 30)
    prompt = box(ax, 7.5, 15, 13, 8, "prompt:\nreview and\nquestion", kind="tensor")
    for y, name, answer in ((23, "chosen", "positive"), (7, "rejected", "Sure! This\nreview is ...")):
        text = box(ax, 25, y, 14, 5, answer, kind="tensor")
        write(ax, 25, y + 4 * (1 if y > 15 else -1), name, size=10)
        trained = box(ax, 45, y + 3.2, 13, 4, "trained: log π", kind="new", size=10)
        frozen = box(ax, 45, y - 3.2, 13, 4, "frozen: log π₀", kind="frozen", size=10)
        ratio = box(ax, 62.5, y, 13, 4.6, "log π − log π₀", kind="strong", size=10)
        arrow(ax, prompt, text)
        arrow(ax, text, trained)
        arrow(ax, text, frozen)
        arrow(ax, trained, ratio)
        arrow(ax, frozen, ratio)
    write(ax, 62.5, 17.2, "should be larger", size=10)
    write(ax, 62.5, 12.8, "than this one", size=10)
    return finish(ax)
