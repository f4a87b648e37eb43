"""tools/slides.py: what becomes a slide, what is only said, and that a deck loads nothing from a network."""

import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import slides as tool

ROOT = Path(__file__).resolve().parents[1]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
FIGURE = new_output("display_data", data={"image/png": PNG}, metadata={"image/png": {"alt": "A falling curve."}})
OPENING = """## 1 One formula

A first sentence about it. And a second.

$$L = x^2$$

Something that is only said."""
CELLS = [
    new_markdown_cell("# 01 · First\n\n[![Open in Colab](a.svg)](b) · [terms](c.md)\n\n**What you will be able to do:** x."),
    new_code_cell("import sys", metadata={"tags": ["nbval-skip"]}),
    new_markdown_cell(OPENING),
    new_code_cell("print(1 + 1)", outputs=[new_output("stream", text="2\n")]),
    new_markdown_cell("Two. See [02](02_text.ipynb) and [a paper](https://arxiv.org/abs/1)."),
    new_code_cell("plots.show(fig, alt='A falling curve.')", outputs=[FIGURE]),
    new_markdown_cell(
        "The curve falls.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n**Exercise 01.1 (complete): the slope.** Write it."
    ),
    new_code_cell("def slope(w):\n    ...", metadata={"tags": ["exercise"]}),
    new_code_cell("def slope(w):\n    return 2 * w", metadata={"tags": ["solution"]}),
    new_code_cell("\n".join(f"line_{n} = {n}" for n in range(20))),
    new_markdown_cell("## Summary\n\n* One point.\n* And another."),
]


@pytest.fixture
def slides():
    cells = tool.deck(new_notebook(cells=CELLS)).cells
    return [(cell.metadata.slideshow.slide_type, cell.source) for cell in cells]


def test_a_drawing_keeps_the_width_it_has_in_the_notebook():
    about = {"image/png": {"alt": "Boxes.", "width": 700}}
    cell = new_code_cell(outputs=[new_output("display_data", data={"image/png": PNG}, metadata=about), FIGURE])
    drawing, figure = tool.pictures(cell)
    assert drawing.startswith('<img alt="Boxes." width="700" src=') and "width" not in figure


def test_a_section_opens_a_column_with_its_first_sentences_and_its_formula(slides):
    shown = [text for kind, text in slides if kind == "slide"]
    assert shown[0] == "# 01 · First\n\n**What you will be able to do:** x."
    assert shown[1] == "## 1 One formula\n\nA first sentence about it. And a second.\n\n$$L = x^2$$"
    assert shown[2] == "## Summary\n\n* One point.\n* And another."


def test_short_code_figures_tables_and_exercises_have_slides_of_their_own(slides):
    code, figure, table, exercise = [text for kind, text in slides if kind == "subslide"]
    assert "```python\nprint(1 + 1)\n```" in code and "```text\n2\n```" in code and "Two." in code
    assert 'alt="A falling curve."' in figure and "The curve falls." in figure
    assert "| 1 | 2 |" in table and exercise.endswith("the slope.** Write it.")


def test_no_solution_and_no_long_code_is_shown_and_the_rest_is_said(slides):
    everything = "\n".join(text for _, text in slides)
    assert "return 2 * w" not in everything and "line_7" not in everything and "import sys" not in everything
    assert ("notes", "Something that is only said.") in slides


def test_links_inside_the_course_become_words_and_others_stay(slides):
    everything = "\n".join(text for _, text in slides)
    assert "See 02 and [a paper](https://arxiv.org/abs/1)." in everything and "Colab" not in everything


def test_sentences_are_kept_whole_up_to_so_many_words():
    text = "One two three. Four five. Six seven eight nine."
    assert tool.sentences(text, 5) == "One two three. Four five."
    assert tool.sentences(text, 1) == "One two three."


def test_another_package_than_the_pinned_one_is_refused(tmp_path, monkeypatch):
    def pack(command, cwd, **rest):
        (Path(cwd) / "reveal.js.tgz").write_bytes(b"something else")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(tool.shutil, "which", lambda name: name)
    monkeypatch.setattr(tool.subprocess, "run", pack)
    with pytest.raises(OSError, match=r"another reveal.js 5\.2\.1 than the one that is pinned"):
        tool.fetch_vendor(tmp_path)
    assert not (tmp_path / "reveal.js").exists()


def test_without_npm_it_says_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(tool.shutil, "which", lambda name: None)
    with pytest.raises(OSError, match=r"reveal.js 5\.2\.1 is needed once"):
        tool.fetch_vendor(tmp_path)


def loaded(page: str) -> list[str]:
    """Return what a browser fetches for a page: sources, style sheets, imports and pictures of styles."""
    found = re.findall(r"<(?:script|img|iframe|source|video|audio)\b[^>]*?\bsrc=[\"']([^\"']+)", page)
    found += re.findall(r"<link\b[^>]*?\bhref=[\"']([^\"']+)", page)
    found += re.findall(r"@import\s+(?:url\()?[\"']?([^\"');]+)|url\([\"']?(?!data:|#)([^\"')]+)", page)
    return ["".join(part) for part in found if not "".join(part).startswith("data:")]


@pytest.mark.slow
def test_a_page_loads_what_lies_beside_it_and_nothing_else(tmp_path):
    nbformat.write(new_notebook(cells=CELLS), tmp_path / "01_first.ipynb")
    page = tool.html(nbformat.read(tmp_path / "01_first.ipynb", as_version=4))
    targets = {target for _, _, files in tool.PACKAGES.values() for target in files.values()}
    sources = loaded(page)
    assert {"vendor/reveal.js", "vendor/mathjax.js", "vendor/notes.js", "vendor/dist/reveal.css"} <= set(sources)
    assert [source for source in sources if source.removeprefix("vendor/") not in targets] == []
    assert f"data:image/png;base64,{PNG}" in page and '<aside class="notes">' in page
    for style in (ROOT / "workshop" / "slides" / "vendor").rglob("*.css"):  # once they were fetched
        assert [source for source in loaded(style.read_text(encoding="utf-8")) if "//" in source] == []


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "workshop/slides/vendor/reveal.js").exists(), reason="python -m tools.workshop slides")
def test_slides_are_written_beside_what_they_load(tmp_path):
    shutil.copytree(ROOT / "workshop" / "slides" / "vendor", tmp_path / "slides" / "vendor")
    nbformat.write(new_notebook(cells=CELLS), tmp_path / "01_first.ipynb")
    tool.write_slides({"01_first": nbformat.read(tmp_path / "01_first.ipynb", as_version=4)}, tmp_path / "slides")
    page = (tmp_path / "slides" / "01_first.slides.html").read_text(encoding="utf-8")
    assert all((tmp_path / "slides" / source).exists() for source in loaded(page))
