"""The Chinese pages: they say what the English ones say, where that can be checked by a machine."""

import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import chinese as tool

ROOT = Path(__file__).resolve().parents[1]

ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = tool.README.read_text(encoding="utf-8")
FULL = nbformat.read(tool.ENGLISH, as_version=4)
NOTEBOOK = nbformat.read(tool.NOTEBOOK, as_version=4)
HAN = re.compile(r"[\u4e00-\u9fff]")


def code(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


def commands(text: str) -> set[str]:
    """Return the lines of the fenced blocks, without the comments after them."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return {line.partition("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()}


def test_both_pages_are_those_that_the_tool_writes(capsys):
    assert tool.main(["--check"]) == 0, capsys.readouterr().err


def test_the_notebook_has_the_same_code_cells_and_outputs():
    nbformat.validate(NOTEBOOK)
    assert [cell.source for cell in code(NOTEBOOK)] == [cell.source for cell in code(FULL)]
    assert [cell.outputs for cell in code(NOTEBOOK)] == [cell.outputs for cell in code(FULL)]
    assert [cell.metadata for cell in code(NOTEBOOK)] == [cell.metadata for cell in code(FULL)]


def test_every_cell_of_prose_is_translated_with_its_headings_tables_and_code_names():
    assert len(prose(NOTEBOOK)) == len(prose(FULL))
    for here, there in zip(prose(NOTEBOOK), prose(FULL), strict=True):
        assert HAN.search(here.source)
        assert tool.shape(here) == tool.shape(there), there.source[:80]
        names = [set(re.findall(r"`([^`]+)`", cell.source)) for cell in (here, there)]
        assert names[0] == names[1], there.source[:80]
        formulas = [set(re.findall(r"\$[^$]+\$", cell.source)) for cell in (here, there)]
        assert formulas[1] <= formulas[0] | {"$C$"}


def test_links_of_the_notebook_lead_somewhere_and_to_the_same_notebooks():
    links = [
        set(re.findall(r"\]\(((?!https?:)[^)#\s]+)", "\n".join(c.source for c in prose(nb)))) for nb in (NOTEBOOK, FULL)
    ]
    missing = {Path(link).name for link in links[0] if not (tool.NOTEBOOK.parent / link).exists()}
    assert missing <= {Path(link).name for link in links[1] if not (tool.ENGLISH.parent / link).exists()}
    names = [{Path(link).name for link in of if re.match(r"\d\d[a-z]?_", Path(link).name)} for of in links]
    assert names[1] <= names[0]


def test_the_readme_has_the_same_commands_and_parts():
    assert HAN.search(CHINESE) and commands(CHINESE) == commands(ENGLISH) and len(commands(CHINESE)) == 2
    head = re.compile(r"^(#{1,2}) ", re.MULTILINE)
    assert head.findall(CHINESE) == head.findall(ENGLISH)
    said = set(re.findall(r"`(course \w+|COURSE_\w+|--\w+)", ENGLISH))
    assert {name for name in said if name not in CHINESE} == set()


def test_the_pages_on_usage_have_the_same_commands_tables_and_code_names():
    english, chinese = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("USAGE.md", "USAGE.zh.md"))
    assert HAN.search(chinese) and commands(chinese) == commands(english)
    for mark in (r"^(#+) ", r"^(\|) ", r"^(```)"):
        assert re.findall(mark, chinese, re.MULTILINE) == re.findall(mark, english, re.MULTILINE)
    names = [re.findall(r"`([^`\n]+)`", text) for text in (chinese, english)]
    assert sorted(names[0]) == sorted(names[1])


@pytest.mark.parametrize("name", ["map", "headline"])
def test_the_readme_has_the_same_numbers(name):
    parts = [re.search(rf"generated: {name} -->(.*?)<!-- end", text, re.DOTALL)[1] for text in (CHINESE, ENGLISH)]
    found = [sorted(re.findall(r"[\d][\d.,-]*\d", part.replace("notebooks/zh/", "notebooks/"))) for part in parts]
    assert found[0] == found[1] and len(found[0]) >= 10


def test_bold_words_are_bold():
    """Markdown leaves the stars where a Chinese full stop or colon stands inside them and a letter follows."""
    pages = [
        CHINESE,
        (ROOT / "docs" / "USAGE.zh.md").read_text(encoding="utf-8"),
        *(cell.source for cell in prose(NOTEBOOK)),
    ]
    spans = [span for text in pages for span in re.findall(r"\*\*([^*\n]+)\*\*(\w?)", text)]
    assert len(spans) > 20
    assert [words for words, next_letter in spans if next_letter and words[-1] in "。：！？，；）"] == []


def test_each_page_leads_to_the_other():
    assert "](README.zh.md)" in ENGLISH and "](README.md)" in CHINESE
    assert "(zh/00_start_here.ipynb)" in prose(FULL)[0].source and "(../00_start_here.ipynb)" in prose(NOTEBOOK)[0].source


# --- the tool


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """An English notebook of two cells of prose and one of code, and a Chinese script for it."""
    cells = [new_markdown_cell("# 00 · Start"), new_code_cell("1 + 1", outputs=[new_output("stream", text="2")])]
    nbformat.write(new_notebook(cells=[*cells, new_markdown_cell("## 1 End")]), tmp_path / "english.ipynb")
    (tmp_path / "zh.py").write_text("# %% [markdown]\n# # 00 · 开始\n\n# %% [markdown]\n# ## 1 结束\n")
    monkeypatch.setattr(tool, "ENGLISH", tmp_path / "english.ipynb")
    monkeypatch.setattr(tool, "SCRIPT", tmp_path / "zh.py")
    return tmp_path


def test_code_and_outputs_are_taken_over(pair):
    cells = tool.notebook().cells
    assert [cell.source for cell in cells] == ["# 00 · 开始", "1 + 1", "## 1 结束"] and cells[1].outputs[0].text == "2"


def test_a_cell_without_translation_is_named(pair):
    with (pair / "zh.py").open("a") as script:
        script.write("\n# %% [markdown]\n# 多余\n")
    with pytest.raises(ValueError, match=r"zh.py has 3 cells of prose and notebook 00 2"):
        tool.notebook()


def test_a_notebook_without_a_chinese_question_is_named(monkeypatch):
    walk = tool.times.Walk("cpu", "workshop", "2 cores, x86_64", "2026-01-01", {"99_new": {"seconds": 60}})
    monkeypatch.setattr(tool.times, "walk_on", lambda kind: walk)
    with pytest.raises(ValueError, match=r"no question for 99_new"):
        tool.course_map()
