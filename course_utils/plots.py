"""Figures of the course: functions that draw on an `ax` and return it, and `show`, which adds alt text.

Colours are Okabe and Ito's palette (2008), which people with every kind of colour vision can distinguish; lines differ in
dash and marker as well. Figures have a white ground of their own, so dark themes show them unchanged.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.transforms import Bbox

if TYPE_CHECKING:  # neither is needed to draw, and claims imports torch
    from .claims import Comparison
    from .evaluation import Interval

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
OPTIMISERS = ("gradient descent", "momentum", "RMSprop", "Adam")  # each has the colour and marker of its position
STYLE: dict[str, Any] = {
    "figure.figsize": (7.0, 3.6),
    "figure.dpi": 110,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "axes.prop_cycle": cycler(color=COLOURS, linestyle=_DASHES),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "font.size": 10,
    "lines.linewidth": 1.8,
    "axes.axisbelow": True,  # grid lines behind bars
}


def use_style() -> None:
    """Set the course's figure style for this notebook."""
    plt.rcParams.update(STYLE)  # type: ignore[arg-type]


# on a dark page a picture is turned over: white becomes the page's black, and each colour keeps its hue
_DARK = "[data-jp-theme-light=false], [data-theme=dark], [theme=dark], .vscode-dark"
DARK_STYLE = f"<style>:is({_DARK}) .course-figure {{ filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen }}</style>"


def figure_html(png: str, alt: str, *, width: int | None = None) -> str:
    """Return a picture (base64) as HTML, for bright and dark pages; `width` is in pixels.

    JupyterLab takes alternative text from there alone.
    """
    size = f' width="{width}"' if width else ""
    style = "max-width: 100%; height: auto"
    picture = f'<img class="course-figure" style="{style}" alt="{html.escape(alt)}"{size} src="data:image/png;base64,{png}">'
    return picture + DARK_STYLE


def show(figure: Figure, alt: str, *, sharpness: int = 1) -> None:
    """Display a figure with alternative text for people who do not see it, and close it.

    Args:
        sharpness: pixels of the picture for each pixel on the page; 2 for drawings, with their fine lines.

    Raises:
        ValueError: `alt` is too short to say what the figure shows.
    """
    from IPython.display import display

    if len(alt.split()) < 6:
        raise ValueError("alt should say in a sentence what the figure shows, its axes and its finding.")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi * sharpness, metadata={"Software": None})
    plt.close(figure)
    width = {} if sharpness == 1 else {"width": round(figure.get_figwidth() * figure.dpi)}
    page = figure_html(base64.b64encode(buffer.getvalue()).decode(), alt, **width)
    bundle = {"image/png": buffer.getvalue(), "text/html": page, "text/plain": f"Figure: {alt}"}
    display(bundle, raw=True, metadata={"image/png": {"alt": alt, **width}})


def style_index(name: str, otherwise: int = 0) -> int:
    """Return the index of the colour, dash and marker of a line: an optimiser's own, or `otherwise`."""
    return OPTIMISERS.index(name) if name in OPTIMISERS else otherwise


def curves(ax: Axes, series: Mapping[str, Any], *, x: Sequence[float] | None = None, marks: bool = True) -> Axes:
    """Draw one line per name; values (n,) over `x` (default 1..n). Lines differ in colour, dash and marker.

    The four optimisers of notebook 01 keep their colours in every figure, whichever of them are drawn.
    """
    for order, (name, values) in enumerate(series.items()):
        i = style_index(name, order)
        style: dict[str, Any] = {"color": COLOURS[i], "linestyle": _DASHES[i]} if name in OPTIMISERS else {}
        positions = np.arange(1, len(values) + 1) if x is None else np.asarray(x)[: len(values)]
        marker = MARKERS[i % len(MARKERS)] if marks else None
        ax.plot(positions, values, label=name, marker=marker, markersize=5, markevery=max(1, len(values) // 12), **style)
    if len(series) > 1:
        ax.legend()
    return ax


def smooth(values: Sequence[float], *, span: int = 20) -> np.ndarray:
    """Return the running mean (n,) of the last `span` values."""
    import pandas as pd

    return pd.Series(values, dtype=float).rolling(span, min_periods=1).mean().to_numpy()


def bars_with_intervals(ax: Axes, results: Mapping[str, Interval], *, unit: str = "accuracy") -> Axes:
    """Draw one horizontal point with its 95 % interval per name, the first at the top, values written beside."""
    for i, interval in enumerate(results.values()):
        ax.plot([interval.low, interval.high], [i, i], color=COLOURS[0], linestyle="-", linewidth=2.5)
        ax.plot(interval.estimate, i, MARKERS[0], color=COLOURS[0], markersize=7)
        ax.annotate(f"{interval.estimate:z.3f}", (interval.high, i), (6, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(results)), list(results))
    ax.set_ylim(len(results) - 0.4, -0.6)
    ax.margins(x=0.2)
    ax.set_xlabel(f"{unit}, with 95 % interval")
    return ax


def accuracy_against_cost(ax: Axes, results: Mapping[str, Interval], costs: Mapping[str, float], *, unit: str) -> Axes:
    """Draw each accuracy with its 95 % interval over its cost (log axis), and a stepped line through the Pareto front.

    On the front are those that none reaches whose cost is lower, or the same in two digits. Names stand at the right.
    """
    order = sorted(results, key=lambda name: -results[name].estimate)
    estimates = [results[name].estimate for name in order]
    heights = np.linspace(max(estimates), min(estimates), len(order))
    right, front = max(costs.values()) * 2.2, [(0.0, 0.0)]
    for name in sorted(order, key=lambda name: (float(f"{costs[name]:.2g}"), -results[name].estimate)):
        if results[name].estimate > front[-1][1]:
            front.append((costs[name], results[name].estimate))
    for i, (name, height) in enumerate(zip(order, heights, strict=True)):
        cost, result = costs[name], results[name]
        colour = COLOURS[0] if (cost, result.estimate) in front else "0.45"
        ax.plot([cost, cost], [result.low, result.high], color=colour, linestyle="-", linewidth=1.5)
        ax.plot(cost, result.estimate, MARKERS[i % len(MARKERS)], color=colour, markersize=6)
        ax.plot([cost, right], [result.estimate, height], color="0.8", linestyle="-", linewidth=0.7, zorder=0)
        ax.annotate(name, (right, height), (3, 0), textcoords="offset points", va="center", fontsize=8, color=colour)
    ax.step([*[cost for cost, _ in front[1:]], right], [*[top for _, top in front[1:]], front[-1][1]], where="post",
            color=COLOURS[0], linestyle=":", linewidth=1.5)  # fmt: skip
    ax.set(xscale="log", xlabel=unit, ylabel="accuracy, with 95 % interval", xlim=(min(costs.values()) / 1.6, right))
    ax.xaxis.set_major_formatter("{x:g}")
    return ax


def confusion_matrix(ax: Axes, counts: np.ndarray, class_names: Sequence[str]) -> Axes:
    """Draw counts int (C, C), true class down and predicted class across, each cell with its number."""
    heat_map(ax, counts, rows=class_names, columns=class_names, numbers="{:,.0f}")
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    return ax


def heat_map(
    ax: Axes,
    values: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    numbers: str | None = None,
    limits: tuple[float, float] | None = None,
) -> Axes:
    """Draw values (R, K) as shades; `numbers` is a format that writes each value into its cell."""
    low, high = limits or (float(np.min(values)), float(np.max(values)))
    picture = ax.imshow(values, cmap="Blues", vmin=low, vmax=high, aspect="auto")
    tilted: dict[str, Any] = {"rotation": 45, "ha": "right"} if len(columns) > 4 else {}
    ax.set_xticks(range(len(columns)), list(columns), **tilted)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.grid(False)
    if numbers is None:
        ax.figure.colorbar(picture, ax=ax, shrink=0.85)
        return ax
    for (i, j), value in np.ndenumerate(values):
        shade = np.array(picture.to_rgba(value)[:3])
        dark = shade**2.2 @ [0.2126, 0.7152, 0.0722] < 0.18  # relative luminance, where white stands out as black does
        ax.text(j, i, numbers.format(value), ha="center", va="center", color="white" if dark else "black")
    return ax


def loss_surface(
    ax: Axes, loss, *, xlim: tuple[float, float] = (-2.2, 2.2), ylim: tuple[float, float] = (-1.6, 1.6)
) -> Axes:
    """Draw level lines of a loss of two parameters, light where it is low; `loss` takes w (2,) and gives a number."""
    w0, w1 = np.meshgrid(np.linspace(*xlim, 61), np.linspace(*ylim, 61))
    heights = np.array([loss(np.array(w)) for w in zip(w0.ravel(), w1.ravel(), strict=True)]).reshape(w0.shape)
    ax.contourf(w0, w1, heights, levels=20, cmap="Greys", alpha=0.5)  # grey, so that every colour of a path stands out
    ax.contour(w0, w1, heights, levels=20, colors="#888888", linewidths=0.4, linestyles="-")
    ax.set(xlim=xlim, ylim=ylim, xlabel="parameter $w_0$", ylabel="parameter $w_1$")
    ax.grid(False)
    return ax


def descent_path(ax: Axes, path: np.ndarray, *, label: str) -> Axes:
    """Draw the walk float (steps + 1, 2) of an optimiser, in its own colour and marker; a ring marks its start."""
    style: dict[str, Any] = {"color": COLOURS[style_index(label)], "marker": MARKERS[style_index(label)]}
    ax.plot(*path.T, linestyle="-", markersize=3.5, linewidth=1.2, label=label, **style)
    ax.plot(*path[0], "o", markersize=10, markerfacecolor="none", markeredgecolor="black", markeredgewidth=1.5)
    return ax


def scatter_words(ax: Axes, points: np.ndarray, words: Sequence[str], groups: Sequence[int], names: Sequence[str]) -> Axes:
    """Write words at points float (n, 2); groups int (n,) differ in colour and marker and are named in a legend."""
    for group, name in enumerate(names):
        chosen = points[np.asarray(groups) == group]
        ax.plot(*chosen.T, MARKERS[group], color=COLOURS[group], markersize=5, label=name)
    ax.margins(0.12)
    ax.legend()
    label_points(ax, points, words)
    return ax


def label_points(ax: Axes, points: np.ndarray, labels: Sequence[str]) -> None:
    """Write each label near its point, float (n, 2), where it covers no other label, no point and not the legend.

    Eight sides are tried, near and then farther away. Set title and axis labels first, because they move the points.
    """
    ax.figure.canvas.draw()
    taken = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in ax.transData.transform(points)]
    taken += [legend.get_window_extent()] if (legend := ax.get_legend()) else []
    sides = [(np.cos(angle), np.sin(angle)) for angle in np.deg2rad([0, 180, 90, 270, 45, 135, 225, 315])]
    style: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8.5, "ha": "center", "va": "center"}
    for point, label in zip(points, labels, strict=True):
        note = ax.annotate(label, point, (0, 0), arrowprops={"arrowstyle": "-", "color": "#999999", "lw": 0.6}, **style)
        note.set_in_layout(False)
        box = note.get_window_extent()
        shifts = [(x * (box.width / 2 + r), y * (box.height / 2 + r)) for r in (8, 25, 42) for x, y in sides]
        boxes = [box.translated(*shift) for shift in shifts]
        free = (k for k, b in enumerate(boxes) if ax.bbox.count_contains(b.corners()) == 4 and not b.count_overlaps(taken))
        best = next(free, 0)
        note.xyann = tuple(np.divide(shifts[best], ax.figure.dpi / 72))
        taken.append(boxes[best])


def training_curves(axes: Sequence[Axes], history) -> Sequence[Axes]:
    """Draw a `History` on two axes: the loss over steps, and the validation accuracy over epochs."""
    losses = history.step_losses
    axes[0].plot(range(1, len(losses) + 1), losses, color=COLOURS[5], linewidth=0.6, linestyle="-", label="each batch")
    axes[0].plot(range(1, len(losses) + 1), smooth(losses), color=COLOURS[0], linestyle="-", label="mean of last 20")
    ends = [record.step for record in history.records]
    axes[0].plot(ends, [record.validation_loss for record in history.records], "s--", color=COLOURS[1], label="validation")
    axes[0].set(xlabel="step", ylabel="loss")
    axes[0].legend()
    epochs = [record.epoch for record in history.records]
    axes[1].plot(epochs, [record.validation_accuracy for record in history.records], "s--", color=COLOURS[1])
    axes[1].set(xlabel="epoch", ylabel="validation accuracy", xticks=epochs)
    return axes


def compared_run(ax: Axes, comparison: Comparison) -> Axes:
    """Draw a run as a diamond above the stored seeds, circles, over the shaded tolerance where the next seed should fall."""
    if comparison.tolerance:
        ax.axvspan(*comparison.tolerance, color=COLOURS[5], alpha=0.25, label="99 % tolerance")
        ax.plot(comparison.values, [0] * len(comparison.values), "o", color=COLOURS[0], markersize=8, label="stored seeds")
    ax.plot(comparison.value, 1, "D", color=COLOURS[1], markersize=9, label="this run")
    ax.set(yticks=[], ylim=(-0.8, 1.8))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
