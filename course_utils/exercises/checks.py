"""Checks that answer: `checks.check("01.1", my_function)` under a stub, `checks.quiz("01")` at the end of a notebook.

A check prints plain text and never raises. What the learner's code raises is shown, with the line and the call; what it
prints, warns or draws at random does not reach the notebook; what hangs is stopped after `Exercise.seconds`. One single
call into C that never returns, such as `10**10**10`, cannot be stopped: restart the kernel then.
"""

from __future__ import annotations

import copy
import ctypes
import importlib.util
import math
import random
import sys
import textwrap
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout

from ..files import Nowhere
from .definition import Exercise, exercises, numbers
from .progress import progress_table as progress_table
from .progress import record

Outcome = tuple[object, str]  # what one call did: its value in plain Python, and how it failed
_refused: dict[str, int] = {}  # by id, in this kernel, since the exercise was last solved


class _Stop(BaseException):
    """Ends a learner's code that took too long."""


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
    listed = {exercise.id: exercise for exercise in exercises(str(exercise_id).partition(".")[0])}
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
            record(exercise_id, solved=state == "solved")
        except OSError as error:
            said.append(f"(Progress could not be saved: {error})")
    return _filled([f"{exercise_id} {exercise.title}: {said[0]}", *said[1:]])


def _filled(lines: list[str]) -> str:
    return "\n".join(textwrap.fill(line, 100, subsequent_indent="    ") for line in lines)


def _judge(exercise: Exercise, answer: object) -> tuple[str, list[str]]:
    """Return "solved", "refused", or "empty" and "given" if nothing was tried yet; and what to say, in lines."""
    if answer is None or answer is ...:
        return "empty", ["not attempted yet.", *([exercise.question] if exercise.question else []), *exercise.choices]
    if exercise.options:
        letter = str(answer).strip().lower().rstrip(".)")
        if letter not in exercise.options:
            return "refused", ["answer with one letter in quotes.", *exercise.choices]
        right, says = letter == exercise.expected, exercise.options[letter][1]
        return ("solved", [f"correct. {says}"]) if right else ("refused", [f"no. {says}"])
    if callable(answer) == (exercise.kind == "predict"):
        return "refused", ["give a value, not a function." if callable(answer) else "give the function itself, without ()."]
    outcomes = _run(answer, exercise)
    if all("raises NotImplementedError" in str(outcome) or "ellipsis" in str(outcome) for outcome in outcomes):
        return "empty", ["not attempted yet."]
    if all(outcome == (None, "") for outcome in outcomes):
        return "empty", ["not attempted yet: it returns nothing. If you have written it, `return` is missing."]
    wanted = [(_plain(case.expected), "") for case in exercise.calls]
    failed = [i for i, want in enumerate(wanted) if not _alike(want, outcomes[i], exercise)]
    if not failed:
        return "solved", [f"correct{f' in all {len(wanted)} cases' if exercise.cases else ''}. {exercise.after}"]
    state, cause = _explain(exercise, outcomes, failed)
    done = _show(*outcomes[failed[0]])
    if not exercise.cases:
        return state, [f"{done} is not it.", *cause]
    call = f"  {exercise.cases[failed[0]].says} should give {_show(*wanted[failed[0]])}"
    return state, ["not yet.", call, f"  yours: {done}", *cause]


def _explain(exercise: Exercise, outcomes: list[Outcome], failed: list[int]) -> tuple[str, list[str]]:
    """Return the state of a wrong answer and which known mistake it looks like, in one line, or in none."""

    def is_like(other: object, where: Iterable[int]) -> bool:
        theirs = _run(other, exercise)
        return all(_alike(theirs[i], outcomes[i], exercise) for i in where)

    if exercise.given and is_like(exercise.given, range(len(outcomes))):
        return "given", ["This is what the function does as it was given: the fault is still in it."]
    for answers, says in exercise.mistakes:
        if any(is_like(other, failed) for other in (answers if isinstance(answers, tuple) else (answers,))):
            return "refused", [f"It looks like this: {says}" if exercise.cases else says]
    return "refused", []


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
    with redirect_stdout(Nowhere()), redirect_stderr(Nowhere()), warnings.catch_warnings():
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


def quiz(number: str) -> None:
    """Show the questions of a notebook's quiz, each with buttons for its answers; where widgets are missing, in words."""
    print(f'Press a letter, or type the answer in a cell: checks.check("{number}.q1", "a")')
    for exercise in (exercise for exercise in exercises(number) if ".q" in exercise.id):
        print("\n" + _filled([f"{exercise.id} {exercise.question}", *exercise.choices]))
        if importlib.util.find_spec("ipywidgets"):  # not in the kernel of notebook 03b
            from IPython.display import display

            from ..explorers import answer_buttons

            display(answer_buttons(exercise.id, list(exercise.options), respond))
