"""What the drawings are made of: boxes, arrows, tensors and braces on an `ax` whose unit is a tenth of an inch.

A colour has one meaning in the whole course, which a word or a hatch states as well: green is pretrained, orange is new or
trained now, grey with a hatch is frozen, light blue is a tensor that flows through, pink is the memory of an LSTM. Dashed
orange-red arrows go backward. Hatched cells of a tensor are masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path

from ..plots import COLOURS

INK, GREY = "#222222", "#6b6b6b"
BACKWARD, STRONG, MEMORY = COLOURS[1], COLOURS[0], "#a8487c"  # the last a darker COLOURS[3]
KINDS = {"pretrained": COLOURS[2], "new": COLOURS[4], "tensor": COLOURS[5], "memory": COLOURS[3], "strong": STRONG}
KINDS |= {"frozen": "#8a8a8a", "plain": "#9a9a9a"}
Point = tuple[float, float]


class Frame(NamedTuple):
    """Centre and size of something drawn."""

    x: float
    y: float
    w: float
    h: float

    def at(self, across: float, up: float) -> Point:
        """Return a point of the frame: (-1, -1) is its lower left corner, (1, 1) its upper right one."""
        return self.x + across * self.w / 2, self.y + up * self.h / 2

    def towards(self, other: Frame) -> Point:
        """Return the middle of the side that faces the other frame."""
        dx, dy = other.x - self.x, other.y - self.y
        gaps = abs(dx) - (self.w + other.w) / 2, abs(dy) - (self.h + other.h) / 2
        return self.at(float(np.sign(dx)), 0) if gaps[0] >= gaps[1] else self.at(0, float(np.sign(dy)))


def tint(colour: str, strength: float = 0.3) -> tuple[float, float, float]:
    """Return the colour mixed with white: strength 0 is white, 1 the colour itself."""
    red, green, blue = (1 - strength * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def canvas(width: float, height: float) -> Axes:
    """Return an empty white ax of this size in tenths of an inch, (0, 0) its lower left corner."""
    ax = Figure(figsize=(width / 10, height / 10), dpi=110, facecolor="white").add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.axis("off")
    return ax


def write(ax: Axes, x: float, y: float, text: str, *, size: float = 11, **look: Any) -> None:
    """Write text centred on (x, y); `ha`, `va`, `color`, `weight` as in matplotlib."""
    if text:
        ax.text(x, y, text, **{"ha": "center", "va": "center", "color": INK, "fontsize": size, "zorder": 4, **look})


def box(ax: Axes, x: float, y: float, w: float, h: float, text: str = "", *, kind: str = "plain", **look: Any) -> Frame:
    """Draw a rounded box centred on (x, y) with its label, and return its frame; a frozen one has a hatch."""
    corner, strength = (x - w / 2 + 0.4, y - h / 2 + 0.4), 0.12 if kind in ("plain", "frozen") else 0.3
    for fill, edge, hatch in ((tint(KINDS[kind], strength), "#cfcfcf", "//"), ("none", KINDS[kind], None)):
        style = {"boxstyle": "round,pad=0.4,rounding_size=0.8", "linewidth": 1.4 if hatch is None else 0}
        fancy = FancyBboxPatch(corner, w - 0.8, h - 0.8, facecolor=fill, edgecolor=edge, zorder=2, **style)
        fancy.set_hatch(hatch if kind == "frozen" else None)
        ax.add_patch(fancy)
    write(ax, x, y, text, **look)
    return Frame(x, y, w, h)


def dot(ax: Axes, x: float, y: float, sign: str) -> Frame:
    """Draw an operation entry by entry as a small circle with its sign, and return its frame."""
    return box(ax, x, y, 3, 3, sign, size=13, weight="bold")


def arrow(ax: Axes, start: Frame | Point, end: Frame | Point, *, bend: str = "", text: str = "", **look: Any) -> None:
    """Draw an arrow between frames or points: straight, or an elbow that goes across first (`"-|"`) or up first
    (`"|-"`).

    `via` are points on its way. `text` is written above the middle of an arrow that goes across, to the right of one
    that goes up or down. `back=True` makes it a gradient's: dashed and in its colour. `head=False` leaves a line.
    """
    first, last = (place if isinstance(place, Frame) else Frame(*place, 0, 0) for place in (start, end))
    if bend:
        signs = float(np.sign(last.x - first.x)), float(np.sign(last.y - first.y))
        a = first.at(signs[0], 0) if bend == "-|" else first.at(0, signs[1])
        b = last.at(0, -signs[1]) if bend == "-|" else last.at(-signs[0], 0)
    else:
        a = first.towards(last)
        b = last.towards(Frame(*a, 0, 0))
    corners = {"-|": [(b[0], a[1])], "|-": [(a[0], b[1])]}.get(bend, look.get("via", []))
    colour = BACKWARD if look.get("back") else look.get("color", INK)
    style: dict[str, Any] = {"arrowstyle": "-|>" if look.get("head", True) else "-", "mutation_scale": 11, "color": colour}
    style |= {"linewidth": look.get("width", 1.4), "linestyle": (0, (4, 2)) if look.get("back") else "-", "zorder": 3}
    ax.add_patch(FancyArrowPatch(path=Path([a, *corners, b]), joinstyle="miter", capstyle="butt", **style))
    if text:
        flat, x, y = abs(b[0] - a[0]) > abs(b[1] - a[1]), (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
        side = {"va": "bottom"} if flat else {"ha": "left"}
        write(ax, x + 0.6 * (not flat), y + 0.5 * flat, text, size=look.get("size", 10), color=colour, **side)


def tensor(ax: Axes, x: float, y: float, cells: Any, name: str = "", *, cell: float = 2.0, **look: Any) -> Frame:
    """Draw a matrix as a grid centred on (x, y) and return its frame; the name, with its shape, is written above.

    Args:
        cells: (rows, columns), or the texts of the cells, a sequence of rows.
        name: for instance `"weights (T, T)"`.
        cell: width of a cell; `high` its height where it differs.
        look: `kind` of the colour; `masked` bool (rows, columns), hatched; `shades` float (rows, columns) from 0 to 1, how
            strong the colour of each cell is; `size` of the cells' text; `beside=True` writes the name to the right.
    """
    texts = None if isinstance(cells, tuple) else [list(row) for row in cells]
    rows, columns = cells if texts is None else (len(texts), len(texts[0]))
    high, kind = look.get("high", cell), look.get("kind", "tensor")
    masked, shades = look.get("masked", np.zeros((rows, columns))), look.get("shades", np.full((rows, columns), 0.3))
    frame, gid = Frame(x, y, columns * cell, rows * high), f"{len(ax.patches)}: {name}"
    for i, j in np.ndindex(rows, columns):
        corner, hatched = (x - frame.w / 2 + j * cell, y + frame.h / 2 - (i + 1) * high), masked[i][j] or kind == "frozen"
        fill = tint(KINDS[kind], 0.12 if hatched else shades[i][j])
        for edge, line in (("#b5b5b5", 0), (INK, 0.8)):  # the hatch in a lighter colour than the edge
            look_of_cell = {"facecolor": fill if not line else "none", "edgecolor": edge, "linewidth": line, "zorder": 2}
            patch = Rectangle(corner, cell, high, hatch="////" if hatched and not line else None, **look_of_cell)
            patch.set_gid(gid)
            ax.add_patch(patch)
        if texts is not None:
            dark = {"color": "white", "weight": "bold"} if shades[i][j] > 0.65 and not hatched else {}
            write(ax, corner[0] + cell / 2, corner[1] + high / 2, str(texts[i][j]), size=look.get("size", 10), **dark)
    if look.get("beside"):
        write(ax, frame.at(1, 0)[0] + 0.8, y, name, ha="left")
    else:
        write(ax, x, frame.at(0, 1)[1] + 0.5, name, va="bottom")
    return frame


def brace(ax: Axes, start: Point, end: Point, text: str, *, depth: float = 0.8, **look: Any) -> None:
    """Draw a bracket from start to end, open to its left (upwards, where it lies flat), and write text behind it."""
    along = np.subtract(end, start)
    out = np.array([along[1], -along[0]]) / np.hypot(*along) * depth
    corners = [tuple(np.add(point, shift)) for point, shift in ((start, 0 * out), (start, out), (end, out), (end, 0 * out))]
    ax.plot(*zip(*corners, strict=True), color=GREY, linewidth=1.2, linestyle="-", zorder=3)
    x, y = np.add(start, end) / 2 + out * (1 + 0.6 / depth)
    side = (
        {"va": "top" if out[1] < 0 else "bottom"} if abs(out[1]) > abs(out[0]) else {"ha": "left" if out[0] > 0 else "right"}
    )
    write(ax, x, y, text, **{**side, **look})


def legend(ax: Axes, x: float, y: float, entries: Sequence[tuple[str, str]]) -> None:
    """Draw a row of cells from (x, y) to the right, each with a kind (or `"masked"`) and what it means."""
    for kind, text in entries:
        masked = [[kind == "masked"]]
        tensor(
            ax,
            x + 0.9,
            y,
            (1, 1),
            kind="plain" if kind == "masked" else kind,
            masked=masked,
            shades=[[1 if kind == "strong" else 0.3]],
            cell=1.8,
        )
        write(ax, x + 2.4, y, text, size=10, ha="left")
        x += 4.4 + 0.83 * len(text)
