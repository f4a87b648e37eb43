"""Explorers as pages: a picture that comes alive as HTML and JavaScript, without a kernel and without a request.

`page("logit", ...)` fills the files beside this module into one output: page.css and page.js, which all explorers share,
and logit.js, which computes what its Python function computes, with `data` as JSON. Where scripts do not run (on GitHub, in
print, in a notebook that is not trusted) the picture stays, with its alternative text.
"""

from __future__ import annotations

import base64
import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from .base import as_png

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """An output of a cell: alive where scripts run, elsewhere the picture `png`, which `alt` describes."""

    html: str
    png: str  # base64
    alt: str

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict[str, str], dict[str, Any]]:
        bundle = {"text/html": self.html, "image/png": self.png, "text/plain": repr(self)}
        return bundle, {"image/png": {"alt": self.alt}}

    def __repr__(self) -> str:
        return f"Figure: {self.alt}"


def page(name: str, data: dict[str, Any], figure: Figure, *, alt: str) -> Page:
    """Return the explorer of NAME.js over `data`, with `figure` in its place until it is alive; the figure is closed."""
    png = base64.b64encode(as_png(figure)).decode()
    values = json.dumps(data, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")  # no "</script>" inside
    return Page(filled(name, f'<img src="data:image/png;base64,{png}" alt="{html.escape(alt)}">', values), png, alt)


def filled(name: str, picture: str, values: str) -> str:
    """Return the HTML of an explorer: its picture, and NAME.js over `values`, a line of JSON."""
    style, shared, own = ((FOLDER / file).read_text(encoding="utf-8") for file in ("page.css", "page.js", f"{name}.js"))
    script = f"<script>\n(() => {{\nconst data = {values};\n{shared}{own}}})();\n</script>"
    return f'<div class="course-explorer" data-explorer="{name}">\n{picture}\n<style>\n{style}</style>\n{script}\n</div>'
