"""What the widgets of the course share: a box that says what it is, pictures as bytes, and spoken status lines."""

from __future__ import annotations

import io

import ipywidgets as w
import matplotlib.pyplot as plt
from matplotlib.figure import Figure


def as_png(figure: Figure) -> bytes:
    """Return a figure as PNG bytes and close it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return buffer.getvalue()


class LiveBox(w.VBox):
    """A box of widgets that says, where widgets are not alive, what it would be."""

    def __repr__(self) -> str:
        return "Sliders, buttons and pictures appear here once you have run this cell."


def describe(html: w.HTML, text: str) -> None:
    """Show a sentence that a screen reader speaks when it changes."""
    html.value = f'<p role="status" style="max-width: 46em">{text}</p>'
