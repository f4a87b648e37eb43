"""The mechanism of the exercises, and every exercise with the answers that its definition brings to test its check."""

import importlib
import importlib.util
import json
import os
import random
import re
import signal
import sys
import textwrap
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from filelock import FileLock

from course_utils import cli
from course_utils.exercises import card, checks, definition, running
from course_utils.exercises import progress as record
from course_utils.exercises.cells import Cells
from course_utils.exercises.definition import Case, Exercise, Mistake

ALL = [exercise for number in checks.numbers() for exercise in checks.exercises(number)]
OWN = [exercise for exercise in ALL if ".q" not in exercise.id]
CODE = [exercise for exercise in ALL if exercise.kind in ("complete", "debug")]
IN_CHILD = running._in_child
CHOICES = [exercise for exercise in ALL if exercise.kind == "choice"]


def words(text: str) -> str:
    return " ".join(text.split())


def says(exercise_id: str, answer: object, **options) -> str:
    return words(checks.respond(exercise_id, answer, **options))


def says_first(exercise_id: str, answer: object) -> str:
    """Return what is said to an answer with which a learner begins: hints start at the first."""
    checks._refused.clear()
    return says(exercise_id, answer)


@pytest.fixture(autouse=True)
def progress(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "made" / "progress.json"))
    monkeypatch.setattr(checks, "_refused", {})
    monkeypatch.setattr(checks, "_cells", Cells())
    return tmp_path / "made" / "progress.json"


@pytest.fixture(autouse=True)
def threads(monkeypatch) -> None:
    """Run answers in a thread, where thousands of them take less time; tests of the child undo this."""
    monkeypatch.setattr(running, "_in_child", running._in_thread)


@pytest.fixture(autouse=True, scope="module")
def libraries() -> None:
    """Import what some of the right answers import, which would take longer than an answer may."""
    importlib.import_module("sklearn.utils.class_weight")
    importlib.import_module("transformers.optimization")


# --- every exercise: one test for a property, over all of them


def test_a_notebook_has_exercises_of_several_kinds_and_a_quiz_of_three_questions():
    assert len(checks.numbers()) >= 13 and len(OWN) >= 52
    for number in checks.numbers():
        listed = checks.exercises(number)
        own = [exercise for exercise in listed if exercise in OWN]
        questions = [exercise for exercise in listed if exercise not in OWN]
        least_own, num_questions, least_kinds = (3, 3, 2) if number != "00" else (1, 0, 1)
        assert len(own) >= least_own and len(questions) == num_questions, number
        ids = [f"{number}.{i + 1}" for i in range(len(own))] + [f"{number}.q{i + 1}" for i in range(len(questions))]
        assert [exercise.id for exercise in listed] == ids
        assert len({exercise.kind for exercise in own}) >= least_kinds, number
        assert len({exercise.title for exercise in listed}) == len(listed), number


def test_every_definition_is_whole():
    for exercise in ALL:
        assert exercise.kind in ("complete", "debug", "predict", "choice"), exercise.id
        assert bool(exercise.given) == (exercise.kind == "debug"), exercise.id
        assert callable(exercise.solution) if exercise in CODE else isinstance(exercise.solution, str), exercise.id
        assert bool(exercise.solution) == (exercise in OWN), exercise.id
        assert exercise not in OWN or 1 <= len(exercise.hints) <= 3, exercise.id
        if exercise in CHOICES:
            assert exercise.question.endswith("?") and exercise.expected in exercise.options, exercise.id
            assert "".join(exercise.options) == "abcde"[: len(exercise.options)] and len(exercise.options) >= 3, exercise.id
            assert len({text for pair in exercise.options.values() for text in pair}) == 2 * len(exercise.options), (
                exercise.id
            )
        else:
            assert exercise.after and (exercise.kind == "predict" or len(exercise.cases) >= 3), exercise.id
            assert len({case.says for case in exercise.cases}) == len(exercise.cases), exercise.id
            assert len({mistake.says for mistake in exercise.mistakes}) == len(exercise.mistakes) >= 2, exercise.id


def test_every_check_is_tested_with_enough_answers():
    for exercise in ALL:
        least_right, least_wrong = {"choice": (0, 0), "predict": (1, 2)}.get(exercise.kind, (2, 3))
        assert len(exercise.right) >= least_right and len(exercise.wrong) >= least_wrong, exercise.id


def test_solutions_and_other_right_answers_are_accepted():
    for exercise in OWN:
        solution = exercise.solution if exercise in CODE else eval(exercise.solution.split(" = ")[1], {"np": np})
        for answer in (solution, *exercise.right):
            assert ": correct" in (found := says_first(exercise.id, answer)), found


def test_wrong_answers_are_refused_with_what_they_look_like_and_the_first_hint():
    for exercise in ALL:
        for answer, told in exercise.wrong:
            found = says_first(exercise.id, answer)
            assert words(told) in found and ": correct" not in found and "Hint 1" in found, f"{told!r} is not in: {found}"


def test_each_mistake_is_refused_with_its_own_words():
    for exercise in ALL:
        for mistake in exercise.mistakes:
            for answer in mistake.answer if isinstance(mistake.answer, tuple) else (mistake.answer,):
                assert words(mistake.says) in (found := says_first(exercise.id, answer)), found


def test_a_function_that_is_not_written_yet_is_not_attempted():
    def raises(*arguments):
        raise NotImplementedError

    def half_written(*arguments):
        return ... * 2

    for exercise in CODE:
        for stub in (raises, half_written, lambda *arguments: None, lambda *arguments: ..., None, ...):
            found = says_first(exercise.id, stub)
            assert "not attempted yet" in found and f"Hint 1: {words(exercise.hints[0])}" in found, exercise.id
        if exercise.given:
            assert "as it was given" in says_first(exercise.id, exercise.given), exercise.id


def test_nothing_chosen_is_not_attempted():
    for exercise in ALL:
        for stub in (None, ...):
            assert "not attempted yet" in says_first(exercise.id, stub), exercise.id


def test_each_option_is_explained_and_one_is_right():
    for exercise in CHOICES:
        for letter, (_, explanation) in exercise.options.items():
            found = says_first(exercise.id, f" {letter.upper()}) ")
            assert (": correct." in found) == (letter == exercise.expected) and words(explanation) in found, found
        assert "one letter" in says(exercise.id, "z") and "one letter" in says(exercise.id, 3)


@pytest.mark.slow
def test_solutions_are_accepted_from_a_child_too(monkeypatch):
    monkeypatch.setattr(running, "_in_child", IN_CHILD)
    for exercise in CODE:
        assert ": correct" in (found := says_first(exercise.id, exercise.solution)), found


def test_odd_answers_are_refused_and_never_raise():
    odd = (lambda: 1, lambda *a: object(), lambda *a: {1: 2}, lambda *a: "no", 7, "x", [], {}, object())
    for exercise in ALL:
        for answer in odd if exercise not in CHOICES else odd[5:]:
            assert ": correct" not in says_first(exercise.id, answer), exercise.id


# --- what a learner's code may do


def made_up(monkeypatch, **fields) -> None:
    """Put one exercise "98.1" in place: double each number."""
    cases = (Case("double([1, 2])", ([1, 2],), [2, 4]), Case("double([])", ([],), []), Case("double([0.5])", ([0.5],), [1]))
    fields = {"cases": cases, "hints": ("one", "two", "three"), "seconds": 20.0, "kind": "complete"} | fields
    exercise = Exercise(id="98.1", title="twice", **fields)
    monkeypatch.setattr(checks, "exercises", lambda number: [exercise] if number == "98" else [])


def test_values_are_compared_whatever_their_type(monkeypatch):
    made_up(monkeypatch)
    for kind in (list, tuple, np.array, torch.tensor, lambda x: torch.tensor(x).double().requires_grad_()):
        assert ": correct in all 3 cases" in says("98.1", lambda x, kind=kind: kind([2.0 * part for part in x]))
    assert ": correct" not in says("98.1", lambda x: [[2 * part for part in x]])  # another shape
    assert ": correct" not in says("98.1", lambda x: [2.01 * part for part in x])
    assert ": correct" not in says("98.1", lambda x: [float("nan") for part in x])


def test_values_by_hand():
    pairs = [
        ({"a": 1.0, "b": [2]}, {"b": (2,), "a": np.float32(1)}, True),
        ({"a": 1.0}, {"a": 1.0, "b": 2}, False),
        ("yes", "yes", True),
        ("yes", "no", False),
        ("1", 1, False),
        (float("nan"), np.nan, True),
        (1.0, 1.00001, True),
        (0.0, 1e-9, True),
        (0.0, 1e-3, False),
        (True, np.bool_(True), True),
        ([], None, False),
        ([1, 2], range(1, 3), True),
        ([[1.0, 2.0]], torch.tensor([[1, 2]], dtype=torch.bfloat16), True),
    ]
    for expected, found, same in pairs:
        assert checks._same(running.plain(expected), running.plain(found), 1e-4) is same, (expected, found)


def test_hints_come_one_by_one_and_start_anew_when_it_is_solved(monkeypatch):
    made_up(monkeypatch)
    hints = lambda: [says("98.1", lambda x: x).split("Hint ")[1] for _ in range(4)]  # noqa: E731
    assert hints() == ["1: one", "2: two", "3: three", "3: three"]
    assert "Hint 3: three" in says("98.1", ...)  # looking at the hint again is no try
    assert "Hint" not in says("98.1", lambda x: [2 * part for part in x])
    assert hints()[0] == "1: one"


def test_an_exception_is_shown_with_its_call_and_line(monkeypatch):
    made_up(monkeypatch)

    def divides(x):
        return [2 * part / len(x[1:]) for part in x]

    found = says("98.1", divides)
    assert "double([0.5]) should give [1]" in found
    assert (
        "raises ZeroDivisionError: float division by zero, in the line: return [2 * part / len(x[1:]) for part in x]"
        in found
    )


def test_no_exception_gets_out(monkeypatch):
    made_up(monkeypatch)
    for error in (SystemExit(3), KeyboardInterrupt(), RecursionError(), GeneratorExit(), MemoryError()):

        def raises(x, error=error):
            raise error

        assert f"raises {type(error).__name__}" in says("98.1", raises)


def test_what_cannot_be_looked_at_is_refused(monkeypatch):
    made_up(monkeypatch, kind="predict", expected=1, cases=())
    endless: list = []
    endless.append(endless)
    assert ": correct" not in says("98.1", endless)


@pytest.mark.parametrize("mutter", [True, False])
@pytest.mark.parametrize("where", [IN_CHILD, running._in_thread])
def test_what_never_ends_is_stopped_and_leaves_no_thread(monkeypatch, capsys, mutter, where):
    made_up(monkeypatch, seconds=0.2)
    monkeypatch.setattr(running, "_in_child", where)

    def hangs(x):
        while x is not None:
            if mutter:
                print("still here")

    before, started = threading.active_count(), time.monotonic()
    found = says("98.1", hangs)
    assert "double([1, 2]) should give [2, 4] yours: stopped: it did not finish within 0.2 seconds" in found
    while threading.active_count() > before and time.monotonic() - started < 10:
        time.sleep(0.05)  # a busy machine takes a moment to end it
    assert time.monotonic() - started < 10 and threading.active_count() == before
    assert capsys.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore:noise")
@pytest.mark.parametrize("where", [IN_CHILD, running._in_thread])
def test_arguments_prints_warnings_seeds_and_switches_do_no_harm(monkeypatch, capsys, where):
    made_up(monkeypatch)
    monkeypatch.setattr(running, "_in_child", where)
    given = [case.arguments[0] for case in checks.exercises("98")[0].cases]
    kept = [list(argument) for argument in given]
    drawn = []

    def careless(x):
        print("noise")
        print("noise", file=sys.stderr)
        warnings.warn("noise", stacklevel=1)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        drawn.append((random.random(), np.random.random(), torch.rand(1).item()))
        random.seed(9), np.random.seed(9), torch.manual_seed(9)
        for i in range(len(x)):
            x[i] *= 2
        return x

    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert ": correct" in says("98.1", careless)
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert torch.is_grad_enabled() and torch.get_default_dtype() is torch.float32
    assert capsys.readouterr() == ("", "") and given == kept
    assert len(set(drawn)) == (where != IN_CHILD or sys.platform != "linux")  # every case starts from the same seed


@pytest.mark.skipif(sys.platform != "linux", reason="only there a learner's code runs in a child")
def test_what_cannot_be_stopped_from_within_is_killed(monkeypatch, capfd):
    monkeypatch.setattr(running, "_in_child", IN_CHILD)
    made_up(monkeypatch, seconds=1.0)
    before, started = threading.active_count(), time.monotonic()
    assert "did not finish within 1 seconds" in says("98.1", lambda x: sum(range(10**12)))  # one call into C
    made_up(monkeypatch)
    assert "ended the process that ran it (exit code 3)" in says("98.1", lambda x: os._exit(3))
    assert "ended the process that ran it (exit code -9)" in says("98.1", lambda x: os.kill(os.getpid(), signal.SIGKILL))
    assert "raises MemoryError" in says("98.1", lambda x: bytearray(3 * 1024**3))
    assert ": correct" in says("98.1", lambda x: os.write(1, b"x" * 100_000) and [2 * part for part in x])
    assert time.monotonic() - started < 60 and threading.active_count() == before
    assert capfd.readouterr() == ("", "")


def test_long_answers_are_compared_and_shown_in_short(monkeypatch):
    monkeypatch.setattr(running, "_in_child", IN_CHILD)
    made_up(monkeypatch)
    started = time.monotonic()
    for long in (lambda x: list(range(10_000_000)), lambda x: range(10**15), lambda x: [list(range(10_000_000))]):
        found = says("98.1", long)
        assert "yours: [" in found and "0, 1, 2, 3" in found and len(found) < 500, found
    assert len(says("98.1", lambda x: "ab" * 10_000_000)) < 500
    assert "a number of 3,322 bits" in says("98.1", lambda x: 10**1000)
    assert len(says("98.1", lambda x: int("x" * 10_000_000))) < 900  # a long message
    assert time.monotonic() - started < 30
    made_up(monkeypatch, kind="predict", expected=1, cases=())
    assert len(says("98.1", list(range(10_000_000)))) < 500


def test_what_is_shown_in_short_begins_as_the_whole_would():
    for value in ([1.0, 2.5] * 500, [["a", 1] * 40] * 60, [[]] * 300, list(range(60)), ["word"] * 7):
        whole = f"[{', '.join(map(checks._show, value))}]"
        assert checks._show(value) == textwrap.shorten(whole, 200)
    assert checks._show("a text of some words") == repr("a text of some words")


def test_what_a_call_leaves_behind_can_be_observed(monkeypatch):
    made_up(monkeypatch, observe=lambda result, arguments: [*arguments[0]], cases=(Case("double([1])", ([1],), [2]),))

    def in_place(x):
        x[0] *= 2
        return "something"

    assert ": correct" in says("98.1", in_place)
    assert ": correct" not in says("98.1", lambda x: [2 * part for part in x])


def test_a_mistake_is_recognised_where_it_matters_and_only_then(monkeypatch):
    made_up(monkeypatch, mistakes=(Mistake((lambda x: x, lambda x: [part**2 for part in x]), "no doubling."),))
    assert "It looks like this: no doubling." in says("98.1", lambda x: list(x))
    assert "It looks like this: no doubling." in says("98.1", lambda x: [part * part for part in x])
    assert "It looks like this" not in says("98.1", lambda x: [3 * part for part in x])


def test_the_truth_of_a_prediction_is_not_printed(monkeypatch):
    made_up(
        monkeypatch, kind="predict", expected=(0.125, "grows"), cases=(), mistakes=(Mistake([8, "grows"], "The inverse."),)
    )
    assert "The inverse." in says("98.1", (8, "grows")) and "0.125" not in says("98.1", (7, "grows"))
    assert "not attempted yet" in says("98.1", (..., "grows"))
    assert ": correct" in says("98.1", [0.125, "grows"])
    assert "a value, not a function" in says("98.1", lambda: 0.125)


def test_an_unknown_exercise_is_named_and_nothing_is_raised(capsys):
    for name in ("99.1", "01.99", "", None, 1.1, ("01.1",)):
        assert "There is no exercise" in says(name, 1)
    assert checks.check("01.99", 1) is None and "01.1, 01.2" in capsys.readouterr().out


# --- progress


def solve(name: str, **options) -> None:
    exercise = next(exercise for exercise in ALL if exercise.id == name)
    says(name, exercise.solution if exercise in CODE else exercise.expected, **options)


def test_tries_are_counted_up_to_the_first_success(progress):
    says("01.2", ...)
    assert not progress.exists()  # looking is no try
    for answer in (1, 2, -64, 3):
        says("01.2", answer)
    (entry,) = json.loads(progress.read_text())["exercises"].values()
    assert entry["tries"] == 3 and re.fullmatch(r"\d{4}-\d\d-\d\d", entry["solved"])
    assert {path.name for path in progress.parent.iterdir()} <= {progress.name, f"{progress.name}.lock"}


def test_notebooks_that_record_at_the_same_time_lose_nothing(progress):
    def tries(number: int) -> None:
        for i in range(20):
            record.record(f"{number}.{i}", solved=True)

    threads = [threading.Thread(target=tries, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(progress.read_text())["exercises"]) == 80


def test_a_lock_that_is_never_given_back_is_said_and_does_not_stop_the_check(progress, monkeypatch):
    monkeypatch.setattr(record, "FileLock", lambda path, timeout: FileLock(path, timeout=0.01))
    progress.parent.mkdir()
    with FileLock(f"{progress}.lock"):
        found = says("01.2", -64)
    assert ": correct" in found and "Progress could not be saved" in found and not progress.exists()


def test_running_a_whole_notebook_counts_no_try(progress):
    for exercise in ALL:
        says(exercise.id, exercise.given or ...)
    assert not progress.exists()


def test_asking_again_with_a_function_as_it_was_given_brings_the_next_hint():
    for exercise in ALL:
        for hint in exercise.hints if exercise.given else ():
            assert words(hint) in says(exercise.id, exercise.given)


def test_the_notebooks_own_solutions_are_not_recorded(progress):
    solve("01.1", mine=False)
    assert not progress.exists()


def run_cell(source: str, error: BaseException | None = None, *, before: bool = False) -> None:
    """Tell the checks what IPython tells them of a cell; an error of its syntax comes `before` it runs."""
    checks._cells.began(SimpleNamespace(raw_cell=source))
    early, late = (error, None) if before else (None, error)
    checks._cells.finished(SimpleNamespace(error_before_exec=early, error_in_exec=late))


def test_after_run_all_a_stub_is_not_attempted_though_the_solution_has_run(progress):
    from tools import exercise_cells

    for exercise in (exercise for exercise in OWN if not exercise.given):
        names: dict = {"np": np}
        exec(exercise_cells.stub_source(exercise), names)
        stub = names[exercise.name]
        if exercise not in CODE:  # of a function the source alone runs
            exec(exercise_cells.solution_source(exercise), names)
            says(exercise.id, names[f"{exercise.name}_solution"], mine=False)
        assert names[exercise.name] is stub and "not attempted yet" in says(exercise.id, stub), exercise.id
    assert not progress.exists()


def test_what_is_left_of_a_cell_that_failed_is_not_judged_and_is_no_try(progress):
    run_cell("after_three_steps = 64 +", SyntaxError(), before=True)
    found = says("01.2", -64)
    assert "not judged, since your cell for `after_three_steps` ended with SyntaxError" in found and "Hint" not in found
    assert "run your cell again" in found and not progress.exists()
    run_cell("def my_gradient(w, X, y):\n    return w\nmy_gradient(1)", TypeError())
    assert "ended with TypeError" in says("01.1", lambda *given: 0) and not progress.exists()
    run_cell("print(after_three_steps == 64, my_gradient)", NameError())  # no cell of either exercise
    run_cell("after_three_steps = -64")
    assert ": correct" in says("01.2", -64) and progress.exists()
    assert ": correct" in says("01.2", -64, mine=False)
    checks._cells.began(SimpleNamespace(raw_cell="after_three_steps = -64; checks.check(...)"))  # in one cell, still running
    assert ": correct" in says("01.2", -64)


def test_a_notebook_tells_the_checks_which_cells_failed():
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell, cells = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}})), Cells()
    shell.events.register("pre_run_cell", cells.began)
    shell.events.register("post_run_cell", cells.finished)
    for source, error in (("x = 1", ""), ("x = 1 +", "SyntaxError"), ("x = y_missing", "NameError"), ("x = 2", "")):
        shell.run_cell(source, store_history=False)
        assert cells.failure("x") == error


def test_a_damaged_file_is_kept_aside_and_named(progress, capsys):
    progress.parent.mkdir()
    wrong_form = b'{"exercises": []}', b'{"exercises": {"01.1": 3}}', b'{"exercises": {"01.1": {"tries": "x"}}}'
    for count, content in enumerate((b"", b"", b"{", b"[]", b"\xff\xfe\x00", *wrong_form), start=1):
        progress.write_bytes(content)
        solve("01.2")
        aside = progress.with_name(f"progress-damaged-{count}.json")
        assert aside.read_bytes() == content and aside.name in capsys.readouterr().out
        assert json.loads(progress.read_text())["exercises"]["01.2"]["solved"]


def test_a_bit_that_flips_in_the_file_is_noticed_or_has_no_effect(progress, capsys):
    solve("01.2")
    whole, good = progress.read_bytes(), record.load_progress()["exercises"]
    for position in range(len(whole)):
        progress.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        found = record.load_progress()["exercises"]
        assert found == good or "is damaged. It is kept as" in capsys.readouterr().out
        assert found in (good, {})


def test_a_damaged_file_is_set_aside_by_one_of_those_who_find_it(progress, capsys):
    solve("01.1")
    progress.write_bytes(b"{")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: record.record(f"01.{number}", solved=True), range(1, 9)))
    assert len(json.loads(progress.read_text())["exercises"]) == 8
    assert len(list(progress.parent.glob("*-damaged-*"))) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="HOME is no variable of Windows")
def test_without_a_home_folder_one_sentence_says_where_progress_can_be_kept(monkeypatch):
    for name in ("COURSE_PROGRESS", "HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # nobody has an account
    with pytest.raises(FileNotFoundError, match=r"no home folder here. Set the environment variable COURSE_PROGRESS"):
        record.load_progress()
    found = says("01.2", -64)
    assert ": correct" in found and "Progress could not be saved: You have no home folder" in words(found)


def test_what_other_versions_wrote_is_kept(progress):
    progress.parent.mkdir()
    progress.write_text('{"later": 1, "exercises": {"77.7": {"tries": 1, "solved": "2020-01-01", "more": 2}}}')
    solve("01.2")
    document = json.loads(progress.read_text())
    assert document["later"] == 1 and document["exercises"]["77.7"]["more"] == 2
    assert "77.7" not in record.completion_report()["exercises"]


def test_a_folder_that_cannot_be_written_is_said_and_does_not_stop_the_check(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "file" / "progress.json"))
    found = says("01.2", -64)
    assert ": correct" in found and "Progress could not be saved" in found


def test_without_the_setting_progress_lies_in_the_users_folder(monkeypatch):
    import platformdirs

    monkeypatch.delenv("COURSE_PROGRESS")
    assert record.progress_path().parent == platformdirs.user_data_path("fine-tuning-course", appauthor=False)


def test_the_table_counts_and_says_what_is_next():
    solve("01.1")
    line = checks.progress_table().splitlines()[1]
    count = len(checks.exercises("01"))
    assert line.split()[:4] == ["01", "1", "of", str(count)] and f"#{'.' * (count - 1)}" in line and "next: 01.2" in line
    for exercise in checks.exercises("01"):
        solve(exercise.id)
    assert checks.progress_table().splitlines()[1].endswith("all solved")


def test_a_report_is_written_and_verified(tmp_path, capsys):
    solve("01.1")
    file = tmp_path / "report.json"
    assert cli.main(["progress", "--export", str(file)]) == 0
    assert "next: 01.2" in capsys.readouterr().out
    assert cli.main(["progress", "--verify", str(file)]) == 0
    assert f"1 of {len(ALL)} solved" in capsys.readouterr().out
    report = json.loads(file.read_text())
    assert list(report["exercises"]) == ["01.1"] and len(report["edition"]) == len(report["digest"]) == 64


def test_a_report_that_was_changed_is_not_verified(tmp_path, capsys):
    solve("01.1")
    file, entry = tmp_path / "report.json", {"tries": 1, "solved": "2020-01-01"}
    for change in (
        {"solved": 9},
        {"date": "2020-01-01"},
        {"exercises": {}},
        {"exercises": {"01.1": entry, "01.2": entry}},
        {"exercises": {"77.7": entry}},
        {"exercises": {"01.1": 5}},
        {"exercises": 5},
        {"edition": "0" * 64},
        {"digest": "0" * 64},
        {"note": "for my employer"},
    ):
        file.write_text(json.dumps(record.completion_report() | change))
        assert cli.main(["progress", "--verify", str(file)]) == 1, change
        assert ("another edition" in capsys.readouterr().out) is ("edition" in change)


def test_what_is_no_report_is_refused(tmp_path):
    for content in ("[]", "7", "{}", "{"):
        (tmp_path / "file.json").write_text(content)
        assert cli.main(["progress", "--verify", str(tmp_path / "file.json")]) in (1, 2), content


def test_every_definition_is_part_of_the_edition(tmp_path, monkeypatch):
    before = record.completion_report()["edition"]
    for path in definition.FOLDER.glob("*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    monkeypatch.setattr(definition, "FOLDER", tmp_path)
    assert record.completion_report()["edition"] == before  # line ends of another system
    (tmp_path / "nb01.py").write_text((tmp_path / "nb01.py").read_text() + "\n# easier")
    assert record.completion_report()["edition"] != before


# --- the quiz


def shown(monkeypatch, show) -> list:
    """Return what `show` displays."""
    found: list = []
    monkeypatch.setattr("IPython.display.display", found.append)
    show()
    return found


def test_the_quiz_asks_in_words_and_a_chosen_answer_counts(monkeypatch, progress):
    listener, asked = shown(monkeypatch, lambda: checks.quiz("01"))
    questions = [exercise for exercise in checks.exercises("01") if ".q" in exercise.id]
    for exercise in questions:
        assert words(exercise.question) in words(repr(asked))
        assert all(f"{letter}) {text}" in words(repr(asked)) for letter, (text, _) in exercise.options.items())
        listener.value = f"{exercise.id} {exercise.expected} 17"
    assert set(json.loads(progress.read_text())["exercises"]) == {exercise.id for exercise in questions}
    assert listener.layout.display == "none" and repr(listener) == ""


def test_where_widgets_are_missing_the_quiz_is_a_card_alone(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (asked,) = shown(monkeypatch, lambda: checks.quiz("01"))
    assert 'checks.check("01.q1", "a")' in repr(asked)


# --- cards


def visible(page: str) -> str:
    return words(re.sub(r"(?s)<(style|script).*?</\1>|<[^>]+>", " ", page).replace("&lt;", "<").replace("&gt;", ">"))


def test_each_answer_of_each_question_opens_whether_it_is_right_and_why():
    for exercise in CHOICES:
        page = card.answers(exercise)
        rows = re.findall(r'(?s)<details class="answer" data-right="(\w+)" data-answers="(\S+) (\w)">(.*?)</details>', page)
        assert [letter for _, _, letter, _ in rows] == [*exercise.options] and {name for _, name, _, _ in rows} == {
            exercise.id
        }
        for right, _, letter, body in rows:
            text, explanation = exercise.options[letter]
            verdict = "✓ Correct." if letter == exercise.expected else "✗ No."
            assert right == ("yes" if letter == exercise.expected else "no")
            told = visible(body.replace("&amp;", "&").replace("<code>", "`").replace("</code>", "`"))
            assert told == words(f"{letter}) {text} {verdict} {explanation}"), exercise.id


def test_a_card_says_in_words_what_its_colour_says_and_folds_hints_and_solution():
    hints = next(exercise.hints for exercise in ALL if exercise.id == "01.1")
    for answer, state, verdict in ((..., "empty", "○ Not attempted yet"), (lambda *given: 0, "refused", "✗ Not yet")):
        page = checks.reply("01.1", answer)._repr_html_()
        assert f'data-state="{state}"' in page and verdict in page
        folded = re.findall(r"<details><summary data-lm-suppress-shortcuts=\"true\">(.*?)</summary>", page)
        assert folded == [f"Hint {i + 1}" for i in range(len(hints))] + ["Solution"] * (state == "refused")
    page = checks.reply("01.1", next(e.solution for e in ALL if e.id == "01.1"))._repr_html_()
    assert "✓ Correct" in page and "<details" not in page
    assert "your cell" not in page and "✗ Not yet" in checks.reply("01.3", "a")._repr_html_()


def test_all_that_a_card_shows_is_escaped_and_it_asks_nobody():
    page = checks.reply("01.2", "<img src=x onerror=alert(1)>")._repr_html_()
    assert "<img" not in page and "&lt;img" in page
    assert not re.search(r"innerHTML|fetch\(|https?://", page)


def test_code_in_a_question_is_shown_as_code_and_stays_escaped():
    assert "<code>if rank == 0: evaluate(...)</code>" in checks.reply("11.q2", ..., mine=False)._repr_html_()
    page = checks.reply("01.2", "`<b>`")._repr_html_()
    assert "<b>" not in page and "&lt;b&gt;" in page


def test_the_plain_text_of_a_card_is_what_is_printed_where_there_is_no_notebook(capsys):
    checks.check("01.2", 64)
    assert capsys.readouterr().out.startswith("01.2 a learning rate ten times as large: 64 is not correct.")
