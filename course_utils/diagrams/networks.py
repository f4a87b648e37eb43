"""Drawings of notebooks 03 to 05: the LSTM, attention and the Transformer."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from .shapes import GREY, MEMORY, STRONG, Frame, arrow, box, brace, canvas, dot, finish, labels, tensor, write


def unrolled_rnn() -> Figure:
    """The words "not dull just funny" enter, one at each position, four boxes in a row that are all the same LSTM cell with
    the same weights. Arrows from box to box hand on the state h and the memory c. Above each box its state goes up into one
    wide box, the maximum over the T positions, which gives one vector (B, H) for the whole text, and from it the logits.
    """
    ax, before = canvas(66, 40), Frame(-2.5, 14.5, 8, 6)
    pool = box(ax, 30, 26, 50, 4.4, "max pooling over the T positions", size=12)
    for t, word in enumerate(("not", "dull", "just", "funny")):
        x = 10.5 + 13 * t
        cell = box(ax, x, 14.5, 8, 6, "LSTM\ncell", kind="new")
        write(ax, x, 3, word, size=12)
        arrow(ax, (x, 4.6), cell, text=f"$x_{t + 1}$", size=11)
        arrow(ax, cell, (x, 23.8), text=f"$h_{t + 1}$", size=11)
        for up, name in ((0.5, "c"), (-0.5, "h")):
            arrow(ax, before.at(1, up), cell.at(-1, up), text=f"${name}_{t}$", size=11)
        before = cell
    write(ax, 60.5, 14.5, "the same\nweights at\nevery\nposition", size=10)
    text, linear = tensor(ax, 30, 35, (1, 4), "text (B, H)", cell=2.2), box(ax, 44, 35, 9, 4, "linear", kind="new")
    arrow(ax, pool, text, linear, tensor(ax, 58, 35, (1, 2), "logits (B, C)", cell=2.2))
    return finish(ax)


def lstm_cell() -> Figure:
    """A cell of an LSTM. Along the top the memory runs from the old c to the new one: it is multiplied by the forget gate f,
    then i times g is added, input gate times candidate. Below, the word x and the old state h feed the four boxes of f, i, g
    and o. On the right the new memory goes through tanh and is multiplied by the output gate o: this is the new state h.
    """
    ax, kind = canvas(66, 37), "new"
    times_f, plus, times_g, times_o = dot(ax, 14, 31, "×"), dot(ax, 31, 31, "+"), dot(ax, 31, 22, "×"), dot(ax, 57, 22, "×")
    f, i = box(ax, 14, 12, 10, 6, "forget\ngate σ", kind=kind), box(ax, 25, 12, 10, 6, "input\ngate σ", kind=kind)
    g, o = box(ax, 37, 12, 10, 6, "candidate\ntanh", kind=kind), box(ax, 48.5, 12, 10, 6, "output\ngate σ", kind=kind)
    arrow(ax, (1, 31), times_f, plus, (64, 31), width=3, color=MEMORY)
    arrow(ax, (57, 31), box(ax, 57, 26.7, 6, 2.8, "tanh", size=10), times_o, (64, 22))
    arrow(ax, f, times_f)
    arrow(ax, times_g, plus)
    for gate, end in ((i, times_g), (g, times_g), (o, times_o)):
        arrow(ax, gate, end, bend="|-")
    arrow(ax, (1, 5), (48.5, 5), head=False)
    arrow(ax, (6, 1), (6, 5), head=False)
    for gate, name in ((f, "$f$"), (i, "$i$"), (g, "$g$"), (o, "$o$")):
        arrow(ax, (gate.x, 5), gate)
        write(ax, gate.x + 1.4, 18, name, size=14)
    labels(ax, (1, 34.2, "$c_{t-1}$ (B, H)"), (53.5, 34.2, "$c_t$ (B, H)"), (57.5, 18.8, "$h_t$ (B, H)"), size=12, ha="left")
    labels(ax, (1, 7, "$h_{t-1}$ (B, H)"), (7, 1.6, "$x_t$ (B, D)"), size=12, ha="left")
    write(ax, 22.5, 33.4, "memory", color=MEMORY)
    return finish(ax)


def attention() -> Figure:
    """Matrices in a row. The queries Q (T, D) times the transposed keys (D, T) give scores (T, T): how well each token's
    query matches each key. Divided by the root of D and put through softmax, they are weights whose rows sum to 1. The third
    token is padding: its column is hatched, and its weights are 0. The weights times the values V (T, D) are the output.
    """
    q, k, v = np.array([[1, 0], [0, 1], [1, 1]]), np.array([[2, 0], [0, 1], [1, 0]]), np.array([[1, 0], [0, 1], [9, 9]])
    ax, y, scores, column = canvas(68, 18.5), 8, q @ k.T, np.array([False, False, True])  # the padded position
    weights = np.exp(np.where(column, -np.inf, scores / np.sqrt(2)))
    weights /= weights.sum(axis=1, keepdims=True)
    matrices = [(8, q, "Q\n(T, D)", False), (17.6, k.T, "Kᵀ\n(D, T)", column), (28.6, scores, "scores\n(T, T)", column)]
    matrices += [(44.8, weights, "weights\n(T, T)", column), (54.2, v, "V\n(T, D)", column[:, None])]
    for x, values, name, masked in (*matrices, (63.6, weights @ v, "output\n(T, D)", False)):
        texts = [[f"{value:.1f}".removesuffix(".0") for value in line] for line in values]
        tensor(ax, x, y, texts, name, cell=2.8, masked=masked, shades=weights * 0.6 if values is weights else 0.3)
    labels(ax, (12.1, y, "·"), (23.1, y, "="), (50.2, y, "·"), (58.9, y, "="), size=16)
    arrow(ax, (33.2, y), (40.2, y), text="÷ √D,\nmask,\nsoftmax")
    labels(ax, (4.9, y + 2.8, "not"), (4.9, y, "funny"), (4.9, y - 2.8, "PAD"), size=10, ha="right")
    brace(ax, (40.7, y - 4.6), (48.9, y - 4.6), "each row sums to 1", size=10)
    return finish(ax)


def heads() -> Figure:
    """Queries, keys and values of six columns (T, D) are split by columns into three heads of two columns, (T, D/3).
    Each head computes attention by itself, with weights of its own. Their results, (T, D/3) each, are concatenated to
    (T, D), and a last matrix W_O (D, D) mixes what the heads have found.
    """
    ax, y, number = canvas(68, 34), 14.5, np.array([[1, 1, 2, 2, 3, 3]] * 3)  # the head that a column belongs to
    look = {"cell": 1.9, "size": 9}
    whole = tensor(ax, 6.6, y, number, "Q, K, V\n(T, D)", shades=number / 4 - 0.15, **look)
    joined = tensor(ax, 46.4, y, number, "concatenated\n(T, D)", shades=number / 4 - 0.15, **look)
    for i, level in enumerate((26.6, y, 3.3)):
        own = number[:, 2 * i : 2 * i + 2]
        part, result = (tensor(ax, x, level, own, "(T, D/3)", shades=own / 4 - 0.15, **look) for x in (18.4, 35))
        arrow(ax, part, box(ax, 26.7, level, 9.4, 4.4, f"attention\nhead {i + 1}", kind="pretrained", size=10), result)
        arrow(ax, whole.at(1, 0), part.at(-1, 0), via=[(13.8, y), (13.8, level)])
        arrow(ax, result.at(1, 0), joined.at(-1, 0), via=[(38.6, level), (38.6, y)])
    arrow(ax, joined, box(ax, 57.2, y, 6.5, 5, "$W_O$\n(D, D)", kind="pretrained"), (64.2, y))
    return finish(ax)


def transformer_block() -> Figure:
    """A block of BERT, from below upwards. The input (B, T, D) goes through attention, which mixes positions; an arrow
    around it adds the input again, and LayerNorm follows. Then the feed-forward part, which treats each position by
    itself, and again an arrow around it, addition and LayerNorm. The output has the shape of the input, so blocks can
    be stacked.
    """
    ax, x = canvas(68, 46), 21
    parts = [
        (10.0, "attention", "mixes positions: each token\nreads from all T tokens"),
        (18.5, "add & LayerNorm", "x + attention(x), normalised"),
        (28.5, "feed-forward", "each position by itself:\nD → 4D → D"),
        (37.0, "add & LayerNorm", "x + feed-forward(x), normalised"),
    ]
    frames = []
    for y, name, what in parts:
        frames.append(box(ax, x, y, 20, 5, name, kind="plain" if "add" in name else "pretrained", size=12))
        write(ax, 35, y, what, size=10, ha="left", color=GREY)
    arrow(ax, (x, 4), *frames, (x, 42.5))
    for low, add in ((5.6, frames[1]), (23, frames[3])):
        arrow(ax, (x, low), add.at(-1, 0), via=[(5, low), (5, add.y)])
        write(ax, 4, (low + add.y) / 2, "residual", size=10, rotation=90)
    brace(ax, (60.5, 7.5), (60.5, 39.5), "× 6")
    labels(ax, (x, 2.5, "x (B, T, D)"), (x, 43.9, "(B, T, D)"), size=12)
    return finish(ax)


def masked_and_causal() -> Figure:
    """Two square grids of T by T: rows are the positions that are computed, columns those they read from. BERT, masked:
    every cell is open, each token reads to both sides, and the row of [MASK] predicts the hidden word. GPT, causal:
    cells above the diagonal are hatched, each token reads only what came before, and every row predicts the next word.
    """
    ax, cell = canvas(68, 30), 3.3
    bert = (18, "BERT: reads both sides", "the [MASK] was dull", ("", "film", "", ""), "every cell open")
    gpt = (51.5, "GPT: reads what came before", "the film was dull", ("film", "was", "dull", "."), "hatched: masked")
    for x, title, words, predicted, note in (bert, gpt):
        tensor(ax, x, 11.8, (4, 4), cell=cell, masked=np.triu(np.ones((4, 4)), 1) * ("masked" in note))
        write(ax, x - 1, 28.4, title, weight="bold", size=12)
        write(ax, x + 9.8, 19.9, "predicts", ha="left", size=10, color=GREY)
        write(ax, x, 3.4, f"T × T, {note}", size=10, color=GREY)
        for i, (word, guess) in enumerate(zip(words.split(), predicted, strict=True)):
            y = 11.8 + cell * (1.5 - i)
            write(ax, x - 7.4, y, word, ha="right")
            write(ax, x + cell * (i - 1.5), 19.1, word, rotation=90, va="bottom", size=10)
            if guess:
                arrow(ax, (x + 6.8, y), (x + 9.4, y))
                write(ax, x + 9.8, y, guess, ha="left", weight="bold", color=STRONG)
    return finish(ax)
