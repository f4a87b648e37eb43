"""Drawings of notebooks 05 to 11: from a checkpoint to your model, with fewer weights, fewer bits, more workers."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .shapes import BACKWARD, GREY, STRONG, arrow, box, brace, canvas, dot, finish, labels, legend, tensor, write


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


def structural_changes() -> Figure:
    """Five stacks side by side. First the model as it is: embeddings, six layers, pooling that takes [CLS], and a head. Then
    four changes, each with the changed part in colour: the pooling takes the mean of all states; the head is a new one;
    a narrow adapter stands after each layer, and the layers themselves are frozen; and the upper three layers are gone.
    """
    ax, gap = canvas(78, 36), 15.2
    names = ("as it is", "other pooling", "new head", "adapters", "fewer layers")
    for k, name in enumerate(names):
        x = 8.6 + gap * k
        write(ax, x, 33.6, name, weight="bold")
        box(ax, x, 3.2, 12, 3.4, "embeddings", kind="pretrained")
        for layer in range(6):
            y = 7.6 + 3.1 * layer
            if k == 4 and layer > 2:
                write(ax, x, y, f"no layer {layer}", color=GREY)
            else:
                box(ax, x - 1.6 * (k == 3), y, 8.8 if k == 3 else 12, 2.4, f"layer {layer}", kind="pretrained")
            if k == 3:
                box(ax, x + 4.6, y, 2.6, 2.4, "A", kind="new")
        box(ax, x, 26.3, 12, 2.6, "pool: mean" if k == 1 else "pool: [CLS]", kind="new" if k == 1 else "plain")
        box(ax, x, 30.2, 12, 2.8, "new head" if k == 2 else "head", kind="new" if k == 2 else "pretrained")
    return finish(ax)


def lora_and_adapter() -> Figure:
    """Two ways to train few weights. LoRA: x goes through the frozen matrix W (D, D), which is hatched, and beside it
    through two new thin matrices, A (r, D) and B (D, r); what B gives, times alpha / r, is added to what W gives.
    Adapter: after a frozen sublayer, two new layers go down from D to m, then GELU, and up to D again, and an arrow around
    them adds what came in.
    """
    ax = canvas(68, 45)
    new: dict[str, Any] = {"cell": 1.6, "kind": "new", "beside": True}
    frozen = tensor(ax, 7, 20, (6, 6), "W (D, D)\nfrozen", cell=1.6, kind="frozen", beside=True)
    block = box(ax, 50, 9, 17, 4.4, "sublayer, frozen", kind="frozen")
    plus, sums = dot(ax, 16.5, 38, "+"), dot(ax, 50, 38, "+")
    a, b = tensor(ax, 27, 12, (2, 6), "A (r, D)", **new), tensor(ax, 27, 22, (6, 2), "B (D, r)", **new)
    down, up = tensor(ax, 50, 18, (2, 6), "down (m, D)", **new), tensor(ax, 50, 28, (6, 2), "up (D, m)", **new)
    for part in (frozen, a):
        arrow(ax, (16.5, 3), part.at(0, -1), via=[(16.5, 5), (part.x, 5)])
    for part in (frozen, b):
        arrow(ax, part, plus, bend="|-")
    arrow(ax, a, b)
    arrow(ax, plus, (16.5, 41.6))
    arrow(ax, (50, 3), block, down)
    arrow(ax, down, up, text="GELU")
    arrow(ax, up, sums, (50, 41.6))
    arrow(ax, (50, 13), sums.at(-1, 0), via=[(42, 13), (42, 38)])
    labels(ax, (20, 43, "LoRA: W x + (α/r) B A x"), (53, 43, "adapter: after a sublayer"), weight="bold", size=12)
    labels(ax, (16.5, 1.8, "x (D)"), (50, 1.8, "x (D)"), (29.3, 32, "· α/r"))
    legend(ax, 27.5, 1.8, new="trained")
    return finish(ax)


def four_bit_blocks() -> Figure:
    """A block of 32 weights on a number line from the smallest to the largest, with 16 marks, the codes 0 to 15. Each
    weight moves to its nearest mark, and only its code is stored, in 4 bits. All 32 share one minimum and one scale, the
    step from mark to mark, in float16: 160 bits instead of 512, 5 bits or 0.625 byte a weight. A weight is read back as
    the minimum plus the scale times its code. This is the format Q4_1 of GGUF.
    """
    ax, draws, low, scale = canvas(68, 34), np.random.default_rng(35).normal(size=32), -0.15, 0.02
    steps = 15 * (draws - draws.min()) / np.ptp(draws)
    codes = np.round(steps).astype(int)
    arrow(ax, (4, 21.1), (64, 21.1), head=False, color=GREY)
    for mark in range(16):
        arrow(ax, (4 + 4 * mark, 20.5), (4 + 4 * mark, 21.7), head=False, color=GREY)
        write(ax, 4 + 4 * mark, 19.3, str(mark))
    for step, code in zip(steps, codes, strict=True):
        ax.plot(4 + 4 * step, 27.1, "o", color=STRONG, markersize=6, alpha=0.6)
        arrow(ax, (4 + 4 * step, 26.5), (4 + 4 * code, 21.5), head=False, width=0.8, color=STRONG)
    stored = "stored: minimum and scale in float16, and 32 codes of 4 bits"
    labels(ax, (2, 32.1, "32 weights in float16: 512 bits"), (2, 12.4, stored), ha="left", weight="bold")
    write(ax, 2, 29.5, f"smallest: minimum = {low}", ha="left", size=10)
    brace(ax, (48, 18.1), (52, 18.1), f"scale = {scale}", size=10)
    tensor(ax, 34, 9, [codes], cell=2, high=2.6, size=9, kind="new")
    brace(ax, (2, 7.3), (66, 7.3), "(16 + 16 + 32 · 4) bits / 32 = 5 bits = 0.625 byte a weight")
    first = f"{low + scale * steps[0]:.3f} → {codes[0]} → {low} + {scale} · {codes[0]} = {low + scale * codes[0]:.3f}"
    write(ax, 34, 2, f"read back: minimum + scale · code;   {first}")
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


def ring_all_reduce() -> Figure:
    """Three workers in three rows, each with a vector of three numbers, in three stages from left to right. At the start
    each has its own. After the reduce-scatter each has the complete sum of one position, dark: 111, 222 or 333. After the
    all-gather all workers have all three sums. Arrows lead from each worker down to the next, and from the last one back
    to the first.
    """
    ax, rows = canvas(70, 31), np.array([[1, 2, 3], [10, 20, 30], [100, 200, 300]])
    scattered = rows.copy()
    for step in range(2):
        sent = [scattered[w, (w - step) % 3] for w in range(3)]
        for w in range(3):
            scattered[(w + 1) % 3, (w - step) % 3] += sent[w]
    stages = [(15, "start", rows), (38, "sums of one position", scattered), (61, "all sums", rows.sum(axis=0) + 0 * rows)]
    for x, title, numbers in stages:
        write(ax, x, 29.3, title, weight="bold")
        cells = [tensor(ax, x, y, [row], cell=4.4, high=3.4, shades=[np.where(row == rows.sum(axis=0), 0.64, 0.2)])
                 for y, row in zip((23.5, 15.5, 7.5), numbers, strict=True)]  # fmt: skip
        if x < 60:
            arrow(ax, *cells)
            arrow(ax, cells[2].at(-0.7, -1), cells[0].at(-1, 0), via=[(x - 4.6, 3.6), (x - 8.2, 3.6), (x - 8.2, 23.5)])
            arrow(ax, (x + 8, 15.5), (x + 15 - 0.4, 15.5), width=2.4)
    for w, y in enumerate((23.5, 15.5, 7.5)):
        write(ax, 3.2, y + 2.8, f"worker {w}", size=10)
    labels(ax, (26.5, 1.6, "reduce-scatter: 2 messages each"), (53, 1.6, "all-gather: 2 messages each"), size=10)
    return finish(ax)


def shares_of_an_epoch() -> Figure:
    """One row of twelve sentence numbers, shuffled with a seed that all workers share. Three workers take every third of
    them, in three shades: worker 0 the first, fourth, seventh and tenth. Below, a row for each worker with its four
    sentences, one for each step. A bracket below the first column says that these three are the joint batch of step 1.
    """
    ax, order, shades = canvas(66, 33), [7, 2, 11, 4, 9, 0, 5, 10, 1, 8, 3, 6], (0.12, 0.36, 0.64)
    write(ax, 1.5, 31, "the order of this epoch: the same seed in all workers", ha="left", weight="bold")
    tensor(ax, 33, 27.2, [order], cell=4.4, high=3.4, shades=[[shades[i % 3] for i in range(12)]])
    arrow(ax, (33, 24.6), (33, 20.8), width=2.4, text="every third, from its rank on")
    for w in range(3):
        y = 15 - 4.6 * w
        write(ax, 14, y, f"worker {w}", ha="right", weight="bold")
        tensor(ax, 29, y, [order[w::3]], cell=6, high=3.4, shades=shades[w])
    for step in range(4):
        write(ax, 20 + 6 * step, 18.4, f"step {step + 1}", size=10)
    brace(ax, (17.2, 3.6), (22.8, 3.6), "joint batch")
    labels(ax, (43, 15, "no sentence is lost,"), (43, 11.9, "none is read twice,"), (43, 8.8, "all take 4 steps"), ha="left")
    return finish(ax)


def sharded_states() -> Figure:
    """What each of four ranks keeps, for four methods: a grid with columns for weights w, gradients g and Adam's m and v,
    and a row for each quarter of the parameters. DDP: everything in each rank, 16 bytes a parameter. ZeRO 1: of m and v
    only its own quarter, the rest is hatched, 10 bytes. ZeRO 2: also of g, 7 bytes. ZeRO 3, or FSDP: of all, 4 bytes.
    """
    ax, ranks = canvas(70, 38), np.arange(4)
    write(ax, 4, 33.4, "keeps", size=10)
    for stage, name in enumerate(("DDP", "ZeRO 1", "ZeRO 2", "ZeRO 3, FSDP")):
        x, sharded = 15.5 + 15.6 * stage, np.array([stage >= 3, stage >= 2, stage >= 1, stage >= 1])
        write(ax, x, 36.3, name, weight="bold", size=12)
        for column, letter in enumerate("wgmv"):
            write(ax, x + 2.2 * (column - 1.5), 33.4, letter)
        for rank in ranks.tolist():
            missing = sharded[None, :] & (ranks != rank)[:, None]  # (quarters, columns)
            tensor(ax, x, 29 - 7 * rank, (4, 4), cell=2.2, high=1.4, masked=missing, shades=0.6)
        size = float(np.dot([4, 4, 4, 4], np.where(sharded, 0.25, 1)))
        write(ax, x, 2.6, f"{size:g} bytes", weight="bold", color=STRONG)
    for rank in ranks.tolist():
        write(ax, 4, 29 - 7 * rank, f"rank {rank}", size=10)
    write(ax, 4, 2.6, "per\nparameter", size=9)
    return finish(ax)
