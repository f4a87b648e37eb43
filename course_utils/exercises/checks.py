"""Checks that answer: `checks.check("01.1", my_function)` under a stub, `checks.quiz("01")` at the end of a notebook.

A check shows a card (see `card`) and never raises. What the learner's code raises is shown, with the line and the call; what
it prints, warns or draws at random does not reach the notebook; what hangs or floods is stopped (see `running`).
"""

from __future__ import annotations

import html
import importlib.util
import math
import reprlib
import textwrap
from collections.abc import Iterable

from .card import Card, checked, framed, questions
from .cells import Cells
from .definition import Exercise, exercises, numbers
from .progress import progress_table as progress_table
from .progress import record
from .running import Outcome, plain, run

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxlong = 400
_refused: dict[str, int] = {}  # by id, in this kernel, since the exercise was last solved
_cells = Cells().listen()


def check(exercise_id: str, answer: object, *, mine: bool = True) -> None:
    """Show what there is to say about an answer: correct, or what it looks like; hints are folded. Never raises.

    Args:
        exercise_id: such as "01.1", or "01.q1" for a question of the quiz.
        answer: the learner's function itself, or their value, or the letter of a choice.
        mine: False for the solution that the notebook brings; nothing is recorded then.
    """
    from IPython.display import display

    display(reply(exercise_id, answer, mine=mine))


def respond(exercise_id: str, answer: object, *, mine: bool = True) -> str:
    """Return what `check` shows, as plain text, and record the try."""
    return repr(reply(exercise_id, answer, mine=mine))


def reply(exercise_id: str, answer: object, *, mine: bool = True) -> Card:
    """Return what `check` shows, and record the try; an answer whose cell ended with an error is not judged."""
    listed = {exercise.id: exercise for exercise in exercises(str(exercise_id).partition(".")[0])}
    if str(exercise_id) not in listed:
        unknown = f"There is no exercise {exercise_id}. There are {', '.join(listed) or 'those of ' + ', '.join(numbers())}."
        return Card(unknown, framed([f"<p>{html.escape(unknown)}</p>"], "failed"))
    exercise = listed[exercise_id]
    if mine and exercise.name and (error := _cells.failure(exercise.name)):
        said = [f"not judged, since your cell for `{exercise.name}` ended with {error} when it was last run.",
                "Fix that error, run your cell again, and then this check."]  # fmt: skip
        return checked(exercise, "failed", said, hints=0, offers_solution=False)
    try:
        state, said = _judge(exercise, answer)
    except Exception as error:  # an answer that cannot even be looked at
        state, said = "refused", [f"the check cannot read this answer: {type(error).__name__}: {error}"]
    _refused[exercise_id] = 0 if state == "solved" else _refused.get(exercise_id, 0) + (state != "empty")
    level = min(max(_refused[exercise_id], 1), len(exercise.hints)) if state != "solved" else 0
    if mine and state in ("solved", "refused"):
        try:
            record(exercise_id, solved=state == "solved")
        except OSError as error:
            said.append(f"(Progress could not be saved: {error})")
    return checked(exercise, state, said, hints=level, offers_solution=state == "refused")


def _judge(exercise: Exercise, answer: object) -> tuple[str, list[str]]:
    """Return "solved", "refused", or "empty" and "given" if nothing was tried yet; and what to say, in lines."""
    if answer is None or answer is ...:
        return "empty", ["not attempted yet."]
    if exercise.options:
        letter = str(answer).strip().lower().rstrip(".)")
        if letter not in exercise.options:
            return "refused", ["answer with one letter in quotes.", *exercise.choices]
        right, says = letter == exercise.expected, exercise.options[letter][1]
        return ("solved", [f"correct. {says}"]) if right else ("refused", [f"no. {says}"])
    if callable(answer) == (exercise.kind == "predict"):
        return "refused", ["give a value, not a function." if callable(answer) else "give the function itself, without ()."]
    outcomes = run(answer, exercise, apart=True)
    if all("raises NotImplementedError" in str(outcome) or "ellipsis" in str(outcome) for outcome in outcomes):
        return "empty", ["not attempted yet."]
    if all(outcome == (None, "") for outcome in outcomes):
        return "empty", ["not attempted yet: it returns nothing. If you have written it, `return` is missing."]
    wanted = [(plain(case.expected), "") for case in exercise.calls]
    failed = [i for i, want in enumerate(wanted) if not _alike(want, outcomes[i], exercise)]
    if not failed:
        return "solved", [f"correct{f' in all {len(wanted)} cases' if exercise.cases else ''}. {exercise.after}"]
    state, cause = _explain(exercise, outcomes, failed)
    done = _show(*outcomes[failed[0]])
    if not exercise.cases:
        return state, [f"{done} is not correct.", *cause]
    call = f"  {exercise.cases[failed[0]].says} should give {_show(*wanted[failed[0]])}"
    return state, ["not yet.", call, f"  yours: {done}", *cause]


def _explain(exercise: Exercise, outcomes: list[Outcome], failed: list[int]) -> tuple[str, list[str]]:
    """Return the state of a wrong answer and which known mistake it looks like, in one line, or in none."""

    def is_like(other: object, where: Iterable[int]) -> bool:
        theirs = run(other, exercise)
        return all(_alike(theirs[i], outcomes[i], exercise) for i in where)

    if exercise.given and is_like(exercise.given, range(len(outcomes))):
        return "given", ["This is what the function does as it was given: the fault is still in it."]
    for answers, says in exercise.mistakes:
        if any(is_like(other, failed) for other in (answers if isinstance(answers, tuple) else (answers,))):
            return "refused", [f"It looks like this: {says}" if exercise.cases else says]
    return "refused", []


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
        return textwrap.shorten(f"[{', '.join(map(_show, value[:101]))}]", 200)
    return error or (f"{value:.4g}" if isinstance(value, float) else _BRIEF.repr(value))


def quiz(number: str) -> None:
    """Show the questions of a notebook's quiz: each answer opens whether it is right, and why, and counts as a try."""
    from IPython.display import display

    if importlib.util.find_spec("ipywidgets"):  # not in the kernel of notebook 03b
        from ..explorers import answer_listener

        display(answer_listener(respond))
    display(questions([exercise for exercise in exercises(number) if ".q" in exercise.id]))
