"""The glossary: its terms are taught where it says, and their Chinese shows there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = (ROOT / "docs" / "GLOSSARY.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in GLOSSARY.splitlines() if line.startswith("| ")]
TERMS = [row for row in ROWS if row[0] != "term"]


def test_every_term_has_a_chinese_name_and_stands_in_the_notebook_it_points_to():
    wrong = []
    for names, chinese, meaning, notebook in TERMS:
        if not re.search(r"[\u4e00-\u9fff]", chinese) or len(meaning.split()) < 4:
            wrong.append(f"{names}: no Chinese name, or hardly a meaning")
        script = re.search(r"notebooks/(\w+)\.ipynb", notebook)[1]
        taught = (ROOT / "notebooks" / "py" / f"{script}.py").read_text(encoding="utf-8").lower()
        words = " ".join(re.sub(r"^# ?", "", line) for line in taught.splitlines())
        stems = [name.strip().lower().rstrip("s").removesuffix("er") for name in names.split(",")]
        if not any(stem in words or stem.replace("-", " ") in words for stem in stems):
            wrong.append(f"{names}: {script} never says it")
    assert not wrong


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
