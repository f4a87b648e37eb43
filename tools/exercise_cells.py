"""The stub and solution cells of the notebooks, made from the definitions of the exercises."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

import nbformat

from course_utils.exercises.definition import Exercise, exercises


def stub_source(exercise: Exercise) -> str:
    """Return the cell that a learner fills in: the function to fix, a function without its body, or `name = ...`."""
    if exercise.given:
        return _source(exercise.given).replace(f"def {exercise.given.__name__}(", f"def {exercise.name}(", 1)
    if isinstance(exercise.solution, str):
        return re.sub(r" = .*?(?=  #|$)", " = ...", exercise.solution, count=1)
    return _source(exercise.solution).splitlines()[0] + "\n    raise NotImplementedError"


def solution_source(exercise: Exercise) -> str:
    """Return the collapsed cell with the solution, under a name of its own: the learner's name stays the learner's."""
    own = re.sub(rf"^((?:def )?{exercise.name})\b", r"\1_solution", _source(exercise.solution))
    return f"# @title Solution\n{own}"


def _source(code: Callable | str) -> str:
    return code if isinstance(code, str) else inspect.getsource(code).rstrip()


def defined_cells(notebook: nbformat.NotebookNode) -> Iterator[tuple[nbformat.NotebookNode, str, str]]:
    """Yield each stub and solution cell, the id of its exercise, and the source that the exercise defines.

    Raises:
        ValueError: the cell is not followed by the check of an exercise that is defined.
    """
    for cell, following in pairwise(notebook.cells):
        tags = set(cell.metadata.get("tags", []))
        if not tags & {"exercise", "solution"}:
            continue
        named = re.match(r'checks\.check\("((\d\d[a-z]?)\.\d+)", ', following.source)
        found = [exercise for exercise in exercises(named[2]) if exercise.id == named[1]] if named else []
        if not found:
            wanted = "is not followed by the check of a defined exercise"
            raise ValueError(f"This cell {wanted}, but by {following.source!r}:\n{cell.source}")
        yield cell, found[0].id, stub_source(found[0]) if "exercise" in tags else solution_source(found[0])
