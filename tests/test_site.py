"""The website: what its pages show of a notebook, where their links lead, and that nothing is loaded from outside."""

import base64
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from packaging.requirements import Requirement
from packaging.version import Version

from course_utils.exercises import definition
from tools import site as tool
from tools import site_api, site_notebooks

ROOT = Path(__file__).resolve().parents[1]
PNG = base64.b64encode(b"a picture").decode()


def widget(name: str, buffers: tuple = (), **state: object) -> dict:
    return {"model_name": f"{name}Model", "state": state, "buffers": list(buffers)}


def view(model_id: str) -> nbformat.NotebookNode:
    return new_output("display_data", {site_notebooks.VIEW: {"model_id": model_id}, "text/plain": "run this cell"})


@pytest.fixture
def shown(tmp_path):
    """The outputs of a made-up notebook's cells on the site, and its cells."""
    box = {"children": ["IPY_MODEL_text", "IPY_MODEL_image", "IPY_MODEL_button"]}
    state = {
        "quiz": widget("VBox", children=["IPY_MODEL_letters"]),
        "letters": widget("Text", placeholder="course-answer"),
        "bar": widget("HBox", children=["IPY_MODEL_progress"]),
        "progress": widget("FloatProgress", value=1.0),
        "explorer": widget("VBox", **box),
        "text": widget("HTML", value='<p role="status">The loss is 0.03.</p>'),
        "image": widget("Image", buffers=({"path": ["value"], "encoding": "base64", "data": PNG},)),
        "button": widget("Button", description="Stop"),
    }
    about = {"image/png": {"alt": 'says "no" < 1'}}
    cells = [
        new_markdown_cell("# 01\n\n[![Open in Colab](a.svg)](https://colab.research.google.com/x/01.ipynb)"),
        new_code_cell("pip", metadata={"tags": ["nbval-skip"]}),
        new_code_cell("solution", metadata={"tags": ["solution"]}),
        new_code_cell("out", outputs=[view("quiz"), view("bar"), view("explorer")]),
        new_code_cell("figure", outputs=[new_output("display_data", {"image/png": PNG}, metadata=about)]),
        new_code_cell("noise", outputs=[new_output("stream", name="stderr", text="a warning")]),
    ]
    metadata = {"widgets": {site_notebooks.STATE: {"state": state}}}
    made = site_notebooks.Page(new_notebook(cells=cells, metadata=metadata), "01_x", tmp_path).made()
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"a picture"} and len(list(tmp_path.iterdir())) == 2
    return made


def test_what_listens_to_a_quiz_and_a_bar_are_gone_and_an_explorer_shows_its_last_picture(shown):
    (explorer,) = (output.data["text/html"] for output in shown.cells[3].outputs)
    assert '<img class="figure"' in explorer and "The loss is 0.03." in explorer
    assert 'href="https://colab.research.google.com/x/01.ipynb"' in explorer
    assert "widgets" not in shown.metadata


def test_the_install_cell_is_gone_solutions_are_folded_and_figures_keep_their_words(shown):
    assert "remove-cell" in shown.cells[1].metadata.tags
    assert "hide-input" in shown.cells[2].metadata.tags
    (figure,) = shown.cells[4].outputs
    assert (
        'alt="says &quot;no&quot; &lt; 1"' in figure.data["text/html"]
        and 'src="../figures/01_x-01.png"' in figure.data["text/html"]
    )
    assert shown.cells[5].outputs == []


def test_every_question_of_a_quiz_answers_on_its_page_without_python(tmp_path):
    asked = set()
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        made = site_notebooks.Page(nbformat.read(path, as_version=4), path.stem, tmp_path).made()
        pages = [output.get("data", {}).get("text/html", "") for cell in made.cells for output in cell.get("outputs", [])]
        rows = re.findall(r'data-right="(yes|no)" data-answers="(\S+) (\w)"', "".join(pages))
        asked |= {name for _, name, _ in rows}
        number = path.name.partition("_")[0]
        expected = {each.id: each.expected for each in definition.exercises(number) if each.options}
        assert {name: letter for right, name, letter in rows if right == "yes"} == expected, path.name
    assert len(asked) > 40


def test_a_term_carries_its_meaning_and_its_chinese_name():
    known = site_notebooks.meanings(
        '| term | 中文 | meaning | taught in |\n| loss | 损失、代价 | how *wrong* `f` is, "x" | [01](a) |\n'
    )
    assert known["损失"] == known["代价"] == 'how wrong f is, "x"'
    made = site_notebooks.explain_terms('A <abbr title="损失">loss</abbr>, a <abbr title="别的">thing</abbr>', known)
    assert made == 'A <abbr title="how wrong f is, &quot;x&quot; · 损失">loss</abbr>, a <abbr title="别的">thing</abbr>'


def test_links_to_what_is_not_on_the_site_lead_to_the_repository():
    kept = {"docs/USAGE.md", "notebooks/01.ipynb"}
    text = "[a](../docs/USAGE.md#x) [b](py/01.py) [c](https://a.b/c) [d](#here) [e](../README.md)"
    moved = tool.with_links(text, "notebooks/01.ipynb", kept, "https://host/repo")
    start = "[a](../docs/USAGE.md#x) [b](https://host/repo/blob/main/notebooks/py/01.py) "
    assert moved == start + "[c](https://a.b/c) [d](#here) [e](../index.md)"


def test_the_site_contains_every_notebook_and_page():
    names = tool.sources()
    notebooks = {path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").rglob("*.ipynb")}
    assert notebooks == {name for name in names if name.endswith(".ipynb")}
    assert {"README.md", "README.zh.md", "docs/GLOSSARY.md", "bench/RESULTS.md", "workshop/README.md"} <= set(names)


def test_the_reference_has_signatures_arguments_and_errors():
    page = site_api.page()
    fit = page.split("{py:function} fit(")[1].split("````")[0]
    assert fit.startswith("model: nn.Module, ") and "* `ValueError`: " in fit and "**Raises:**" in fit
    assert "{py:class} TrainingConfig(" in page and "## course_utils.exercises.checks\n" in page
    assert not re.search(r"\{py:\w+\} _", page)


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ('<script src="https://cdn.example/x.js"></script>', "index.html loads https://cdn.example/x.js from outside"),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', "index.html loads //cdn.example/x.css from outside"),
        ('<a href="gone.html">x</a>', "index.html refers to gone.html, which is not there"),
        ('<img src="gone.png">', "index.html refers to gone.png, which is not there"),
        ('<a href="other.html#gone">x</a>', "index.html refers to other.html#gone, but that page has no such id"),
        ('<a href="other.html#here">x</a> <a href="https://a.b">y</a> <link rel="canonical" href="https://a.b">', None),
    ],
)
def test_what_is_loaded_from_outside_or_missing_is_found(tmp_path, page, found):
    (tmp_path / "index.html").write_text(page)
    (tmp_path / "other.html").write_text('<p id="here">x</p>')
    assert list(tool.problems(tmp_path)) == ([found] if found else [])


def test_a_font_from_outside_is_found(tmp_path):
    (tmp_path / "a.css").write_text("@font-face { src: url('https://fonts.example/a.woff2') } b { background: url(data:x) }")
    assert list(tool.problems(tmp_path)) == ["a.css loads https://fonts.example/a.woff2 from outside"]


def test_the_lock_of_the_site_has_what_is_declared_and_the_command_that_made_it():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["site"]
    lock = (ROOT / "requirements-site.lock").read_text()
    for requirement in map(Requirement, declared):
        versions = re.findall(rf"(?m)^{requirement.name}==([^\s;\\]+)", lock)
        assert versions and all(Version(version) in requirement.specifier for version in versions)
    assert lock.splitlines()[1].removeprefix("#").strip() in (ROOT / "CONTRIBUTING.md").read_text()
    assert not re.search(r"(?m)^(torch|jupyterlab)==", lock)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning():
    pytest.importorskip("sphinx", reason="Sphinx is not installed here: see tools/site.py")
    built = subprocess.run([sys.executable, "-m", "tools.site"], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = {path.relative_to(tool.BUILD / "html").as_posix() for path in (tool.BUILD / "html").rglob("*.html")}
    assert {name.removesuffix(".ipynb") + ".html" for name in tool.sources() if name.endswith(".ipynb")} <= pages
