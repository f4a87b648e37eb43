"""Turn an executed notebook into one for the website: pictures as files, solutions folded.

Nothing is executed. A control that needs Python is replaced by what it last showed, and a link that opens the notebook.
"""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
VIEW, STATE = "application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json"
COLAB = re.compile(r"\(https://colab[^)]+\)")
FIGURE = '<img class="course-figure"'
OPEN = '<p class="needs-kernel">The controls of this cell need Python: <a href="{}">open the notebook in Colab</a>.</p>'


def meanings(glossary: str) -> dict[str, str]:
    """Return what each Chinese term of the glossary means, as plain text."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in glossary.splitlines() if line.startswith("| ")]
    found: dict[str, str] = {}
    for _, chinese, meaning, *_ in (row for row in rows if len(row) == 4):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`$]", r"\1", meaning)
        whole = chinese.replace("†", "")
        found |= dict.fromkeys([whole, *whole.split("、")], plain)
    return found


def explain_terms(source: str, known: dict[str, str]) -> str:
    """Return Markdown whose terms carry their meaning besides their Chinese name."""

    def explained(term: re.Match) -> str:
        title = f"{known[term[1]]} · {term[1]}" if term[1] in known else term[1]
        return f'<abbr title="{html.escape(title)}">'

    return re.sub(r'<abbr title="([^"]+)">', explained, source)


class Page:
    """One notebook on its way to the site; `figures` is where its pictures go, `up` the way from its page to the root."""

    def __init__(self, notebook: nbformat.NotebookNode, name: str, figures: Path, *, up: str = "../") -> None:
        self.notebook, self.name, self.figures, self.up = notebook, name, figures, up
        self.widgets = notebook.metadata.pop("widgets", {}).get(STATE, {}).get("state", {})
        link = COLAB.search(notebook.cells[0].source)
        self.colab = link[0][1:-1] if link else ""
        self.pictures = 0

    def picture(self, png: str, alt: str, width: object = "") -> str:
        """Write a picture as a file and return it as HTML."""
        file = f"{self.name.replace('/', '-')}-{self.pictures:02d}.png"
        self.pictures += 1
        (self.figures / file).write_bytes(base64.b64decode(png))
        size = f' width="{width}"' if width else ""
        return f'<img class="figure" loading="lazy" src="{self.up}figures/{file}" alt="{html.escape(alt)}"{size}>'

    def parts(self, model_id: str) -> list[dict]:
        """Return a widget and all that it contains, in order."""
        model = self.widgets.get(model_id, {"model_name": "", "state": {}})
        inside = [child.removeprefix("IPY_MODEL_") for child in model["state"].get("children", [])]
        return [model, *(part for child in inside for part in self.parts(child))]

    def still(self, model_id: str) -> str:
        """Return what a widget last showed, as HTML; empty for a bar that has ended and what listens to a quiz."""
        parts = self.parts(model_id)
        states = [part["state"] for part in parts]
        if any(state.get("placeholder") == "course-answer" for state in states):
            return ""
        kinds = {part["model_name"] for part in parts}
        if "FloatProgressModel" in kinds and not kinds & {"ImageModel", "ButtonModel"}:
            return ""
        texts = [state["value"] for part, state in zip(parts, states, strict=True) if part["model_name"] == "HTMLModel"]
        typed = [state["value"] for part, state in zip(parts, states, strict=True) if part["model_name"] == "TextareaModel"]
        alt = re.sub(r"<[^>]+>", "", " ".join(texts)).strip() or "what the cell last showed"
        pictures = [
            self.picture(buffer["data"], alt)
            for part in parts
            for buffer in part.get("buffers", [])
            if "value" in buffer["path"]
        ]
        quoted = [f"<blockquote>{html.escape(text)}</blockquote>" for text in typed]
        return "\n".join([*quoted, *pictures, *filter(None, texts), OPEN.format(self.colab)])

    def output(self, output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
        """Return an output for the site; None if nothing of it is to be seen."""
        data = output.get("data", {})
        if VIEW in data:
            shown = self.still(data[VIEW]["model_id"])
            return nbformat.v4.new_output("display_data", {"text/html": shown}) if shown else None
        if "image/png" in data and data.get("text/html", FIGURE).startswith(FIGURE):
            about = output.metadata.get("image/png", {})
            image = self.picture(data["image/png"], about.get("alt", ""), about.get("width", ""))
            return nbformat.v4.new_output("display_data", {"text/html": image})
        return None if output.get("name") == "stderr" else output

    def made(self) -> nbformat.NotebookNode:
        """Return the notebook for the site."""
        for cell in self.notebook.cells:
            tags = cell.metadata.setdefault("tags", [])
            if cell.cell_type != "code":
                continue
            if "nbval-skip" in tags:
                tags.append("remove-cell")
            if "solution" in tags:
                tags.append("hide-input")
                cell.metadata["mystnb"] = {"code_prompt_show": "Solution", "code_prompt_hide": "Hide the solution"}
            cell.outputs = [shown for output in cell.outputs if (shown := self.output(output)) is not None]
        return self.notebook
