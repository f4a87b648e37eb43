"""Exercises that answer back: checks with staged hints, a quiz, and progress, all offline.

**What a learner does.** `checks.check("01.1", my_function)` under a stub, `checks.quiz("01")` at the end of a notebook,
`course progress` in a terminal.

**How an author adds an exercise** (four places; nothing has to be registered):

1. *Definition*, `course_utils/exercises/nbNN.py`: a list `EXERCISES` of `Exercise`. Copy the nearest one from `nb01.py`.
   The id is the notebook and a number (`"01.4"`), or `"01.q2"` for a question of the quiz. The kinds:

   * `complete`: the learner writes a function. `cases` are calls with arguments small enough to work out by hand and the
     value that must come out; `says` is the call as the learner would type it. Numbers, lists, arrays and tensors of equal
     shape and nearly equal numbers count as equal, whatever their type, so store `expected` as plain lists. `mistakes` are
     the usual wrong answers: `Mistake(answer, says)`, where `answer` is a function that makes the mistake (or a tuple of
     such) and `says` names the misunderstanding in a sentence or two. One is recognised when the learner's function does
     what it does on each case that went wrong, so choose cases on which the mistakes differ from the truth and each other.
   * `debug`: the same, and `given` is the faulty function that the stub cell shows. What it does wrong is shown and
     hint 1 given, without naming the fault; so its own fault needs no `Mistake`.
   * `predict`: the learner writes down a value (a number, a word, a tuple). `expected` is the truth, `tolerance` relative
     (0.05 where a figure is read off); a mistake's `answer` is a value or a tuple of values (so a value of several
     numbers is written as a list). The truth is never printed.
   * `choice`: `question`, `options` (a dict from letter to `(text, what is said to who chooses it)`), and the right
     letter as `expected`. For "explain the figure", and for the quiz (three questions a notebook, without hints).

   `hints`, one to three, go from a nudge to nearly the answer. `after` is one sentence for who got it right: what it is
   good for. `observe(result, arguments)` turns what a call left behind into the value that is compared, where that is not
   the result itself: `lambda result, arguments: arguments[0].training`. Arguments are copied for each call, seeds are set.
   Import what the exercise needs at the top of the file: an import inside a function would run against the time limit.
   What a stub's check prints is compared on other machines: let no case draw from torch's dropout, whose masks differ there.

2. *Cells*, in `notebooks/py/NN_*.py`, right where the idea has been taught (new names only; the statement says what goes
   in, what comes out, with shapes, and gives one example):

       # %% [markdown]
       # **Exercise 01.1 (complete): the gradient of cross-entropy.** Write ...

       # %% tags=["exercise"]
       def my_gradient(w, X, y):
           raise NotImplementedError

       # %% tags=["check"]
       checks.check("01.1", my_gradient)

       # %% tags=["solution"] jupyter={"source_hidden": true} cellView="form"
       # @title Solution
       def my_gradient(w, X, y):
           return X.T @ (descent.sigmoid(X @ w) - y) / len(y)

       # %% tags=["check"]
       checks.check("01.1", my_gradient, mine=False)  # the same check, on the solution above

   A value is asked for with `my_factor = ...` and solved with `my_factor = 10`; a choice with `my_choice = "b"`. With
   `mine=False` nothing is recorded, so that running all cells does not fill in anybody's progress. Outputs are the same
   in every run and are compared: give these cells no `nbval` tag. Cells of exercises count apart from those of the lesson.
   The quiz stands before the summary:

       # %% tags=["check"]
       checks.quiz("01")

3. *Answers*, `tests/answers/nbNN.py`: dicts `RIGHT` and `WRONG` from id to answers. For each `complete` and `debug` two
   or more right answers that are written differently and three or more wrong ones, each as `(answer, "words of the
   message")`; for `predict` one or more right and two or more wrong. Choices need none. `tests/test_checks.py` finds the
   file by its name. Type `pytest tests/test_checks.py -k NN`.

4. `python tools/notebooks.py build NN`, and look at it.

**What a check promises.** It prints plain text and never raises. What the learner's code raises is shown, with the line
and the call; what it prints, warns or draws at random does not reach the notebook; what hangs is stopped after
`seconds`. It cannot stop one single call into C that never comes back, such as `10**10**10`: restart the kernel then.
"""

from __future__ import annotations

import copy
import ctypes
import hashlib
import importlib.util
import json
import math
import os
import random
import sys
import textwrap
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from datetime import date
from pathlib import Path

from .definition import Exercise

FOLDER = Path(__file__).parent
Outcome = tuple[object, str]  # what one call did: its value in plain Python, and how it failed
_refused: dict[str, int] = {}  # by id, in this kernel, since the exercise was last solved


class _Stop(BaseException):
    """Ends a learner's code that took too long."""


def numbers() -> list[str]:
    """Return the notebooks that have exercises, such as ["01", "02"]."""
    return sorted(path.stem[2:] for path in FOLDER.glob("nb[0-9][0-9].py"))


def exercises(number: str) -> list[Exercise]:
    """Return the exercises and quiz questions of a notebook; none where it has no file."""
    return importlib.import_module(f"{__package__}.nb{number}").EXERCISES if number in numbers() else []


def check(exercise_id: str, answer: object, *, mine: bool = True) -> None:
    """Print what there is to say about an answer: correct, or what it looks like and a hint. Never raises.

    Args:
        exercise_id: such as "01.1", or "01.q1" for a question of the quiz.
        answer: the learner's function itself, or their value, or the letter of a choice.
        mine: False for the solution that the notebook brings; nothing is recorded then.
    """
    print(respond(exercise_id, answer, mine=mine))


def respond(exercise_id: str, answer: object, *, mine: bool = True) -> str:
    """Return what `check` prints, and record the try."""
    listed = {exercise.id: exercise for exercise in exercises(str(exercise_id)[:2])}
    if str(exercise_id) not in listed:
        return f"There is no exercise {exercise_id}. There are {', '.join(listed) or 'those of ' + ', '.join(numbers())}."
    exercise = listed[exercise_id]
    try:
        state, said = _judge(exercise, answer)
    except Exception as error:  # an answer that cannot even be looked at
        state, said = "refused", [f"the check cannot read this answer: {type(error).__name__}: {error}"]
    _refused[exercise_id] = 0 if state == "solved" else _refused.get(exercise_id, 0) + (state != "empty")
    if state != "solved" and exercise.hints:
        level = min(max(_refused[exercise_id], 1), len(exercise.hints))
        said.append(f"Hint {level}: {exercise.hints[level - 1]}")
    if mine and state in ("solved", "refused"):
        try:
            _record(exercise_id, solved=state == "solved")
        except OSError as error:
            said.append(f"(Progress could not be kept: {error})")
    return _filled([f"{exercise_id} {exercise.title}: {said[0]}", *said[1:]])


def _filled(lines: list[str]) -> str:
    return "\n".join(textwrap.fill(line, 100, subsequent_indent="    ") for line in lines)


def _judge(exercise: Exercise, answer: object) -> tuple[str, list[str]]:
    """Return "solved", "refused", or "empty" and "given" where nothing was tried yet; and what to say, in lines."""
    if answer is None or answer is ...:
        return "empty", ["not attempted yet.", *([exercise.question] if exercise.question else []), *exercise.choices]
    if exercise.options:
        letter = str(answer).strip().lower().rstrip(".)")
        if letter not in exercise.options:
            return "refused", ["answer with one letter in quotes.", *exercise.choices]
        right, says = letter == exercise.expected, exercise.options[letter][1]
        return ("solved", [f"correct. {says}"]) if right else ("refused", [f"no. {says}"])
    if callable(answer) == (exercise.kind == "predict"):
        return "refused", ["give a value, not a function." if callable(answer) else "give the function, without brackets."]
    cases, outcomes = exercise.calls, _run(answer, exercise)
    if all("raises NotImplementedError" in str(outcome) or "ellipsis" in str(outcome) for outcome in outcomes):
        return "empty", ["not attempted yet."]
    if all(outcome == (None, "") for outcome in outcomes):
        return "empty", ["not attempted yet: it returns nothing. If you have written it, `return` is missing."]
    wants = [(_plain(case.expected), "") for case in cases]
    failed = [i for i in range(len(cases)) if not _alike(wants[i], outcomes[i], exercise)]
    if not failed:
        return "solved", [f"correct{f' in all {len(cases)} cases' if exercise.cases else ''}. {exercise.after}"]

    def is_like(other: object, where: Iterable[int] = failed) -> bool:
        theirs = _run(other, exercise)
        return all(_alike(theirs[i], outcomes[i], exercise) for i in where)

    want, done = wants[failed[0]], outcomes[failed[0]]
    said = ["not yet.", f"  {cases[failed[0]].says} should give {_show(*want)}", f"  yours: {_show(*done)}"]
    if not exercise.cases:
        said = [f"{_show(*done)} is not it."]
    if exercise.given and is_like(exercise.given, range(len(cases))):
        return "given", [*said, "This is what the function does as it was given: the fault is still in it."]
    for answers, says in exercise.mistakes:
        if any(map(is_like, answers if isinstance(answers, tuple) else (answers,))):
            return "refused", [*said, f"It looks like this: {says}" if exercise.cases else says]
    return "refused", said


def _run(answer: object, exercise: Exercise) -> list[Outcome]:
    """Return what an answer does in each case; what takes too long is stopped, and nothing else of it is noticed."""
    outcomes: list[Outcome] = []

    def work() -> None:
        for case in exercise.calls:
            for *_, seed in _switches():
                seed(0)
            arguments = copy.deepcopy(case.arguments)
            try:
                result = answer(*arguments) if callable(answer) else answer
                outcomes.append((_plain(exercise.observe(result, arguments)), ""))
            except _Stop:
                return
            except BaseException as error:
                lines = [f", in the line: {frame.line}" for frame in traceback.extract_tb(error.__traceback__)[1:2]]
                outcomes.append((None, f"raises {type(error).__name__}: {error}{''.join(lines)}"))

    thread = threading.Thread(target=work, daemon=True)
    late = f"stopped: it did not finish within {exercise.seconds:g} seconds. Is there a loop that never ends?"
    before = [(put, get()) for get, put, _ in _switches()]
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere), warnings.catch_warnings():
        thread.start()
        try:
            thread.join(exercise.seconds)
        except KeyboardInterrupt:
            late = "stopped by you."
        if thread.is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_Stop))
            thread.join(1.0)
        for put, state in before:
            put(state)
    return outcomes + [(None, late)] * (len(exercise.calls) - len(outcomes))


def _switches() -> list[tuple[Callable, Callable, Callable]]:
    """Return how each thing that a learner's code could leave changed is read, set, and seeded."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    found: list[tuple[Callable, Callable, Callable]] = [(random.getstate, random.setstate, random.seed)]
    if numpy:
        found.append((numpy.random.get_state, numpy.random.set_state, numpy.random.seed))
    if torch:
        found.append((torch.get_rng_state, torch.set_rng_state, torch.default_generator.manual_seed))
        found.append((torch.get_default_dtype, torch.set_default_dtype, lambda seed: None))
    return found


def _plain(value: object) -> object:
    """Return numbers, words and lists in place of arrays, tensors, tuples and dicts; other things by their kind."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, dict):
        value = sorted(([str(key), part] for key, part in value.items()), key=lambda pair: pair[0])
    if isinstance(value, (list, tuple, range)):
        return [_plain(part) for part in value]
    return value if value is None or isinstance(value, (int, float, str)) else f"<{type(value).__name__}>"


def _same(a: object, b: object, tolerance: float) -> bool:
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance / 100) or (a != a and b != b)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    return a == b


def _alike(a: Outcome, b: Outcome, exercise: Exercise) -> bool:
    return a[1].split(":")[0] == b[1].split(":")[0] and _same(a[0], b[0], exercise.tolerance)


def _show(value: object, error: str = "") -> str:
    if isinstance(value, list):
        return textwrap.shorten(f"[{', '.join(map(_show, value))}]", 200)
    return error or (f"{value:.4g}" if isinstance(value, float) else repr(value))


def progress_path() -> Path:
    """Return the file of solved exercises: `COURSE_PROGRESS`, or one in the user's data folder."""
    import platformdirs

    folder = platformdirs.user_data_path("fine-tuning-course", appauthor=False)
    return Path(os.environ.get("COURSE_PROGRESS") or folder / "progress.json")


def load_progress() -> dict:
    """Return what is recorded, `{"exercises": {id: {"tries": 2, "solved": "2026-03-01"}}}`.

    A file that cannot be read is kept aside under a name that is printed; what this version does not know is kept too.
    """
    path = progress_path()
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        sum(entry["tries"] for entry in document["exercises"].values())  # raises where it is not what was written
        return document
    except FileNotFoundError:
        return {"exercises": {}}
    except (ValueError, KeyError, TypeError, AttributeError):
        aside = next(p for n in range(1, 10**6) if not (p := path.with_name(f"{path.stem}-damaged-{n}.json")).exists())
        path.replace(aside)
        print(f"Your progress could not be read. The file is kept as {aside}, and a new one is begun.")
        return {"exercises": {}}


def _record(exercise_id: str, *, solved: bool) -> None:
    """Count a try, up to the first that solves the exercise; the file is replaced as a whole or not at all."""
    document, path = load_progress(), progress_path()
    entry = document["exercises"].setdefault(exercise_id, {"tries": 0})
    if "solved" not in entry:
        entry |= {"tries": entry["tries"] + 1} | ({"solved": f"{date.today()}"} if solved else {})
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_text(json.dumps(document, indent=1), encoding="utf-8")
        part.replace(path)


def progress_table() -> str:
    """Return a line for each notebook: solved of all, as numbers and as a bar, and what comes next."""
    done, lines = completion_report()["exercises"], []
    for number in numbers():
        left = [f"next: {exercise.id} {exercise.title}" for exercise in exercises(number) if exercise.id not in done]
        count, of = len(exercises(number)) - len(left), len(exercises(number))
        lines.append(f"{number}  {count:2} of {of:2}  {'#' * count + '.' * len(left):14}  {[*left, 'all solved'][0]}")
    return "\n".join(lines)


def completion_report(entries: dict | None = None, day: str = "") -> dict:
    """Return which exercises are solved (those recorded, or `entries`), of which list, with a SHA-256 over it all."""
    entries = load_progress()["exercises"] if entries is None else entries
    known = [exercise.id for number in numbers() for exercise in exercises(number)]
    solved = {name: entries[name] for name in known if isinstance(entries.get(name), dict) and "solved" in entries[name]}
    report = {"course": "fine-tuning-course", "date": day or f"{date.today()}", "solved": len(solved), "of": len(known)}
    texts = [(FOLDER / f"nb{number}.py").read_text(encoding="utf-8") for number in numbers()]
    report |= {"edition": hashlib.sha256("".join(texts).encode()).hexdigest(), "exercises": solved}
    return report | {"digest": hashlib.sha256(json.dumps(report, sort_keys=True).encode()).hexdigest()}


def verify_report(report: dict) -> tuple[bool, str]:
    """Return whether a completion report is what this course's exercise list gives for its entries, and what that means."""
    if not isinstance(report, dict) or not isinstance(report.get("exercises"), dict):
        return False, "Not verified: this is no completion report of the course."
    ours = completion_report(report["exercises"], str(report.get("date")))
    if report != ours:
        other = ", or belongs to another edition of the exercises" * (report.get("edition") != ours["edition"])
        return False, f"Not verified: it was changed after it was written{other}."
    says = f"Verified: {ours['solved']} of {ours['of']} solved. The file is whole and fits this course's exercises. Nothing"
    return True, f"{says} in it shows who solved them, or whether the solutions were read first."


def quiz(number: str) -> None:
    """Show the questions of a notebook's quiz, each with buttons for its answers; where widgets are missing, in words."""
    print(f'Press a letter, or type the answer in a cell: checks.check("{number}.q1", "a")')
    for exercise in (exercise for exercise in exercises(number) if ".q" in exercise.id):
        print("\n" + _filled([f"{exercise.id} {exercise.question}", *exercise.choices]))
        if importlib.util.find_spec("ipywidgets"):  # not in the kernel of notebook 04
            from IPython.display import display

            from ..explorers import answer_buttons

            display(answer_buttons(exercise.id, list(exercise.options), respond))
