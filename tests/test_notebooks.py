"""What every notebook keeps to, besides outputs that nbval compares: form, text for pictures, and running twice."""

import ast
import copy
import html
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from helpers import load

from course_utils import doctor, language_model
from course_utils.exercises import checks
from tools import notebooks as tool
from tools import times
from tools.tables import number_of

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
PATHS = sorted(FOLDER.glob("[0-9][0-9]*_*.ipynb"))
KNOWN_TAGS = re.compile(
    r"nbval-ignore-output|approx(-\d*\.?\d+)?|nbval-skip|raises-exception|solution|exercise|check|slide.*"
)
# Widgets that ipywidgets 7.7 has and 8 still has.
CORE_WIDGETS = set(
    """
    Accordion Audio BoundedFloatText BoundedIntText Box Button Checkbox ColorPicker Combobox Controller DatePicker
    Dropdown FileUpload FloatLogSlider FloatProgress FloatRangeSlider FloatSlider FloatText GridBox HBox HTML HTMLMath
    Image IntProgress IntRangeSlider IntSlider IntText Label Output Password Play RadioButtons Select SelectMultiple
    SelectionRangeSlider SelectionSlider Tab Text Textarea ToggleButton ToggleButtons VBox Valid Video
    Layout ButtonStyle DescriptionStyle HTMLStyle HTMLMathStyle LabelStyle ProgressStyle SliderStyle TextStyle
    CheckboxStyle ToggleButtonStyle ToggleButtonsStyle
    """.split()  # noqa: SIM905
)


hook = load("nbval_hook", ROOT / "conftest.py")


@pytest.fixture(params=PATHS, ids=lambda path: number_of(path.stem), scope="module")
def path(request) -> Path:
    return request.param


@pytest.fixture(scope="module")
def notebook(path):
    return nbformat.read(path, as_version=4)


def code(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def lesson(notebook) -> list:
    """Return the cells that teach; stubs, checks, solutions and statements of exercises count apart."""
    return [
        cell
        for cell in notebook.cells
        if not {"exercise", "check", "solution"} & set(tags(cell)) and not cell.source.startswith("**Exercise")
    ]


def outputs(notebook) -> Iterator:
    return (output for cell in code(notebook) for output in cell.outputs)


# --- executed, as nbval needs it


def test_it_is_valid_and_its_cells_were_run_once_from_top_to_bottom(notebook):
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))


def test_no_output_is_an_error_a_warning_or_an_interrupted_run(notebook):
    for output in outputs(notebook):
        assert output.output_type != "error", output
        assert output.get("name") != "stderr", output.text[:500]
        assert "Warning:" not in output.get("text", "")


@pytest.fixture(scope="module")
def differences() -> list[str]:
    return tool.differences()  # of all notebooks at once


def test_it_holds_the_same_cells_as_its_script(path, differences):
    assert not [sentence for sentence in differences if sentence.startswith(path.name)]


def test_every_script_has_its_notebook():
    listed = subprocess.run(["git", "ls-files", "notebooks/py"], cwd=ROOT, capture_output=True, text=True)
    stems = [Path(name).stem for name in listed.stdout.split()] or [script.stem for script in tool.scripts([])]
    assert {stem for stem in stems if stem[:2].isdigit()} <= {path.stem for path in PATHS}


def test_the_minutes_it_promises_are_those_that_were_measured(path, notebook):
    if not (cost := times.slowest_walk().notebooks[path.stem]):
        pytest.skip(f"{path.stem} has not been measured yet: python -m tools.notebooks build {number_of(path.stem)}")
    said = " ".join(notebook.cells[0].source.split())
    (promise,) = re.findall(r"the code takes (.*?)\.", said)
    words = {"seconds": 0, "less than a minute": 0.5, "about a minute": 1, "about two and a half minutes": 2.5} | {
        f"about {word} minutes": number
        for number, word in enumerate(["two", "three", "four", "five", "six", "seven"], start=2)
    }
    assert abs(words[promise] - cost["seconds"] / 60) < 0.7


def test_badge_and_first_cell_are_those_that_the_tool_writes(path, notebook):
    renewed = tool.with_badge(copy.deepcopy(notebook), path.stem)
    assert [cell.source for cell in renewed.cells] == [cell.source for cell in notebook.cells]
    assert "nbval-skip" in tags(code(notebook)[0])


def test_only_the_first_cell_installs_and_only_it_is_skipped(notebook):
    for cell in code(notebook)[1:]:
        assert not re.search(r"""^\s*[!%]|\bpip\b.*\binstall\b|["']pip["']""", cell.source, re.MULTILINE), cell.source
        assert "nbval-skip" not in tags(cell)


def names(cell, kinds: tuple) -> set[str]:
    """Return names that a cell binds (ast.Store) or uses (ast.Load)."""
    lines = [line for line in cell.source.splitlines() if not line.startswith(("%", "!"))]
    found = set()
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, kinds):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom) and ast.Store in kinds:
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return found


def test_no_cell_needs_a_name_of_the_set_up_cell_which_nbval_skips(notebook):
    first, *others = code(notebook)
    bound, needed = set(), set()
    for cell in others:
        bound |= names(cell, (ast.Store,))
        needed |= (names(cell, (ast.Load,)) & names(first, (ast.Store,))) - bound
    assert not needed


def test_tags_are_known_and_few_outputs_go_without_comparison(notebook):
    cells = code(notebook)
    for cell in cells:
        assert all(KNOWN_TAGS.fullmatch(tag) for tag in tags(cell)), tags(cell)
    assert sum("nbval-ignore-output" in tags(cell) for cell in cells) <= len(cells) / 3


# --- form


def test_it_is_small_enough_to_read_and_to_download(path, notebook):
    assert path.stat().st_size < 4 * 2**20
    assert len(lesson(notebook)) <= 120
    cells = [cell for cell in lesson(notebook)[2:] if cell.cell_type == "code"]  # without title and set-up
    assert sum(len(cell.source.splitlines()) for cell in cells) <= 400


def test_cells_are_short_and_never_empty(notebook):
    for cell in notebook.cells:
        assert cell.source.strip()
    for cell in code(notebook):
        assert len(cell.source.splitlines()) <= 25, cell.source.splitlines()[0]


def test_no_more_than_three_code_cells_in_a_row(notebook):
    row = 0
    for cell in notebook.cells:
        setup = cell.cell_type == "code" and ("nbval-skip" in tags(cell) or cell.source.startswith("import "))
        if {"check", "solution"} & set(tags(cell)):
            continue
        row = row + 1 if cell.cell_type == "code" and not setup else 0
        assert row <= 3, cell.source


def test_the_top_says_what_for_what_before_and_how_long(notebook):
    first = notebook.cells[0].source
    assert re.match(r"# \d\d[a-z]? · \S", first)
    for part in (r"\*\*What you will be able to do", r"\*\*Before you start:\*\*", r"\*\*Time:\*\*.*(minute|hour)"):
        assert re.search(part, first, re.DOTALL), part


def test_the_end_sums_up_and_says_where_to_go(path, notebook):
    text = prose(notebook)
    assert path.stem.startswith("00") or "\n## Summary" in text
    assert "**Next:**" in notebook.cells[-1].source


def test_it_stands_on_the_map_of_notebook_00(path):
    start = prose(nbformat.read(FOLDER / "00_start_here.ipynb", as_version=4))
    assert path.stem.startswith("00") or f"({path.name})" in start


def test_links_inside_the_course_lead_somewhere(notebook):
    targets = re.findall(r"\]\((?!https?:|#|attachment:)([^)#\s]+)", prose(notebook))
    assert [target for target in targets if not (FOLDER / target).exists()] == []


def test_no_path_of_the_machine_it_was_made_on(notebook):
    shown = [
        json.dumps({k: v for k, v in o.get("data", {}).items() if not k.startswith("image/")}) for o in outputs(notebook)
    ]
    texts = [cell.source for cell in notebook.cells] + [output.get("text", "") for output in outputs(notebook)] + shown
    for text in texts:
        found = re.search(r"(?<![\w.:/~-])/(home|root|work|tmp|Users|usr|var|opt|mnt|content)/|\b[A-Z]:\\\\?Users", text)
        assert not found, text[max(0, found.start() - 80) : found.end() + 80]


# --- exercises


def printed(cell) -> str:
    return "".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in cell.outputs)


def test_every_exercise_stands_in_its_notebook_with_a_stub_that_is_refused_and_a_solution_that_is_accepted(path, notebook):
    number, found = number_of(path.stem), []
    for statement, (stub, first, solution, second) in exercise_cells(notebook):
        called = re.fullmatch(r'checks\.check\("(\d\d[a-z]?\.\d+)", (\w+)\)', first.source)
        assert called, first.source
        name = called[1]
        found.append(name)
        kind = next(exercise.kind for exercise in checks.exercises(number) if exercise.id == name)
        assert statement.source.startswith(f"**Exercise {name} ({kind}")
        assert [tags(cell) for cell in (stub, first, solution, second)] == [["exercise"], ["check"], ["solution"], ["check"]]
        assert second.source.startswith(f"{first.source[:-1]}_solution, mine=False)")
        assert solution.source.startswith("# @title Solution\n")
        assert solution.metadata.jupyter.source_hidden is True and solution.metadata.cellView == "form"
        assert re.search(rf"^(def )?{called[2]}\b", stub.source, re.M) and re.search(
            rf"^(def )?{called[2]}_solution\b", solution.source, re.M
        )
        refused = "as it was given" if kind == "debug" else "not attempted yet"
        assert refused in " ".join(printed(first).split()) and "Hint 1" in printed(first)
        assert " ".join(printed(second).split()).startswith(f"{name} ") and ": correct" in printed(second)
    expected = [exercise.id for exercise in checks.exercises(number) if ".q" not in exercise.id]
    assert found == expected


def exercise_cells(notebook) -> Iterator:
    """Return each statement with its stub, check, solution and check."""
    cells = notebook.cells
    return ((cells[i - 1], cells[i : i + 4]) for i in range(len(cells)) if "exercise" in tags(cells[i]))


def test_the_quiz_is_asked_in_words_too(path, notebook):
    questions = [exercise for exercise in checks.exercises(number_of(path.stem)) if ".q" in exercise.id]
    asked = [cell for cell in code(notebook) if cell.source == f'checks.quiz("{number_of(path.stem)}")']
    assert len(asked) == bool(questions)
    for exercise in questions:
        words = " ".join(printed(asked[0]).split())
        assert all(text in words for text in (exercise.question, *(text for text, _ in exercise.options.values())))


def test_no_name_of_an_exercise_is_used_by_the_lesson(notebook):
    taught = "\n".join(cell.source for cell in lesson(notebook) if cell.cell_type == "code")
    for _, (stub, *_) in exercise_cells(notebook):
        for name in re.findall(r"^(?:def )?(\w+)(?= ?[=(])", stub.source, re.M):
            assert not re.search(rf"\b{name}\b", taught), name


# --- pictures and widgets


def test_every_picture_has_alternative_text(notebook):
    for output in outputs(notebook):
        for kind in output.get("data", {}):
            if kind.startswith("image/"):
                alt = output.metadata.get(kind, {}).get("alt", "")
                assert len(alt.split()) >= 6, f"a picture without alternative text: {output.data.get('text/plain')}"
                assert output.data["text/plain"] == f"Figure: {alt}"
                assert f'alt="{html.escape(alt)}"' in output.data["text/html"], "JupyterLab would show no alternative text"
    for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)]*)", prose(notebook)):
        assert alt.strip(), target


def test_alternative_texts_differ(notebook):
    alts = [o.metadata[kind]["alt"] for o in outputs(notebook) for kind in o.get("data", {}) if kind.startswith("image/")]
    assert len(alts) == len(set(alts))


def test_widgets_are_core_widgets_of_ipywidgets_7_and_8(notebook):
    state = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    models = {model["model_name"].removesuffix("Model") for model in state.values()}
    assert models <= CORE_WIDGETS
    for cell in code(notebook):
        assert not re.search(r"\binteract(ive)?\(|widgets\.Output\(|clear_output", cell.source)  # nbval cannot compare them


def test_the_package_uses_core_widgets_only():
    source = "".join(path.read_text() for path in (ROOT / "course_utils" / "explorers").glob("*.py"))
    assert "w.Button" in source
    assert set(re.findall(r"\bw\.([A-Z]\w+)", source)) <= CORE_WIDGETS


# --- the numeric tolerance of nbval


@pytest.mark.parametrize(
    ("new", "recorded", "tolerance", "same"),
    [
        ("accuracy 0.771", "accuracy 0.775", 0.02, True),
        ("accuracy 0.71", "accuracy 0.77", 0.02, False),
        ("accuracy 0.71", "accuracy 0.77", 0.1, True),
        ("accuracy nan", "accuracy 0.77", 0.1, False),
        ("precision 0.771", "accuracy 0.771", 0.02, False),
        ("0.771 accuracy", "accuracy 0.771", 0.02, False),
        ("12,345 tokens  ", "12,401   tokens", 0.02, True),
        ("12,345 tokens", "13,401 tokens", 0.02, False),
        ("epoch 1 of 2", "epoch 2 of 2", 0.02, False),
        ("above the lowest 0.003", "above the lowest 0.004", 0.02, True),  # one step in the last decimal
        ("above the lowest 0.003", "above the lowest 0.005", 0.02, False),
        ("-0.5", "0.5", 0.02, False),
        ("1.0e-05", "1.01e-05", 0.02, True),
        ("1.0e-05", "1.01e-03", 0.02, False),
        ("notebook01 f1 w_2", "notebook02 f1 w_2", 0.9, False),  # a number inside a word is part of the word
        ("0.5\n0.6", "0.5 0.6", 0.02, True),
        ("0.5", "0.5 0.6", 0.02, False),
        ("", "", 0.02, True),
    ],
)
def test_words_agree_exactly_and_numbers_nearly(new, recorded, tolerance, same):
    assert hook.agree(new, recorded, tolerance) is same


def test_the_tag_sets_the_tolerance():
    given = [[], ["approx"], ["slow", "approx-0.05"], ["approximately"], ["approx-.1"]]
    assert [hook.tolerance_of(tags) for tags in given] == [None, 0.02, 0.05, None, 0.1]


FIGURE = """
import matplotlib.pyplot as plt
from course_utils import plots
fig, ax = plt.subplots()
plots.show(fig, alt="Six words say what this shows.")
"""
EXPLORER = """
import matplotlib.pyplot as plt
from course_utils import explorers
explorers.page("logit", {}, plt.figure(), alt="Six words say what this shows.")
"""
# code, tags, what is done to the recorded output, and whether nbval must then pass
CASES = {
    "a small drift in an approx cell": ("print('accuracy', 0.771)", ["approx"], ("0.771", "0.775"), True),
    "a large drift in an approx cell": ("print('accuracy', 0.771)", ["approx"], ("0.771", "0.9"), False),
    "a changed word in an approx cell": ("print('accuracy', 0.771)", ["approx"], ("accuracy", "precision"), False),
    "a drift within the cell's own tolerance": ("print(0.771)", ["approx-0.5"], ("0.771", "0.9"), True),
    "a result in an approx cell": ("0.5", ["approx"], ("0.5", "0.501"), True),
    "a small drift in a plain cell": ("print(0.771)", [], ("0.771", "0.772"), False),
    "a drift in a cell that is not compared": ("print(0.771)", ["nbval-ignore-output"], ("0.771", "7"), True),
    "another picture with the same text": (FIGURE, [], ("iVBORw0KGgo", "iVBORw0KGgp"), True),
    "another alternative text": (FIGURE, [], ("Six words say", "Seven words say"), False),
    "a picture that is gone": ("print('picture')", [], "add a picture", False),
    "a picture that came": (FIGURE, [], "remove the picture", False),
    "a slider": ("import ipywidgets as w\nw.VBox([w.IntSlider(value=3, description='n')])", [], None, True),
    "a slider of another value": ("w.IntSlider(value=4)", [], ("value=4", "value=5"), False),
    "an explorer whose page has changed": (EXPLORER, [], ("const minus", "const plus"), True),
    "an explorer that is gone": (EXPLORER, [], ("text/html", "text/markdown"), False),
    "a picture in an approx cell": (FIGURE, ["approx"], "remove the picture", False),
}


def tamper(cell, change) -> None:
    """Alter the recorded outputs of a cell."""
    if isinstance(change, tuple):
        cell.outputs = nbformat.from_dict(json.loads(json.dumps(cell.outputs).replace(*change)))
    elif change == "remove the picture":
        del cell.outputs[0].data["image/png"]
    elif change == "add a picture":
        data = {"image/png": "iVBORw0KGgo="}
        cell.outputs.append(nbformat.v4.new_output("display_data", data=data, metadata={}))


@pytest.mark.slow
def test_nbval_with_the_hook_passes_and_fails_as_it_should(tmp_path):
    cells = [nbformat.v4.new_code_cell(source, metadata={"tags": tags}) for source, tags, _, _ in CASES.values()]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": tool.KERNELS["python3"]})
    tool.execute(notebook)
    for cell, (_, _, change, _) in zip(cells, CASES.values(), strict=True):
        before = json.dumps(cell.outputs)
        tamper(cell, change)
        assert change is None or json.dumps(cell.outputs) != before, cell.source
    nbformat.write(notebook, tmp_path / "made_up.ipynb")
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    command = [tool.sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "--nbval-sanitize-with"]
    command += [str(ROOT / "nbval.cfg"), "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-rA", "--color=no", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    found = {cell: state for state, cell in re.findall(r"^(PASSED|FAILED) made_up\.ipynb::Cell (\d+)", done.stdout, re.M)}
    verdicts = {name: found.get(str(number)) == "PASSED" for number, name in enumerate(CASES)}
    assert verdicts == {name: passes for name, (*_, passes) in CASES.items()}, done.stdout[-3_000:]
    summary = next(line for line in done.stdout.splitlines() if line.startswith("made_up: "))
    assert "9 FAILED" in summary and "1 run but not compared" in summary and "compared within 0.02" in summary


# --- twice in one kernel


def texts(cell) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


FIRST, REST = ([path for path in PATHS if (path.stem < "05") == first] for first in (True, False))
TWICE = [*FIRST, *(pytest.param(path, marks=pytest.mark.long) for path in REST)]  # the rest takes a quarter of an hour


@pytest.mark.slow
@pytest.mark.parametrize("path", TWICE, indirect=True, ids=[number_of(path.stem) for path in (*FIRST, *REST)])
def test_run_twice_in_one_kernel_it_says_the_same(path, notebook, monkeypatch):
    kernel = notebook.metadata.kernelspec.name
    if kernel != "python3" and doctor.torchtext_python() is None:
        pytest.skip(f"the kernel {kernel} is not here")
    if path.stem.startswith("14") and not language_model.is_here():
        pytest.skip("the language model is not here: python3 start.py setup")
    monkeypatch.setenv("COURSE_PROFILE", "smoke")
    twice = copy.deepcopy(notebook)
    first = [cell for cell in twice.cells if cell.cell_type == "code" and "nbval-skip" not in tags(cell)]
    second = copy.deepcopy(first)
    for number, cell in enumerate(second):
        cell.id = f"again-{number}"
    twice.cells = first + second
    tool.execute(twice)
    for a, b in zip(first, second, strict=True):
        if "nbval-ignore-output" not in tags(a):
            assert hook.agree(texts(b), texts(a), 0.05), a.source
