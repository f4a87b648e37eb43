"""Drawings of notebooks 01 to 03: the gradient, the data, the test set, and the order of a training run."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure

from .shapes import BACKWARD, GREY, INK, STRONG, arrow, box, brace, canvas, finish, labels, legend, tensor, tint, write


def chain_rule() -> Figure:
    """Four boxes in a row: parameter w = 0.5, logit z = w·x + b = 1.386, probability p = sigmoid(z) = 0.8, and the loss
    -log p = 0.223. Arrows to the right carry the values. Dashed arrows back to the left carry the local derivatives:
    -1.25 of the loss by p, 0.16 of p by z, 2 of z by w. Below, their product is the gradient of the loss by w, -0.40.
    """
    ax, x, w, b, p = canvas(66, 31), 2.0, 0.5, np.log(4) - 1, 0.8  # sigmoid(log 4) is 0.8
    steps = [(5.0, 6, "w", f"{w}"), (21.0, 13, "z = w·x + b", f"{w * x + b:.3f}")]
    steps += [(39.5, 11, "p = σ(z)", f"{p}"), (57.5, 14, "loss = −log p", f"{-np.log(p):.3f}")]
    slopes = [("∂z/∂w = x", x), ("∂p/∂z = p(1 − p)", p * (1 - p)), ("∂loss/∂p = −1/p", -1 / p)]
    write(ax, 1.5, 29, f"forward: values   (x = {x:g}, b = {b:.3f}, true class 1)", ha="left", color=STRONG, weight="bold")
    frames = [box(ax, at, 20.5, width, 5, name, kind="tensor" if at > 5 else "new", size=12) for at, width, name, _ in steps]
    for frame, (*_, value) in zip(frames, steps, strict=True):
        write(ax, frame.x, 24.8, value, size=12, color=STRONG, weight="bold")
    arrow(ax, *frames, color=STRONG)
    for left, right, (name, slope) in zip(frames, frames[1:], slopes, strict=False):
        start, end, middle = right.x - 1, left.x + 1, (left.at(1, 0)[0] + right.at(-1, 0)[0]) / 2
        arrow(ax, (start, 17.9), (end, 17.9), back=True, via=[(start, 15.5), (end, 15.5)])
        write(ax, middle, 13.4, name, color=BACKWARD)
        write(ax, middle, 11, f"{slope:.4g}", size=12, color=BACKWARD, weight="bold")
    write(ax, 1.5, 6.6, "backward: multiply the local derivatives", ha="left", color=BACKWARD, weight="bold")
    factors = " · ".join((f"{x:g}", f"{p * (1 - p):.2f}", f"({-1 / p:.2f})"))
    write(ax, 1.5, 3, f"∂loss/∂w = {factors} = {-x * (1 - p):.2f}", size=13, ha="left")
    return finish(ax)


def dot_product() -> Figure:
    """Three panels with two arrows each. Angle under 90 degrees: the projection of a on b points along b and the dot
    product is 6, positive. Angle of 90 degrees: the projection and the dot product are 0. Angle over 90 degrees: the
    projection points the other way, and the dot product is -6, negative. The dot product is the length of b times the
    signed length of the projection.
    """
    ax, y, unit = canvas(66, 24), 9.5, 3.9
    panels = [(11, 5, (2, 2), "under 90°: positive"), (33, 28, (0, 2), "90°: zero"), (55, 52, (-2, 2), "over 90°: negative")]
    for middle, x, a, title in panels:
        tip = x + unit * a[0], y + unit * a[1]
        arrow(ax, (x, y), (x + unit * 3, y), width=2.4)
        arrow(ax, (x, y), tip, width=2.4, color=STRONG)
        angle = np.linspace(0, np.arctan2(a[1], a[0]), 50)
        ax.plot(x + 2 * np.cos(angle), y + 2 * np.sin(angle), color=INK, linewidth=1.2, linestyle="-")
        if a[0]:
            ax.plot([tip[0]] * 2, [y, tip[1]], color=GREY, linestyle=":")
            brace(ax, (min(x, tip[0]), y - 0.8), (max(x, tip[0]), y - 0.8))
        write(ax, middle, 22, title, weight="bold", size=12)
        write(ax, x + unit * 3 + 0.5, y, "b", size=13, ha="left")
        write(ax, tip[0], tip[1] + 1.3, "a", size=13, color=STRONG)
        write(ax, (x + tip[0]) / 2, y - 3.3, f"projection {a[0]}", size=10)
        write(ax, middle, 2.4, f"a·b = {a[0]}·3 + {a[1]}·0 = {3 * a[0]}", size=12)
    return finish(ax)


def padded_batch() -> Figure:
    """Three reviews of four, three and one words become three rows of ids of the same length 4: shape (B, T) = (3, 4). The
    missing positions at the end of the shorter rows are hatched and have the id 0 of PAD. Beside it the attention mask, of
    the same shape, has 1 at every real token and 0 at every padded position.
    """
    reviews = [("not dull just funny", (27, 419, 42, 163)), ("a fine film", (5, 388, 21, 0)), ("dull", (419, 0, 0, 0))]
    rows = [ids for _, ids in reviews]
    ax, padded = canvas(66, 19), np.equal(rows, 0)
    ids = tensor(ax, 33, 9.2, rows, "input_ids (3, 4)", cell=4.2, high=3.4, masked=padded)
    mask = tensor(ax, 56.5, 9.2, 1 - padded, "attention_mask (3, 4)", cell=3.4, masked=padded, kind="plain")
    for i, (text, _) in enumerate(reviews):
        y = 9.2 + 3.4 * (1 - i)
        write(ax, 17.5, y, text, ha="right")
        arrow(ax, (18.5, y), (24.2, y))
        arrow(ax, (42, y), (mask.at(-1, 0)[0] - 0.4, y))
    write(ax, 17.5, 15.7, "B = 3 reviews", ha="right", size=10)
    brace(ax, ids.at(-1, -1.1), ids.at(1, -1.1), "T = 4 positions", size=10)
    legend(ax, 47.5, 2.2, masked="PAD, id 0: ignored")
    return finish(ax)


def random_and_block_split() -> Figure:
    """Twenty-four reviews as cells in the order of the file, four of each of the films A to F. In the random split the six
    test reviews are scattered, and training has reviews of the same film for each of them. In the block split the last six
    reviews are the test set, four before them are a hatched gap that nobody uses, and no film is in both parts.
    """
    ax, films = canvas(66, 27), [film for film in "ABCDEF" for _ in range(4)]
    rows: list[tuple[float, str, set[int], set[int]]] = [(17.5, "random split", {1, 6, 8, 15, 18, 21}, set())]
    rows.append((8.5, "block split with a gap", set(range(18, 24)), set(range(14, 18))))
    write(ax, 1.5, 25.2, "reviews in the order of the file; the letter is the film", ha="left", size=10, color=GREY)
    for y, title, test, gap in rows:
        for i, film in enumerate(films):
            kind = "strong" if i in test else "masked" if i in gap else "plain"
            tensor(ax, 2.8 + 2.63 * i, y, [[film]], cell=2.5, high=3.2, size=11, kind=kind)
        known = sum(films[i] in {film for j, film in enumerate(films) if j not in test | gap} for i in test)
        write(ax, 1.5, y + 3.6, title, ha="left", weight="bold", size=12)
        text = f"{known} of {len(test)} test reviews: training has seen their film"
        write(ax, 64.5, y + 3.6, text, ha="right", color=BACKWARD if known else STRONG)
    legend(ax, 1.5, 2.4, plain="training", strong="test", masked="gap, not used")
    return finish(ax)


def bootstrap() -> Figure:
    """A test set of eight blocks of reviews, lettered A to H. From it blocks are drawn with replacement, so that some
    letters come twice and some not at all: three such samples are shown, with an accuracy each. On the right the histogram
    of the accuracies of 2,000 samples, and below it a bracket over the middle 95 percent of them: the interval.
    """
    ax, scores = canvas(68, 30), np.array([0.70, 0.95, 0.80, 0.85, 0.65, 0.90, 0.75, 0.80])
    draws = np.random.default_rng(3).integers(0, 8, (2000, 8))
    accuracies = scores[draws].mean(axis=1)
    whole = tensor(ax, 11, 26, ["ABCDEFGH"], cell=2.3)
    arrow(ax, whole, (11, 19.7), text="draw 8 blocks, with replacement")
    for y, end, drawn, accuracy in zip((17.5, 13, 8.5), (15.5, 13, 10.5), draws, accuracies, strict=False):
        tensor(ax, 11, y, ["".join("ABCDEFGH"[k] for k in sorted(drawn))], cell=2.3)
        write(ax, 21.3, y, f"accuracy {accuracy:.3f}", ha="left", size=10)
        arrow(ax, (32.6, y), (38.4, end))
    counts, edges = np.histogram(accuracies, bins=np.arange(0.68125, 0.925, 0.0125))
    low, high = np.quantile(accuracies, [0.025, 0.975])
    xs, (left, right) = 40 + (edges - 0.68) * 108, (40 + (end - 0.68) * 108 for end in (low, high))
    colours = [tint(STRONG, 0.75 if low < middle < high else 0.2) for middle in (edges[:-1] + edges[1:]) / 2]
    ax.bar(xs[:-1], counts * 15 / counts.max(), 1.25, bottom=9, align="edge", color=colours)
    arrow(ax, (40, 9), (66, 9), head=False, color=GREY, width=1)
    brace(ax, (left, 8.4), (right, 8.4), f"95 % of them: {low:.2f} to {high:.2f}", weight="bold")
    write(ax, 11, 4.6, "… 2,000 times")
    labels(ax, (11, 28.6, "test set in blocks"), (53, 26.4, "2,000 accuracies"), weight="bold")
    return finish(ax)


def seven_steps() -> Figure:
    """Seven boxes in a ring, joined by arrows: 1 load the model, 2 prepare the data, 3 define the loss, 4 define the
    optimiser, 5 train, 6 validate, 7 test. Steps 5 and 6 are joined by arrows both ways: they alternate, once an epoch, and
    this is the inner loop. Step 7 comes once, at the end.
    """
    names = ["load the model", "prepare\nthe data", "define the loss", "define the\noptimiser"]
    names += ["train", "validate", "test, once"]
    ax, turns = canvas(66, 42), np.pi / 2 - 2 * np.pi * np.arange(7) / 7
    kinds = ["plain"] * 4 + ["new", "new", "strong"]
    frames = [
        box(ax, 33 + 24 * np.cos(turn), 21 + 17 * np.sin(turn), 17, 5.4, f"{i + 1}  {name}", kind=kind, size=12)
        for i, (name, turn, kind) in enumerate(zip(names, turns, kinds, strict=True))
    ]
    for i, ends in enumerate(pairwise(frames)):
        ring = [(33 + 24 * np.cos(t), 21 + 17 * np.sin(t)) for t in np.linspace(turns[i], turns[i + 1], 200)]
        start, *way, end = [p for p in ring if all(abs(p[0] - f.x) > 8.9 or abs(p[1] - f.y) > 3 for f in ends)]
        arrow(ax, start, end, via=way, width=2)
    (x, top), (right, y) = frames[5].at(1, 0), frames[4].at(0.7, 1)
    quarter = np.linspace(0, np.pi / 2, 50)
    start, *way, end = zip(x + (right - x) * np.sin(quarter), y + (top - y) * np.cos(quarter), strict=True)
    arrow(ax, start, end, via=way, width=2)
    write(ax, 35.5, 17.5, "inner loop,\nonce an epoch")
    return finish(ax)
