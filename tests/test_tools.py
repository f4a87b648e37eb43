"""tools/notebooks.py on a small course of its own: badges, pairs, and what a build writes."""

import json
from pathlib import Path

import nbformat
import pytest

import course_utils
from course_utils import explorers
from tools import notebooks as tool

SCRIPT = """# %% [markdown]
# # 01 · First
#
# Some words.

# %% tags=["approx"]
print("one", 1.5)

# %%
2 + 2
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Point the tool at a folder with one script and a repository of its own."""
    (tmp_path / "notebooks" / "py").mkdir(parents=True)
    (tmp_path / "notebooks" / "py" / "01_first.py").write_text(SCRIPT)
    (tmp_path / "pyproject.toml").write_text('[project.urls]\nRepository = "https://github.com/some/where/"\n')
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool, "SCRIPTS", tmp_path / "notebooks" / "py")
    monkeypatch.setattr(tool, "RESULTS", tmp_path / "bench")
    return tmp_path


def script(course) -> Path:
    return course / "notebooks" / "py" / "01_first.py"


def kept(course) -> Path:
    return course / "notebooks" / "01_first.ipynb"


def write_pair(course) -> None:
    tool.badges([])
    nbformat.write(tool.read(script(course)), kept(course))


def test_badge_and_first_cell_come_from_the_one_setting(course):
    notebook = tool.read(script(course))
    title, setup = notebook.cells[:2]
    assert title.source.splitlines()[0] == "# 01 · First" and title.source.endswith("Some words.")
    assert "github.com/github/" not in title.source
    tag = f"v{course_utils.__version__}"
    assert f"colab.research.google.com/github/some/where/blob/{tag}/notebooks/01_first.ipynb" in title.source
    assert f'"https://github.com/some/where/releases/download/{tag}/fine_tuning_course-' in setup.source
    assert setup.metadata.tags == ["nbval-skip"]
    compile(setup.source, "setup", "exec")


def test_writing_badges_twice_changes_nothing_and_a_new_address_replaces_the_old(course):
    write_pair(course)
    once = script(course).read_text(), kept(course).read_text()
    tool.badges(["01"])
    assert (script(course).read_text(), kept(course).read_text()) == once
    (course / "pyproject.toml").write_text('[project.urls]\nRepository = "https://github.com/new/home"\n')
    tool.badges(["01"])
    for text in (script(course).read_text(), kept(course).read_text()):
        assert "new/home" in text and "some/where" not in text
    assert len(tool.read(script(course)).cells) == 4


def test_cells_have_ids_that_stay(course):
    assert [cell.id for cell in tool.read(script(course)).cells] == ["01-000", "01-001", "01-002", "01-003"]


def test_a_pair_that_agrees_has_no_difference(course):
    write_pair(course)
    assert tool.differences() == []


@pytest.mark.parametrize(
    ("old", "new"), [("1.5", "1.6"), ("Some words", "Other words"), ('["approx"]', '["approx-0.1"]'), ("# %%\n2 + 2\n", "")]
)
def test_each_kind_of_difference_is_found_with_the_command_that_mends_it(course, old, new):
    write_pair(course)
    text = script(course).read_text()
    assert old in text
    script(course).write_text(text.replace(old, new))
    assert tool.differences() == ["01_first.ipynb differs from its script: python -m tools.notebooks build 01"]


def test_changed_prose_is_written_beside_outputs_that_stay_and_changed_code_is_refused(course):
    write_pair(course)
    notebook = nbformat.read(kept(course), as_version=4)
    notebook.cells[3].outputs, notebook.cells[3].execution_count = [nbformat.v4.new_output("stream", text="4")], 3
    nbformat.write(notebook, kept(course))
    script(course).write_text(script(course).read_text().replace("Some words", "Better words"))
    tool.prose(["01"])
    notebook = nbformat.read(kept(course), as_version=4)
    assert tool.differences() == [] and "Better words" in notebook.cells[0].source
    assert notebook.cells[3].outputs[0].text == "4" and notebook.cells[3].execution_count == 3
    script(course).write_text(script(course).read_text().replace("2 + 2", "2 + 3"))
    with pytest.raises(SystemExit, match=r"code has changed.*build 01"):
        tool.prose(["01"])


def test_an_old_explorer_is_found_and_gets_the_script_of_today_around_the_data_of_its_run(course):
    write_pair(course)
    now = explorers.logit_explorer().html
    old = now.replace("const make = ", "const made = ").replace("<style>", "<style>\n/* old */")
    notebook = nbformat.read(kept(course), as_version=4)
    output = nbformat.v4.new_output("display_data", {"text/html": old, "text/plain": "Figure"})
    notebook.cells[3].outputs = [output, nbformat.v4.new_output("stream", text="4")]
    nbformat.write(notebook, kept(course))
    assert tool.differences() == ["01_first.ipynb has old explorers: python -m tools.notebooks prose 01"]
    tool.prose(["01"])
    after = nbformat.read(kept(course), as_version=4).cells[3].outputs
    assert tool.differences() == [] and after[0].data["text/html"] == now != old and after[1].text == "4"


def test_a_missing_notebook_is_found(course):
    assert tool.differences() == ["01_first.ipynb is missing: python -m tools.notebooks build 01"]


def test_seconds_are_added_up_by_section():
    markdown, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    cells = [
        markdown("# 01 · First"), code("import sys"),
        markdown("## 1 One\n\nWords."), code("2"), markdown("### Part"), code("3"),
        markdown("The end of one.\n\n## 2 Two\n\n## 3 Three"), code("## no heading\n4"),
    ]  # fmt: skip
    seconds = {1: 0.5, 3: 1.0, 5: 2.0, 7: 4.0}
    assert tool.section_seconds(cells, seconds) == {"start": 0.5, "1 One": 3.0, "2 Two": 0.0, "3 Three": 4.0}


def test_a_number_that_is_not_there_lists_those_that_are(course):
    with pytest.raises(SystemExit, match=r"There is no notebook 07. There are: 01_first"):
        tool.scripts(["07"])


def test_a_number_with_a_letter_is_a_number_of_its_own_and_comes_after_the_plain_one(course):
    for name in ("04_fourth", "03b_more", "03_third"):
        script(course).with_stem(name).write_text(SCRIPT)
    assert [path.stem for path in tool.scripts(["03"])] == ["03_third"]
    assert [path.stem for path in tool.scripts(["03b_more", "04"])] == ["03b_more", "04_fourth"]
    assert [path.stem for path in tool.scripts([])] == ["01_first", "03_third", "03b_more", "04_fourth"]
    assert tool.read(script(course).with_stem("03b_more")).cells[2].id == "03b-002"


@pytest.mark.slow
def test_a_build_executes_keeps_outputs_and_notes_what_it_cost(course, monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "workshop")
    tool.build(["01"])
    notebook = nbformat.read(kept(course), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3]
    assert code[1].outputs[0].text == "one 1.5\n" and code[2].outputs[0].data["text/plain"] == "4"
    assert all("execution" not in cell.metadata for cell in code)
    assert tool.differences() == []
    cost = json.loads((course / "bench" / "notebook_times_cpu_float32.json").read_text())["notebooks"]["01_first"]
    assert 0 <= cost["slowest_cell_seconds"] <= cost["seconds"] and cost["peak_mib"] > 10
    assert list(cost["section_seconds"]) == ["start"] and cost["section_seconds"]["start"] <= cost["seconds"]


@pytest.mark.slow
def test_a_cell_that_fails_fails_the_build_and_nothing_is_kept(course):
    script(course).write_text(SCRIPT + "\n# %%\nunknown_name\n")
    with pytest.raises(Exception, match=r"unknown_name"):
        tool.build(["01"])
    assert not kept(course).exists()


EXERCISE = """
# %% tags=["exercise"]
def accuracy(predictions, labels):
    return 1

# %% tags=["check"]
checks.check("00.1", accuracy)

# %% tags=["solution"]
def accuracy_solution(predictions, labels):
    return 2

# %% tags=["check"]
checks.check("00.1", accuracy_solution, mine=False)  # the same check, on the solution
"""


def test_stub_and_solution_are_written_from_the_definition(course):
    script(course).write_text(SCRIPT + EXERCISE)
    assert any("01_first.py differs from the definition of 00.1" in sentence for sentence in tool.differences())
    write_pair(course)
    assert tool.differences() == []
    stub, _, solution, second = tool.read(script(course)).cells[-4:]
    assert stub.source == "def accuracy(predictions, labels):\n    raise NotImplementedError"
    assert solution.source.startswith("# @title Solution\ndef accuracy_solution(predictions, labels):\n    return sum(")
    assert second.source.endswith("# the same check, on the solution")  # other cells stay as they are written
    written = script(course).read_text()
    assert stub.source in written and solution.source in written
    script(course).write_text(written.replace("return sum(", "return 1 * sum("))
    assert tool.differences()[0].startswith("01_first.py differs from the definition of 00.1: ")


@pytest.mark.parametrize("check", ['checks.check("00.9", accuracy)', 'checks.check("77.1", accuracy)', "accuracy"])
def test_a_stub_whose_exercise_is_not_defined_is_refused(course, check):
    script(course).write_text(SCRIPT + EXERCISE.replace('checks.check("00.1", accuracy)', check))
    with pytest.raises(ValueError, match="the check of a defined exercise"):
        tool.read(script(course))
