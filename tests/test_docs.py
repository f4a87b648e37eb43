"""The pages beside the notebooks: links lead somewhere, and the glossary's terms are taught where it says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path for folder in (".", "docs", "bench", "workshop") for path in (ROOT / folder).glob("*.md"))
GLOSSARY = (ROOT / "docs" / "GLOSSARY.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in GLOSSARY.splitlines() if line.startswith("| ")]
TERMS = [row for row in ROWS if row[0] != "term"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_tool_and_benchmark_that_a_page_names_is_there(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"python -m (?:tools|bench)\.[a-z_]+", text)
    missing = [name for name in named if not (ROOT / name.split()[-1].replace(".", "/")).with_suffix(".py").exists()]
    assert not missing
    assert not re.findall(r"python (?:tools|bench)/\w+\.py", text)


@pytest.mark.parametrize("row", TERMS, ids=lambda row: row[0])
def test_a_term_has_a_chinese_name_and_stands_in_the_notebook_it_points_to(row):
    names, chinese, meaning, notebook = row
    assert re.search(r"[\u4e00-\u9fff]", chinese) and len(meaning.split()) > 3
    script = re.search(r"notebooks/(\w+)\.ipynb", notebook)[1]
    taught = (ROOT / "notebooks" / "py" / f"{script}.py").read_text(encoding="utf-8").lower()
    words = " ".join(re.sub(r"^# ?", "", line) for line in taught.splitlines())
    stems = [name.strip().lower().rstrip("s").removesuffix("er") for name in names.split(",")]
    assert any(stem in words or stem.replace("-", " ") in words for stem in stems), f"{script} never says {names}"


def test_no_term_is_explained_twice():
    names = [name.strip() for row in TERMS for name in row[0].split(",")]
    assert len(names) == len(set(names)) > 50


def test_the_chinese_of_a_term_shows_on_hover_where_the_term_is_taught():
    shown = {
        script.stem: set(re.findall(r'<abbr title="([^"]+)">', script.read_text(encoding="utf-8")))
        for script in (ROOT / "notebooks" / "py").glob("[0-9]*.py")
    }
    without, known = [], set()
    for names, chinese, _, notebook in TERMS:
        translations = {chinese.replace("†", ""), *chinese.replace("†", "").split("、")}
        known |= translations
        if not translations & shown[re.search(r"notebooks/(\w+)\.ipynb", notebook)[1]]:
            without.append(names)
    assert set().union(*shown.values()) <= known
    assert not without
