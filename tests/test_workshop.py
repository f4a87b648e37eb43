"""The instructor's kit: run-sheets that are up to date, plans that fit, and a learner edition that gives nothing away."""

import json
import re
import tomllib
from collections import namedtuple
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import times
from tools import workshop as tool
from tools.tables import number_of

ROOT = Path(__file__).resolve().parents[1]

PLAN = tomllib.loads((ROOT / "workshop" / "plan.toml").read_text(encoding="utf-8"))
RATES = {"words_a_minute": 60, "code_lines_a_minute": 6, "figure_minutes": 2, "exercise_minutes": 8, "quiz_minutes": 3}
NOTES = sorted((ROOT / "workshop" / "notes").glob("*.md"))
PATHS = sorted((ROOT / "notebooks").glob("[0-9][0-9]*_*.ipynb"))


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def code(source: str, *tags: str, outputs=()):
    return new_code_cell(source, metadata={"tags": list(tags)}, outputs=list(outputs), execution_count=1)


CHECK = 'checks.check("01.1", slope)'
EXERCISE = [
    new_markdown_cell("# 01 · First\n\n[![Open in Colab](a.svg)](b) · [terms](../docs/GLOSSARY.md)\n\nWords."),
    code("import sys", "nbval-skip"),
    new_markdown_cell("## 1 One\n\n" + "word " * 120 + "[terms](../docs/GLOSSARY.md)"),
    code("a = 1\n\nplots.show(fig)", outputs=[new_output("stream", text="7\n")]),
    new_markdown_cell("## 2 Do it"),
    code("def slope(w):\n    ...  # yours", "exercise"),
    code(CHECK, "check"),
    code("# @title Solution\ndef slope_solution(w):\n    return 2 * w", "solution"),
    code('checks.check("01.1", slope_solution, mine=False)', "check"),
    code('checks.quiz("01")', "check"),
]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of one notebook with one exercise, and a folder for its kit."""
    notebook = new_notebook(cells=EXERCISE, metadata={"widgets": {}})
    (tmp_path / "notebooks").mkdir()
    nbformat.write(notebook, tmp_path / "notebooks" / "01_first.ipynb")
    about = {"profile": "workshop", "hardware": "2 cores", "date": "2026-01-01"}
    slow = {"01_first": {"seconds": 300.0, "section_seconds": {}}}  # its sections were measured on the fast machine only
    fast = {"01_first": {"seconds": 100.0, "section_seconds": {"1 One": 30.0}}}
    for kind, cost in ((times.SLOW, slow), (times.FAST, fast), (f"{times.FAST}_amx", {})):
        (tmp_path / f"notebook_times_{kind}.json").write_text(json.dumps(about | {"notebooks": cost}))
    monkeypatch.setattr(tool, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(tool, "WORKSHOP", tmp_path / "workshop")
    monkeypatch.setattr(times, "RESULTS", tmp_path)
    return tmp_path


# --- minutes and run-sheets


def test_a_section_is_counted_without_its_solution_and_its_second_check(course):
    one, two = tool.sections(course / "notebooks" / "01_first.ipynb")
    assert (one.heading, one.name, one.words, one.code_lines, one.figures) == ("1 One", "One", 126, 2, 1)
    assert (two.exercises, two.quizzes, two.code_lines, two.run_seconds) == (("01.1",), 1, 2, None)
    assert one.run_seconds == 90, "30 seconds, on a machine that takes a third of the time"


def test_minutes_add_up_and_are_rounded_up():
    section = tool.Section("01_first", "1 One", 90, 12, 1, ("01.1", "01.2"), 0, run_seconds=60)
    assert section.minutes(RATES, ()) == 7  # 1.5 read, 2 code, 2 figure, 1 running
    assert section.minutes(RATES, ["01.2"]) == 15
    assert tool.Section("01_first", "Summary", 3, 0, 0, (), 0, None).minutes(RATES, ()) == 1


def test_extras_are_added_while_there_is_time_and_skipped_from_the_last(course):
    part = {"minutes": 60, "block": [{"notebook": "01", "core": ["Do it"], "extra": ["One"], "exercises": ["01.1"]}]}
    plan = {"rates": RATES, "pauses": {"arrive": 5, "questions": 5, "questions_after": 30, "break": 15}}
    items, left = tool.schedule(part, plan, first=True)
    assert [(item.section.name, item.skip, item.solved) for item in items] == [("One", 1, ()), ("Do it", 0, ("01.1",))]
    assert left == 60 - 5 - sum(item.minutes for item in items)  # so short a part has no break
    shorter, _ = tool.schedule(part | {"minutes": 34}, plan, first=True)
    assert [item.section.name for item in shorter] == ["Do it"]


def test_pauses_count_and_an_extra_that_no_longer_fits_goes(course):
    part = {"minutes": 42, "block": [{"notebook": "01", "core": ["Do it"], "extra": ["One"], "exercises": ["01.1"]}]}
    pauses = {"arrive": 5, "questions": 5, "questions_after": 5, "break": 15}
    items, left = tool.schedule(part, {"rates": RATES, "pauses": pauses}, first=True)
    rows = tool.layout(part, items, {"rates": RATES, "pauses": pauses}, first=True)
    assert sum(minutes for minutes, *_ in rows) == 42 - left and left >= 0
    assert [what for _, what, _ in rows if what.startswith("**")] == ["**Pause for questions**"]
    fuller = pauses | {"questions": 20}
    assert len(tool.schedule(part, {"rates": RATES, "pauses": fuller}, first=True)[0]) == 1


def test_a_section_that_is_not_there_is_named(course):
    with pytest.raises(ValueError, match=r"'Three', which 01_first does not have"):
        tool.find(tool.sections(course / "notebooks" / "01_first.ipynb"), "Three")


def test_a_notebook_that_is_not_there_is_left_out(course):
    part = {"minutes": 60, "block": [{"notebook": "99", "core": ["Nothing"], "extra": [], "exercises": []}]}
    items, left = tool.schedule(part, PLAN, first=False)
    assert items == [] and left > 0


def test_wrong_answers_become_common_mistakes(monkeypatch):
    mistake, exercise = namedtuple("Mistake", "says"), namedtuple("Exercise", "id kind title mistakes")
    known = (mistake("the sum, 0.5 too large. Divide by n."), mistake("the sign"))
    kinds = {"01.1": "complete", "01.2": "predict", "01.3": "debug"}
    listed = [exercise(id, kind, "the gradient", () if id == "01.3" else known) for id, kind in kinds.items()]
    monkeypatch.setattr(tool.checks, "exercises", lambda number: listed)
    assert tool.misunderstandings("01", ["01.1", "01.3"]) == ["01.1 the gradient: the sum, 0.5 too large; the sign."]
    assert tool.misunderstandings("01", []) == []


@pytest.mark.parametrize("sheet", PLAN["sheet"], ids=lambda sheet: sheet["name"])
def test_every_part_of_a_plan_fits_its_minutes(sheet):
    for number, part in enumerate(sheet["part"]):
        items, left = tool.schedule(part, PLAN, first=number == 0)
        assert left >= 0, f"{part['name']}: the core alone takes {-left} minutes too many"
        planned = tool.timetable(part, items, PLAN, first=number == 0)[-1]
        taken, whole = map(int, re.findall(r"\d+", planned)[:2])
        assert 0 < taken <= whole == part["minutes"]


def test_slack_and_a_slot_of_ones_own_take_their_minutes(course):
    own = {"minutes": 12, "what": "Your table", "watch": "help"}
    part = {"minutes": 60, "block": [{"notebook": "01", "core": ["Do it"], "extra": ["One"], "exercises": []}]}
    plan = {"rates": RATES, "pauses": {"arrive": 5, "questions": 5, "questions_after": 30, "break": 15}}
    items, left = tool.schedule(part | {"own": own, "slack": 20}, plan, first=True)
    rows = tool.layout(part | {"own": own}, items, plan, first=True)
    assert rows[-1] == (12, "**Your table**", "help") and sum(minutes for minutes, *_ in rows) == 60 - 20 - left
    assert [item.section.name for item in items] == ["Do it"], "the extra would take from the slack"
    assert "are free" in tool.timetable(part | {"own": own, "slack": 20}, items, plan, first=True)[-1]


def test_an_exercise_that_the_core_does_not_contain_is_named(course):
    part = {"name": "Morning", "minutes": 60}
    part["block"] = [{"notebook": "01", "core": ["One"], "extra": ["Do it"], "exercises": ["01.1"]}]
    with pytest.raises(ValueError, match=r"exercise 01.1 solved, which stands in no section of the core of Morning"):
        tool.schedule(part, PLAN, first=False)


def taught(sheet: str) -> set[str]:
    """Return "06 Train" for each section that a run-sheet teaches for certain."""
    (chosen,) = (one for one in PLAN["sheet"] if one["name"] == sheet)
    return {f"{block['notebook']} {name}" for part in chosen["part"] for block in part["block"] for name in block["core"]}


def test_what_a_run_sheet_promises_has_a_slot_for_certain():
    sheets = {one["name"]: one for one in PLAN["sheet"]}
    (half,) = sheets["half-a-day"]["part"]
    assert half["slack"] >= 20
    assert {"02 An honest split", "06 Train", "06 Test, against fair baselines"} <= taught("half-a-day")
    steps = {f"03 {section.name}" for section in tool.sections(PATHS[3]) if section.name.startswith("Step ")}
    bert = {f"06 {name}" for name in ("Load the pretrained model", "Prepare the data", "The loss", "The optimiser", "Train",
                                      "Validate", "Test, against fair baselines")}  # fmt: skip
    assert len(steps) == 7 and PATHS[3].stem.startswith("03_")
    assert steps | bert <= taught("one-day") and steps | bert <= taught("two-days")
    for name in ("one-day", "two-days"):
        assert sheets[name]["part"][-1]["own"]["minutes"] >= 20, "a model of your own"
    assert {f"{number:02}" for number in range(1, 15)} <= {section.split()[0] for section in taught("two-days")}


def test_the_deck_of_a_run_sheet_has_the_sections_that_it_teaches(course):
    part = {"minutes": 60, "block": [{"notebook": "01", "core": ["Do it"], "extra": [], "exercises": []}]}
    deck = tool.deck(PLAN, {"title": "A day", "promise": "Much.", "part": [part]})
    assert [cell.source.splitlines()[0] for cell in deck.cells[:2]] == ["# A day", "## 01 · 2 Do it"]
    assert "word" not in "".join(cell.source for cell in deck.cells) and "def slope" in deck.cells[2].source


@pytest.mark.parametrize("sheet", PLAN["sheet"], ids=lambda sheet: sheet["name"])
def test_a_deck_states_only_the_exercises_that_are_solved_in_the_room(sheet):
    cells = tool.deck(PLAN, sheet).cells
    stated = re.findall(r"^\*\*Exercise ([\w.]+)", "\n".join(cell.source for cell in cells), re.MULTILINE)
    assert stated == [id for part in sheet["part"] for block in part["block"] for id in block["exercises"]]
    headings = [cell.source.splitlines()[0] for cell in cells if cell.source.startswith("## ")]
    assert len(headings) > 10 and len(set(headings)) == len(headings)
    assert ("Your own table" in headings[-1]) == ("own" in sheet["part"][-1])


def test_the_run_sheets_in_git_are_those_that_the_tool_writes():
    old = [path.name for path, text in tool.pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    assert old == [], "type: python -m tools.workshop sheets"


# --- speaker notes


@pytest.mark.parametrize("path", NOTES, ids=lambda path: number_of(path.stem))
def test_speaker_notes_fill_a_page_and_speak_of_their_notebook(path):
    text = path.read_text(encoding="utf-8")
    notebook = ROOT / "notebooks" / f"{path.stem}.ipynb"
    script = ROOT / "notebooks" / "py" / f"{path.stem}.py"
    assert script.exists(), "notes of a notebook that is not there"
    parts = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert parts == ["The one idea", "Do this live", "Ask this", "Where people get stuck"]
    assert 150 <= len(text.split()) <= 520
    if notebook.exists():
        numbers = {section.heading.split()[0] for section in tool.sections(notebook)}
        named = set(re.findall(r"\b[Ss]ections? (\d+)", text))
        assert named and named <= numbers


# --- the learner edition


def test_the_learner_edition_drops_the_solution_its_check_and_all_outputs(course):
    tool.write_learner()
    cells = nbformat.read(course / "workshop" / "learner" / "01_first.ipynb", as_version=4).cells
    assert [tags(cell) for cell in cells if cell.cell_type == "code"] == [
        *(["nbval-skip"], [], ["exercise"], ["check"], ["check"])
    ]
    assert "mine=False" not in cells[-2].source and "quiz" in cells[-1].source
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells if cell.cell_type == "code")
    assert cells[0].source == "# 01 · First\n\n[terms](../../docs/GLOSSARY.md)\n\nWords."


@pytest.mark.parametrize("path", PATHS, ids=lambda path: number_of(path.stem))
def test_a_learner_edition_is_its_notebook_without_what_gives_the_answers_away(path):
    full = nbformat.read(path, as_version=4)
    edition = tool.learner(full)
    nbformat.validate(edition)
    assert "widgets" not in edition.metadata and not any("solution" in tags(cell) for cell in edition.cells)
    rest = iter(full.cells)
    for cell in edition.cells:  # every cell is a cell of the notebook, in the same order
        twin = next(other for other in rest if other.id == cell.id)
        assert cell.cell_type == "markdown" or cell.source == twin.source
    for tag in ("exercise", "nbval-skip"):
        assert sum(tag in tags(cell) for cell in edition.cells) == sum(tag in tags(cell) for cell in full.cells)
    checks = [cell.source for cell in full.cells if "check" in tags(cell) and "mine=False" not in cell.source]
    assert [cell.source for cell in edition.cells if "check" in tags(cell)] == checks
    plain = [cell for cell in full.cells if not set(tags(cell)) & {"solution", "check"}]
    assert len([cell for cell in edition.cells if "check" not in tags(cell)]) == len(plain)
    shown = "\n".join(cell.source for cell in edition.cells)
    for cell in full.cells:
        assert "solution" not in tags(cell) or cell.source not in shown
