"""Drawings of notebooks 05 to 11: from a checkpoint to your model, with fewer weights, fewer bits, more workers."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .shapes import BACKWARD, GREY, STRONG, arrow, box, brace, canvas, dot, finish, labels, tensor, write


def pretraining_road() -> Figure:
    """Two roads to your model. The long one: text without labels, pretraining for millions of steps, which somebody has done
    once for everybody, a checkpoint, then fine-tuning on a few thousand labelled examples. The other road: random weights,
    and training from scratch on the same few thousand labelled examples alone.
    """
    ax = canvas(68, 27)
    text, checkpoint = box(ax, 8, 18, 13, 6, "text without\nlabels"), box(ax, 34, 18, 12, 6, "checkpoint", kind="pretrained")
    ends = [box(ax, 61, y, 11, 6, "your\nmodel", kind="new") for y in (18, 5.5)]
    arrow(ax, text, checkpoint, ends[0], width=2)
    arrow(ax, box(ax, 34, 5.5, 12, 6, "random\nweights"), ends[1], width=2)
    names = (21.25, 18.8, "pretraining"), (47.75, 18.8, "fine-tuning"), (47.75, 6.3, "from scratch")
    labels(ax, *names, weight="bold", va="bottom")
    price = (21.25, 17.1, "millions of steps,\ndone once"), (47.75, 17.1, "a few thousand\nlabels")
    labels(ax, *price, (47.75, 4.6, "the same few\nthousand labels"), size=10, va="top")
    labels(ax, (1.5, 24.5, "with pretraining"), (1.5, 5.5, "without"), ha="left", weight="bold", size=12)
    return finish(ax)


def new_head() -> Figure:
    """On the left the pretrained model: a body of embeddings and blocks, and above it the masked-language-model head, from D
    numbers to scores of V words, which is crossed out. An arrow takes the body, with its weights, to the right. There a new
    head stands above it, a classifier with random weights from D numbers to the scores of C classes.
    """
    ax, bodies = canvas(66, 33), []
    old = (16, "pretrained", "masked-LM head\n(D → V)", "states (B, T, D)", "scores (B, T, V)", (3, 10))
    new = (50, "new", "classifier (D → C)\nnew: random weights", "[CLS] (B, D)", "logits (B, C)", (1, 2))
    for x, kind, text, state, out, shape in (old, new):
        bodies.append(box(ax, x, 6.5, 22, 10, "body: embeddings\nand 6 blocks,\npretrained", kind="pretrained"))
        head = box(ax, x, 19.5, 22, 6, text, kind=kind)
        arrow(ax, bodies[-1], head, text=state)
        arrow(ax, head, tensor(ax, x, 28.2, shape, out, cell=1.9, high=1.2))
    arrow(ax, *bodies, width=2.4, text="kept", size=12)
    for rise in (-2.5, 2.5):
        ax.plot([5.5, 26.5], [19.5 - rise, 19.5 + rise], color=BACKWARD, linewidth=2, linestyle="-", zorder=3, alpha=0.5)
    write(ax, 28, 19.5, "← removed", color=BACKWARD, weight="bold", ha="left")
    return finish(ax)


def bert_from_ids_to_logits() -> Figure:
    """BERT as a classifier, from below upwards. Ids of four tokens, [CLS] first, of shape (B, T), become the sums of
    three embeddings, word, position and type: (B, T, D). Six blocks keep this shape. Of their output only the state of
    [CLS], (B, D), goes on, through the pooler, (B, D), to the classifier, which gives logits (B, C).
    """
    ax = canvas(68, 44)
    embeddings = box(ax, 25.5, 11.8, 46, 3.6, "embeddings: word + position + type", kind="pretrained")
    blocks = box(ax, 25.5, 23.2, 46, 6, "6 Transformer blocks (pretrained)", kind="pretrained", size=12)
    for t, (word, number) in enumerate((("[CLS]", 101), ("not", 2025), ("dull", 10634), ("[SEP]", 102))):
        x, kind = 8 + 11.7 * t, "tensor" if t else "strong"
        write(ax, x, 1.8, word)
        arrow(ax, tensor(ax, x, 5.2, [[number]], cell=8, high=2.8, kind="plain"), (x, embeddings.at(0, -1)[1]))
        arrow(ax, (x, embeddings.at(0, 1)[1]), tensor(ax, x, 16.8, (1, 4)), (x, blocks.at(0, -1)[1]))
        arrow(ax, (x, blocks.at(0, 1)[1]), tensor(ax, x, 30, (1, 4), kind=kind, shades=0.3 if t else 0.7))
    pooler = box(ax, 8, 38.4, 11, 4.2, "pooler", kind="pretrained")
    head = box(ax, 29, 38.4, 15, 4.2, "classifier (new)", kind="new")
    arrow(ax, (8, 31), pooler)
    arrow(ax, pooler, head, text="(B, D)")
    arrow(ax, head, tensor(ax, 47, 38.4, (1, 2), cell=2.2))
    labels(ax, (51.2, 5.2, "ids (B, T)"), (51.2, 16.8, "(B, T, D)"), (51.2, 30, "(B, T, D)"), ha="left", size=12)
    write(ax, 51.2, 38.4, "logits (B, C)", ha="left", size=12)
    write(ax, 9, 33.6, "state of [CLS] (B, D)", ha="left", size=10)
    return finish(ax)


def lora_and_adapter() -> Figure:
    """Two ways to train few weights. LoRA: the frozen matrix W (D, D) is hatched; beside it A (r, D) and B (D, r) are
    new and thin, and what both paths give is added. Adapter: after a frozen block two new layers go down from D to r
    and up to D again, and an arrow around them adds what came in.
    """
    ax = canvas(68, 45)
    new: dict[str, Any] = {"cell": 1.6, "kind": "new", "beside": True}
    frozen = tensor(ax, 7, 20, (6, 6), "W (D, D)\nfrozen", cell=1.6, kind="frozen", beside=True)
    block, plus, sums = box(ax, 50, 9, 17, 4.4, "block, frozen", kind="frozen"), dot(ax, 16.5, 38, "+"), dot(ax, 50, 38, "+")
    a, b = tensor(ax, 27, 12, (2, 6), "A (r, D)", **new), tensor(ax, 27, 22, (6, 2), "B (D, r)", **new)
    down, up = tensor(ax, 50, 18, (2, 6), "down (r, D)", **new), tensor(ax, 50, 28, (6, 2), "up (D, r)", **new)
    for part in (frozen, a):
        arrow(ax, (16.5, 3), part.at(0, -1), via=[(16.5, 5), (part.x, 5)])
    for part in (frozen, b):
        arrow(ax, part, plus, bend="|-")
    arrow(ax, a, b)
    arrow(ax, plus, (16.5, 41.6))
    arrow(ax, (50, 3), block, down)
    arrow(ax, down, up, text="ReLU")
    arrow(ax, up, sums, (50, 41.6))
    arrow(ax, (50, 13), sums.at(-1, 0), via=[(42, 13), (42, 38)])
    labels(ax, (20, 43, "LoRA: W x + (α/r) B A x"), (53, 43, "adapter: after a block"), weight="bold", size=12)
    labels(ax, (16.5, 1.8, "x (D)"), (50, 1.8, "x (B, T, D)"))
    return finish(ax)


def four_bit_blocks() -> Figure:
    """A block of 32 weights on a number line from the smallest to the largest, with 16 marks numbered 0 to 15. Each
    weight moves to its nearest mark, and only the number of the mark is stored, in 4 bits. With one scale and one
    minimum in float16 this makes 32 + 128 = 160 bits for 32 weights, 5 bits a weight, instead of 16. It is the format
    Q4_1 of GGUF.
    """
    ax, weights = canvas(68, 31.5), np.random.default_rng(1).normal(0, 0.05, 32)
    low, scale = weights.min(), np.ptp(weights) / 15
    numbers = np.round((weights - low) / scale).astype(int)
    arrow(ax, (4, 18.6), (64, 18.6), head=False, color=GREY)
    for mark in range(16):
        arrow(ax, (4 + 4 * mark, 18), (4 + 4 * mark, 19.2), head=False, color=GREY)
        write(ax, 4 + 4 * mark, 16.8, str(mark))
    for spot, number in zip(4 + 4 * (weights - low) / scale, numbers, strict=True):
        ax.plot(spot, 24.6, "o", color=STRONG, markersize=6, alpha=0.6)
        arrow(ax, (spot, 24), (4 + 4 * number, 19), head=False, width=0.8, color=STRONG)
    write(ax, 2, 29.6, "32 weights of 16 bits: 512 bits", ha="left", weight="bold")
    write(ax, 2, 27, f"smallest: minimum = {low:.3f}", ha="left", size=10)
    brace(ax, (48, 15.6), (52, 15.6), f"scale = {scale:.3f}", size=10)
    write(ax, 2, 9.9, "stored: minimum and scale (16 + 16 bits) and 32 numbers of 4 bits", ha="left", weight="bold")
    tensor(ax, 34, 6.5, [numbers], cell=2, high=2.6, size=9, kind="new")
    text = "(16 + 16 + 128) bits / 32 = 5 bits a weight;   weight ≈ minimum + scale · number"
    brace(ax, (2, 4.8), (66, 4.8), text)
    return finish(ax)


def data_parallel_step() -> Figure:
    """Two workers in two rows. Each has a copy of the same weights, takes its own micro-batch, goes forward and
    backward, and has a gradient of its own: (0.4, -0.2) and (0.0, 0.6). A tall box over both rows averages them, the
    all-reduce, and gives both workers (0.2, 0.2). Each takes the same optimiser step, so the weights stay equal.
    """
    ax, gradients = canvas(68, 31), np.array([[0.4, -0.2], [0.0, 0.6]])
    box(ax, 41.5, 14, 8.4, 22, "all-\nreduce:\nmean", weight="bold")
    for i, y in enumerate((21, 8)):
        own = [[f"{number:.1f}" for number in gradients[i]]]
        mean = [[f"{number:.1f}" for number in gradients.mean(axis=0)]]
        batch = tensor(ax, 5, y, (2, 4), "micro-batch", cell=1.8)
        work = box(ax, 18, y, 11, 6, "forward,\nbackward", kind="new")
        arrow(ax, batch, work, tensor(ax, 30.3, y, own, "gradient", cell=4, high=3), (37.2, y))
        step = box(ax, 63, y, 8, 6, "same\nstep", kind="new")
        arrow(ax, (45.8, y), tensor(ax, 52.3, y, mean, "mean", cell=3.3, high=3), step)
        write(ax, 1, y + 6.5, f"worker {i + 1}", ha="left", weight="bold", size=12)
    write(ax, 34, 1.4, "the same weights before the step, and after it", size=10)
    return finish(ax)
