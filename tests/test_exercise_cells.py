"""The cells that exercises are made into: stub and solution."""

import ast

from course_utils.exercises import checks
from tools import exercise_cells

OWN = [exercise for number in checks.numbers() for exercise in checks.exercises(number) if ".q" not in exercise.id]


def cells(exercise_id: str) -> tuple[str, str]:
    exercise = next(exercise for exercise in OWN if exercise.id == exercise_id)
    return exercise_cells.stub_source(exercise), exercise_cells.solution_source(exercise)


def test_cells_of_each_kind_by_hand():
    stub, solution = cells("00.1")
    assert stub == "def accuracy(predictions, labels):\n    raise NotImplementedError"
    assert solution.startswith("# @title Solution\ndef accuracy_solution(predictions, labels):\n    return sum(")
    assert cells("01.2") == (
        "after_three_steps = ...",
        "# @title Solution\nafter_three_steps_solution = (1 - 10 * 0.5) ** 3",
    )
    assert cells("05.2")[0].endswith(" = ...  # (GPT, BERT)")
    stub, solution = (set(cell.splitlines()) for cell in cells("01.5"))
    assert solution - stub == {
        "# @title Solution",
        "def bare_descent_solution(start, learning_rate, num_steps):",
        "        w.grad.zero_()  # this line was missing",
    }
    assert stub - solution == {"def bare_descent(start, learning_rate, num_steps):"}


def test_the_solution_of_a_choice_is_its_letter():
    for exercise in OWN:
        if exercise.kind == "choice":
            assert exercise.solution == f'{exercise.name} = "{exercise.expected}"', exercise.id


def test_stub_and_solution_are_one_statement_each_and_make_names_of_their_own():
    for exercise in OWN:
        pair = exercise_cells.stub_source(exercise), exercise_cells.solution_source(exercise)
        for cell, ending in zip(pair, ("", "_solution"), strict=True):
            (statement,) = ast.parse(cell).body
            made = statement.targets[0].id if isinstance(statement, ast.Assign) else statement.name
            assert made == exercise.name + ending and not cell.endswith("\n"), exercise.id


def test_a_stub_is_not_attempted_and_a_function_to_fix_is_as_it_was_given():
    for exercise in OWN:
        names = dict(exercise.given.__globals__) if exercise.given else {}  # what the given function uses
        exec(exercise_cells.stub_source(exercise), names)
        expected = "as it was given" if exercise.given else "not attempted yet"
        found = checks.respond(exercise.id, names[exercise.name], mine=False)
        assert expected in " ".join(found.split()), exercise.id
