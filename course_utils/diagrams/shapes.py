"""What the drawings are made of: boxes, arrows, tensors and braces on an `ax` whose unit is a tenth of an inch.

A colour has one meaning in the whole course, and where it matters a word or a hatch states it as well: green is pretrained,
orange is new or trained now, grey with crossed lines is frozen, light blue is a tensor that flows through, pink is the
memory of an LSTM. Dashed orange-red arrows go backward. Cells hatched one way are masked.
"""

from __future__ import annotations

import re
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path

from ..plots import COLOURS

INK, GREY, STRONG, BACKWARD, MEMORY = "#222222", "#6b6b6b", COLOURS[0], COLOURS[1], "#a8487c"
KINDS = {"pretrained": COLOURS[2], "new": COLOURS[4], "tensor": COLOURS[5], "strong": STRONG}
KINDS |= {"plain": "#9a9a9a", "frozen": "#8a8a8a", "masked": "#8a8a8a"}  # the last two have a hatch
Point = tuple[float, float]


class Frame(NamedTuple):
    """Centre and size of something drawn."""

    x: float
    y: float
    w: float = 0
    h: float = 0

    def at(self, across: float, up: float) -> Point:
        """Return a point of the frame: (-1, -1) is its lower left corner, (1, 1) its upper right one."""
        return self.x + across * self.w / 2, self.y + up * self.h / 2

    def towards(self, x: float, y: float, bend: str = "") -> Point:
        """Return the middle of the side that faces (x, y); a bend that starts with "-" leaves across, else up or down."""
        dx, dy = x - self.x, y - self.y
        flat = bend == "-|" if bend else abs(dx) - self.w / 2 >= abs(dy) - self.h / 2
        return self.at(float(np.sign(dx)), 0) if flat else self.at(0, float(np.sign(dy)))


def tint(colour: str, strength: float = 0.3) -> tuple[float, ...]:
    """Return the colour mixed with white: strength 0 is white, 1 the colour itself."""
    return tuple(1 - strength * (1 - part) for part in to_rgb(colour))


def canvas(width: float, height: float) -> Axes:
    """Return an empty white ax of this size in tenths of an inch, (0, 0) its lower left corner."""
    figure = Figure(figsize=(width / 10, height / 10), dpi=110, facecolor="white")
    figure.set_layout_engine("none")  # the one of the notebooks' style warns that it has nothing to do
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.axis("off")
    return ax


def finish(ax: Axes) -> Figure:
    """Return the figure of a canvas."""
    return cast(Figure, ax.figure)


def write(ax: Axes, x: float, y: float, text: str, *, size: float = 11, **look: Any) -> None:
    """Write text centred on (x, y), with a true minus before numbers; `ha`, `va`, `color`, `weight` as in matplotlib."""
    if text:
        text = re.sub(r"(?<!\w)-(?=\d)", "−", text)
        ax.text(x, y, text, **{"ha": "center", "va": "center", "color": INK, "fontsize": size, "zorder": 4, **look})


def labels(ax: Axes, *entries: tuple[float, float, str], **look: Any) -> None:
    """Write several texts (x, y, text) that look the same."""
    for x, y, text in entries:
        write(ax, x, y, text, **look)


def _outlined(ax: Axes, patch: Any, kind: str, *, strength: float, line: float, hatched: bool = False) -> None:
    """Add a patch twice: filled, with a light hatch where it is hatched, and its outline."""
    edge, hatch = INK if line < 1 else KINDS[kind], "xx" if kind == "frozen" else "///" if hatched else None
    for face, colour, width, lines in ((tint(KINDS[kind], strength), "#c4c4c4", 0, hatch), ("none", edge, line, None)):
        ax.add_patch(patch(facecolor=face, edgecolor=colour, linewidth=width, hatch=lines, zorder=2))


def box(ax: Axes, x: float, y: float, w: float, h: float, text: str = "", *, kind: str = "plain", **look: Any) -> Frame:
    """Draw a rounded box centred on (x, y) with its label, and return its frame; a frozen one has a hatch."""
    style = "round,pad=0.4,rounding_size=0.8"
    patch = partial(FancyBboxPatch, (x - w / 2 + 0.4, y - h / 2 + 0.4), w - 0.8, h - 0.8, boxstyle=style)
    _outlined(ax, patch, kind, strength=0.12 if kind in ("plain", "frozen") else 0.3, line=1.4)
    write(ax, x, y, text, **look)
    return Frame(x, y, w, h)


def dot(ax: Axes, x: float, y: float, sign: str) -> Frame:
    """Draw an operation entry by entry as a small box with its sign, and return its frame."""
    return box(ax, x, y, 3, 3, sign, size=13, weight="bold")


def arrow(ax: Axes, *stops: Frame | Point, bend: str = "", text: str = "", back: bool = False, **look: Any) -> None:
    """Draw an arrow from each stop, a frame or a point, to the next.

    Args:
        bend: an elbow that goes across first (`"-|"`) or up first (`"|-"`).
        text: written above an arrow that goes across, to the right of one that goes up or down.
        back: a gradient's: dashed, in its colour.
        look: `via`, points on its way; `color`, `width`; `head=False` leaves a line; `size` of the text.
    """
    colour = BACKWARD if back else look.get("color", INK)
    style: dict[str, Any] = {"linestyle": (0, (4, 2)) if back else "-", "mutation_scale": 11, "zorder": 3}
    style |= {"arrowstyle": "-|>" if look.get("head", True) else "-", "linewidth": look.get("width", 1.4), "color": colour}
    for start, end in pairwise(Frame(*stop) for stop in stops):
        a = start.towards(end.x, end.y, bend)
        b = end.towards(*(a if not bend else start[:2]), bend[::-1])
        corners = {"-|": [(b[0], a[1])], "|-": [(a[0], b[1])]}.get(bend, look.get("via", []))
        ends, line = [a, *corners, b], style
        if back:  # the head by itself: with the line it would be dashed too
            line = style | {"arrowstyle": "-"}
            head = style | {"linestyle": "-", "linewidth": 0, "mutation_scale": 15}
            ax.add_patch(FancyArrowPatch(path=Path(ends[-2:]), **head))
        ax.add_patch(FancyArrowPatch(path=Path(ends), joinstyle="miter", capstyle="butt", **line))
        flat, x, y = abs(b[0] - a[0]) > abs(b[1] - a[1]), (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
        side: dict[str, Any] = {"va": "bottom"} if flat else {"ha": "left"}
        write(ax, x + 0.6 * (not flat), y + 0.5 * flat, text, size=look.get("size", 10), color=colour, **side)


def tensor(ax: Axes, x: float, y: float, cells: Any, name: str = "", *, cell: float = 2, **look: Any) -> Frame:
    """Draw a matrix as a grid centred on (x, y) and return its frame; the name, with its shape, is written above.

    Args:
        cells: (rows, columns), or the texts of the cells, a sequence of rows.
        name: for instance `"weights (T, T)"`.
        cell: width of a cell; `high` its height where it differs.
        look: `kind` of the colour; `masked` bool (rows, columns), hatched; `shades` float (rows, columns) from 0 to 1, how
            strong the colour of each cell is; `size` of the cells' text; `beside=True` writes the name to the right.
    """
    rows, columns = cells if isinstance(cells, tuple) else (len(cells), len(cells[0]))
    high, kind = look.get("high", cell), look.get("kind", "tensor")
    masked: np.ndarray = np.broadcast_to(look.get("masked", kind in ("masked", "frozen")), (rows, columns))
    shades: np.ndarray = np.broadcast_to(look.get("shades", 1 if kind == "strong" else 0.3), (rows, columns))
    frame, gid = Frame(x, y, columns * cell, rows * high), f"{len(ax.patches)}: {name}"
    for i, j in np.ndindex(rows, columns):
        left, bottom, hatched = x - frame.w / 2 + j * cell, y + frame.h / 2 - (i + 1) * high, bool(masked[i, j])
        patch = partial(Rectangle, (left, bottom), cell, high, gid=gid)
        _outlined(ax, patch, kind, strength=0.12 if hatched else float(shades[i, j]), hatched=hatched, line=0.8)
        text = "" if isinstance(cells, tuple) else str(cells[i][j])
        light: dict[str, Any] = {"color": "white", "weight": "bold"} if shades[i, j] > 0.65 else {}
        write(ax, left + cell / 2, bottom + high / 2, text, size=look.get("size", 10), **light)
    if look.get("beside"):
        write(ax, frame.at(1, 0)[0] + 0.8, y, name, ha="left")
    else:
        write(ax, x, frame.at(0, 1)[1] + 0.5, name, va="bottom")
    return frame


def brace(ax: Axes, start: Point, end: Point, text: str = "", **look: Any) -> None:
    """Draw a bracket: flat, from left to right, with text below, or upright, from below, with text to its right."""
    flat = start[1] == end[1]
    out = np.array([0, -0.8] if flat else [0.8, 0])
    corners = np.array([start, start + out, end + out, end])
    ax.plot(*corners.T, color=GREY, linewidth=1.2, linestyle="-", zorder=3)
    x, y = corners.mean(axis=0) + 1.3 * out
    write(ax, x, y, text, va="top" if flat else "center", ha="center" if flat else "left", **look)


def legend(ax: Axes, x: float, y: float, **entries: str) -> None:
    """Draw a row of cells from (x, y) to the right, each of a kind and with what it means."""
    for kind, text in entries.items():
        tensor(ax, x + 0.9, y, (1, 1), kind=kind, cell=1.8)
        write(ax, x + 2.4, y, text, size=10, ha="left")
        x += 4.4 + 0.83 * len(text)
