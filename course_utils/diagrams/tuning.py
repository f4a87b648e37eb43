"""Drawings of notebooks 05 to 11: from a checkpoint to your model, with fewer weights, fewer bits, more workers."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from .shapes import BACKWARD, GREY, STRONG, Frame, arrow, box, brace, canvas, dot, tensor, write


def pretraining_road() -> Figure:
    """Two roads to your model. The long one: text without labels, pretraining for millions of steps, which somebody has done
    once for everybody, a checkpoint, then fine-tuning on a few thousand labelled examples. The other road: random weights,
    and training from scratch on the same few thousand labelled examples alone.
    """
    ax = canvas(68, 27)
    text, point = box(ax, 8, 18, 13, 6, "text without\nlabels"), box(ax, 34, 18, 12, 6, "checkpoint", kind="pretrained")
    yours, random = box(ax, 61, 18, 11, 6, "your\nmodel", kind="new"), box(ax, 34, 5.5, 12, 6, "random\nweights")
    scratch = box(ax, 61, 5.5, 11, 6, "your\nmodel", kind="new")
    for start, end, name, what in (
        (text, point, "pretraining", "millions of steps,\ndone once"),
        (point, yours, "fine-tuning", "a few thousand\nlabels"),
        (random, scratch, "from scratch", "the same few\nthousand labels"),
    ):
        x = (start.at(1, 0)[0] + end.at(-1, 0)[0]) / 2
        arrow(ax, start, end, width=2)
        write(ax, x, start.y + 0.8, name, weight="bold", va="bottom")
        write(ax, x, start.y - 0.9, what, size=10, va="top")
    write(ax, 1.5, 24.5, "with pretraining", ha="left", weight="bold", size=12)
    write(ax, 1.5, 5.5, "without", ha="left", weight="bold", size=12)
    return ax.figure


def new_head() -> Figure:
    """On the left the pretrained model: a body of embeddings and blocks, and above it the masked-language-model head, from D
    numbers to scores of V words, which is crossed out. An arrow takes the body, with its weights, to the right. There a new
    head stands above it, a classifier with random weights from D numbers to the scores of C classes.
    """
    ax, bodies = canvas(66, 33), []
    masked = (16, "pretrained", "masked-LM head\n(D → V)", "states (B, T, D)", "scores (B, T, V)", 10)
    classes = (50, "new", "classifier (D → C)\nnew: random weights", "[CLS] (B, D)", "logits (B, C)", 2)
    for x, kind, text, state, out, width in (masked, classes):
        bodies.append(box(ax, x, 6.5, 22, 10, "body: embeddings\nand 6 blocks,\npretrained", kind="pretrained"))
        head = box(ax, x, 19.5, 22, 6, text, kind=kind)
        arrow(ax, bodies[-1], head, text=state)
        arrow(ax, head, tensor(ax, x, 28, (1, width), out, cell=1.9))
    arrow(ax, *bodies, width=2.4, text="kept", size=12)
    for up in (-1, 1):
        ends = [5.5, 26.5], [19.5 - 2.5 * up, 19.5 + 2.5 * up]
        ax.plot(*ends, color=BACKWARD, linewidth=2, linestyle="-", zorder=3, alpha=0.5)
    write(ax, 28, 19.5, "← removed", color=BACKWARD, weight="bold", ha="left")
    return ax.figure


def bert_from_ids_to_logits() -> Figure:
    """BERT as a classifier, from below upwards. Ids of four tokens, [CLS] first, of shape (B, T), become the sums of
    three embeddings, word, position and type: (B, T, D). Six blocks keep this shape. Of their output only the state of
    [CLS], (B, D), goes on, through the pooler, (B, D), to the classifier, which gives logits (B, C).
    """
    ax = canvas(68, 44)
    box(ax, 25.5, 11.8, 46, 3.6, "embeddings: word + position + type", kind="pretrained")
    box(ax, 25.5, 23.2, 46, 6, "6 Transformer blocks (pretrained)", kind="pretrained", size=12)
    for t, (word, number) in enumerate((("[CLS]", 101), ("not", 2025), ("dull", 10634), ("[SEP]", 102))):
        x = 8 + 11.7 * t
        write(ax, x, 1.8, word)
        ids = tensor(ax, x, 5.2, [[number]], cell=8, high=2.8, kind="plain")
        arrow(ax, ids, (x, 10))
        for low, high, y in ((13.6, 20.2, 16.8), (26.2, 32, 30)):
            arrow(ax, (x, low), (x, y - 1))
            chosen = y == 30 and t == 0
            tensor(
                ax,
                x,
                y,
                (1, 4),
                cell=2,
                kind="strong" if chosen else "tensor",
                shades=np.full((1, 4), 0.7 if chosen else 0.3),
            )
            if y < 20:
                arrow(ax, (x, y + 1), (x, high))
    pooler = box(ax, 8, 38.4, 11, 4.2, "pooler", kind="pretrained")
    head = box(ax, 29, 38.4, 15, 4.2, "classifier (new)", kind="new")
    logits = tensor(ax, 47, 38.4, (1, 2), cell=2.2)
    arrow(ax, (8, 31), pooler)
    arrow(ax, pooler, head, text="(B, D)")
    arrow(ax, head, logits)
    shapes = [(5.2, "ids (B, T)"), (16.8, "(B, T, D)"), (30, "(B, T, D)"), (38.4, "logits (B, C)")]
    for y, text in shapes:
        write(ax, 51.2, y, text, ha="left", size=12)
    write(ax, 9, 33.6, "state of [CLS] (B, D)", ha="left", size=10)
    return ax.figure


def lora_and_adapter() -> Figure:
    """Two ways to train few weights. LoRA: the frozen matrix W (D, D) is hatched; beside it A (r, D) and B (D, r) are
    new and thin, and what both paths give is added. Adapter: after a frozen block two new layers go down from D to r
    and up to D again, and an arrow around them adds what came in.
    """
    ax = canvas(68, 45)
    write(ax, 20, 43, "LoRA: W x + (α/r) B A x", weight="bold", size=12)
    write(ax, 53, 43, "adapter: after a block", weight="bold", size=12)
    frozen = tensor(ax, 7, 20, (6, 6), "W (D, D)\nfrozen", cell=1.6, kind="frozen", beside=True)
    block, pluses = box(ax, 50, 9, 17, 4.4, "block, frozen", kind="frozen"), [dot(ax, x, 38, "+") for x in (16.5, 50)]
    for x, low, names, plus in (
        (27, 12, ("A (r, D)", "B (D, r)"), pluses[0]),
        (50, 18, ("down (r, D)", "up (D, r)"), pluses[1]),
    ):
        down = tensor(ax, x, low, (2, 6), names[0], cell=1.6, kind="new", beside=True)
        up = tensor(ax, x, low + 10, (6, 2), names[1], cell=1.6, kind="new", beside=True)
        arrow(ax, down, up, text="ReLU" if x == 50 else "")
        arrow(ax, up, plus, bend="|-" if x == 27 else "")
        write(ax, 50 if x == 50 else 16.5, 1.8, "x (B, T, D)" if x == 50 else "x (D)")
    for part in (frozen, Frame(27, 12, 9.6, 3.2)):
        arrow(ax, (16.5, 3), part.at(0, -1), via=[(16.5, 5), (part.x, 5)])
    arrow(ax, frozen, pluses[0], bend="|-")
    for start, end in (
        ((50, 3), block),
        (block, Frame(50, 18, 9.6, 3.2)),
        (pluses[0], (16.5, 41.6)),
        (pluses[1], (50, 41.6)),
    ):
        arrow(ax, start, end)
    arrow(ax, (50, 13), pluses[1].at(-1, 0), via=[(42, 13), (42, 38)])
    return ax.figure


def four_bit_blocks() -> Figure:
    """A block of 32 weights on a number line from the smallest to the largest, with 16 marks numbered 0 to 15. Each
    weight moves to its nearest mark, and only the number of the mark is stored, in 4 bits. With one scale and one
    minimum in float16 this makes 32 + 128 = 160 bits for 32 weights, 5 bits a weight, instead of 16. It is the format
    Q4_1 of GGUF.
    """
    weights = np.random.default_rng(1).normal(0, 0.05, 32)
    low, step = weights.min(), (weights.max() - weights.min()) / 15
    numbers = np.round((weights - low) / step).astype(int)
    ax = canvas(68, 31.5)
    write(ax, 2, 29.6, "32 weights of 16 bits: 512 bits", ha="left", weight="bold")
    ax.plot([4, 64], [18.6, 18.6], color=GREY, linewidth=1.2, linestyle="-")
    for mark in range(16):
        ax.plot([4 + 4 * mark] * 2, [18, 19.2], color=GREY, linewidth=1.2, linestyle="-")
        write(ax, 4 + 4 * mark, 16.8, str(mark))
    for weight, number in zip(weights, numbers, strict=True):
        spot = 4 + 4 * (weight - low) / step
        ax.plot(spot, 24.6, "o", color=STRONG, markersize=6, alpha=0.6)
        arrow(ax, (spot, 24), (4 + 4 * number, 19), head=False, width=0.8, color=STRONG)
    write(ax, 2, 27, f"smallest: minimum = {low:.3f}".replace("-", "−"), ha="left", size=10)
    brace(ax, (48, 15.6), (52, 15.6), f"scale = {step:.3f}", size=10)
    write(ax, 2, 9.9, "stored: minimum and scale (16 + 16 bits) and 32 numbers of 4 bits", ha="left", weight="bold")
    stored = tensor(ax, 34, 6.5, [[str(n) for n in numbers]], cell=2, high=2.6, size=9, kind="new")
    brace(
        ax,
        stored.at(-1, -1.3),
        stored.at(1, -1.3),
        "(16 + 16 + 128) bits / 32 = 5 bits a weight;   weight ≈ minimum + scale · number",
        size=11,
    )
    return ax.figure


def data_parallel_step() -> Figure:
    """Two workers in two rows. Each has a copy of the same weights, takes its own micro-batch, goes forward and
    backward, and has a gradient of its own: (0.4, -0.2) and (0.0, 0.6). A tall box over both rows averages them, the
    all-reduce, and gives both workers (0.2, 0.2). Each takes the same optimiser step, so the weights stay equal.
    """
    ax, gradients = canvas(68, 31), [[0.4, -0.2], [0.0, 0.6]]
    box(ax, 41.5, 14, 8.4, 22, "all-\nreduce:\nmean", weight="bold")
    for y, gradient, name in ((21, gradients[0], "worker 1"), (8, gradients[1], "worker 2")):
        write(ax, 1, y + 6.5, name, ha="left", weight="bold", size=12)
        batch = tensor(ax, 5, y, (2, 4), "micro-batch", cell=1.8)
        work = box(ax, 18, y, 11, 6, "forward,\nbackward", kind="new")
        own = tensor(ax, 30.5, y, [[f"{g:.1f}".replace("-", "−") for g in gradient]], "gradient", cell=3.7, high=3)
        both = tensor(ax, 52.3, y, [[f"{g:.1f}" for g in np.mean(gradients, axis=0)]], "mean", cell=3.3, high=3)
        step = box(ax, 63, y, 8, 6, "same\nstep", kind="new")
        for start, end in ((batch, work), (work, own), (own, (37.2, y)), ((45.8, y), both), (both, step)):
            arrow(ax, start, end)
    write(ax, 34, 1.4, "the same weights before the step, and after it", size=10)
    return ax.figure
