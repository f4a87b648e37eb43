"""Make slides of the notebooks with nbconvert and reveal.js: open one in any browser, no network is needed.

`python -m tools.workshop slides` calls this. A section becomes a column of slides: its heading with the first sentences,
then formulas, tables, short pieces of code with what they print, figures with the sentences that read them, and exercises.
All other prose is in the speaker's view (key S). What is shown comes from the notebook's kept outputs.

reveal.js and MathJax are fetched once, with npm, each checked against its SHA-256, into the folder `vendor` of the slides.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = ROOT / "workshop" / "templates"
# name -> (version, SHA-256 of the package, file in it -> file in vendor/)
PACKAGES = {
    "reveal.js": (
        "5.2.1",
        "359b575dd51bbda32f89b2fd4c7dc46ad7389a805572158916c29252f7a27333",
        {
            "dist/reveal.css": "dist/reveal.css",
            "dist/theme/simple.css": "dist/theme/simple.css",
            "dist/reveal.js": "reveal.js",
            "plugin/notes/notes.js": "notes.js",
            "LICENSE": "reveal-LICENSE",
        },
    ),
    "mathjax": (
        "3.2.2",
        "1b9c0a1c44df864e915690558e72adb9cc5203360daefd385084ced3b6c64c09",
        {"es5/tex-svg.js": "mathjax.js", "LICENSE": "mathjax-LICENSE"},
    ),
}
LEAD_WORDS, CAPTION_WORDS = 60, 45  # of a section's first slide, of a figure's caption
CODE_LINES, OUTPUT_LINES = 14, 8  # more than that is not read on a slide
IMPORT = re.compile(r"@import\s+(?:url\()?[\"']?(?:https?:)?//[^;]*;")


# --- what comes from elsewhere


def fetch_vendor(vendor: Path, packages: dict = PACKAGES) -> None:
    """Put packages of npm (reveal.js and MathJax) into a folder, unless they are there.

    Raises:
        OSError: npm is not here, could not fetch a package, or brought another one than was pinned.
    """
    for name, (version, digest, files) in packages.items():
        if all((vendor / target).exists() for target in files.values()):
            continue
        npm = shutil.which("npm")
        if npm is None:
            raise OSError(f"{name} {version} is needed once, and npm to fetch it. Install Node.js, then try again")
        with tempfile.TemporaryDirectory() as folder:
            got = subprocess.run([npm, "pack", "--silent", f"{name}@{version}"], cwd=folder, capture_output=True, text=True)
            archives = list(Path(folder).glob("*.tgz"))
            if got.returncode or not archives:
                raise OSError(f"{name} {version} could not be fetched; it is needed once: {got.stderr.strip()[-300:]}")
            if hashlib.sha256(archives[0].read_bytes()).hexdigest() != digest:
                raise OSError(f"npm brought another {name} {version} than the one that is pinned in tools/slides.py")
            with tarfile.open(archives[0]) as archive:
                for inside, target in files.items():
                    (vendor / target).parent.mkdir(parents=True, exist_ok=True)
                    content = archive.extractfile(f"package/{inside}")
                    assert content is not None
                    text = content.read().decode("utf-8")
                    (vendor / target).write_text(IMPORT.sub("", text) if target.endswith(".css") else text, encoding="utf-8")


# --- from a notebook to slides


def sentences(text: str, words: int) -> str:
    """Return the first sentences of a text, up to about so many words, at least one."""
    kept: list[str] = []
    for sentence in re.split(r"(?<=[.?!:])\s+(?=[A-Z*`$\"])", " ".join(text.split())):
        if kept and sum(len(part.split()) for part in kept) + len(sentence.split()) > words:
            break
        kept.append(sentence)
    return " ".join(kept)


def blocks(markdown: str) -> list[str]:
    """Return the paragraphs, lists, tables, formulas and headings of Markdown; a formula or code block is one piece."""
    found: list[str] = []
    for piece in re.split(r"(\$\$.*?\$\$|^```.*?^```)", markdown, flags=re.DOTALL | re.MULTILINE):
        if piece.startswith(("$$", "```")):
            found.append(piece)
            continue
        for paragraph in re.split(r"\n\s*\n|\n(?=#)", piece):
            if paragraph.strip():
                found.append(paragraph.strip())
    return found


def plain_links(markdown: str) -> str:
    """Return Markdown whose links inside the course are plain words: their targets are not beside the slides."""
    without_badge = re.sub(r"^\[!\[.*$", "", markdown, flags=re.MULTILINE)
    return re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", without_badge)


def pictures(cell) -> list[str]:
    """Return the cell's figures as HTML, with their alternative texts."""
    found = []
    for output in cell.get("outputs", []):
        if png := output.get("data", {}).get("image/png"):
            about = output.metadata.get("image/png", {})
            alt, width = about.get("alt", "").replace('"', "'"), f' width="{about["width"]}"' if "width" in about else ""
            found.append(f'<img alt="{alt}"{width} src="data:image/png;base64,{png.replace(chr(10), "")}">')
    return found


def printed(cell) -> str:
    """Return what a cell printed or showed as text."""
    return "".join(output.get("text", "") for output in cell.get("outputs", []) if output.output_type == "stream").rstrip()


class Deck:
    """Collects slides; what is said but not shown goes into the notes of the slide before."""

    def __init__(self) -> None:
        self.cells: list[nbformat.NotebookNode] = []
        self.heading = ""

    def add(self, kind: str, text: str) -> None:
        self.cells.append(new_markdown_cell(text, metadata={"slideshow": {"slide_type": kind}}))

    def below(self, text: str) -> None:
        """Add a slide to the column of the section."""
        self.add("subslide", f"### {self.heading}\n\n{text}")

    def say(self, text: str) -> None:
        if text.strip():
            self.add("notes", text)


def deck(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a notebook of Markdown cells, one for each slide or note."""
    slides, cells = Deck(), notebook.cells
    caption_of = 0  # slides that still wait for the sentence that reads them
    for number, cell in enumerate(cells):
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            markdown = plain_links(cell.source)
            if number == 0:
                first = blocks(markdown)
                slides.add("slide", "\n\n".join(first[:3]))
                slides.say("\n\n".join(first[3:]))
                continue
            caption_of = _add_prose(slides, blocks(markdown), caption_of)
        elif not set(tags) & {"nbval-skip", "exercise", "check", "solution"} and slides.heading:
            images, text, lines = pictures(cell), printed(cell), cell.source.strip().splitlines()
            if images:
                for image in images[:3]:
                    slides.below(image)
                caption_of = 1
            elif len(lines) <= CODE_LINES and len(text.splitlines()) <= OUTPUT_LINES:
                shown = f"```python\n{cell.source.strip()}\n```" + (f"\n\n```text\n{text}\n```" if text else "")
                slides.below(shown)
                caption_of = bool(text)
    return new_notebook(cells=slides.cells, metadata=notebook.metadata)


def _add_prose(slides: Deck, parts: list[str], caption_of: int) -> int:
    """Add the pieces of one Markdown cell, and return whether a slide still waits for its caption."""
    rest: list[str] = []
    waiting = 0  # pieces since a heading, whose first is the lead
    for part in parts:
        if part.startswith("## "):
            slides.say("\n\n".join(rest))
            rest, waiting, caption_of = [], 1, 0
            slides.heading = part[3:].strip()
            slides.add("slide", part)
        elif not slides.heading:
            continue
        elif waiting and not part.startswith("$$"):
            lead = part if part.startswith(("|", "* ", "1. ", "```")) else sentences(part, LEAD_WORDS)
            slides.cells[-1].source += f"\n\n{lead}"
            rest.append(part if lead != part else "")
            waiting = 0
        elif part.startswith("$$") and waiting >= 0 and slides.cells[-1].metadata.slideshow.slide_type == "slide":
            slides.cells[-1].source += f"\n\n{part}"
        elif part.startswith(("$$", "|", "**Exercise")):
            said = sentences(rest[-1], LEAD_WORDS) if rest and not part.startswith("**") else ""
            slides.below(f"{said}\n\n{part}".strip())
            caption_of = 0
        elif caption_of and not part.startswith("#"):
            slides.cells[-1].source += f"\n\n{sentences(part, CAPTION_WORDS)}"
            rest.append(part)
            caption_of = 0
        else:
            rest.append(part.lstrip("# "))
    slides.say("\n\n".join(filter(None, rest)))
    return caption_of


def html(notebook: nbformat.NotebookNode) -> str:
    """Return the slides of a notebook as a page that needs `vendor/` beside it and nothing else."""
    from nbconvert import SlidesExporter
    from traitlets.config import Config

    settings = Config({"SlidesExporter": {"extra_template_basedirs": [str(TEMPLATES)], "reveal_url_prefix": "vendor"}})
    exporter = SlidesExporter(config=settings, template_name="course", reveal_theme="simple", reveal_url_prefix="vendor")
    name = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    slides = deck(notebook)
    slides.metadata["title"] = name
    page, _ = exporter.from_notebook_node(slides, resources={"metadata": {"name": name}})
    return page


def write_slides(notebooks: dict[str, nbformat.NotebookNode], folder: Path) -> None:
    """Write the slides of notebooks, by the name of their file, and what they load, into a folder."""
    fetch_vendor(folder / "vendor")
    for old in folder.glob("*.slides.html"):
        old.unlink()
    for name, notebook in notebooks.items():
        (folder / f"{name}.slides.html").write_text(html(notebook), encoding="utf-8")
    print(f"{folder.name}: {len(notebooks)} decks; open one in a browser, S opens the notes")
