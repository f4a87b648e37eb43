"""What an exercise is made of; CONTRIBUTING.md says how to write one."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent


class Case(NamedTuple):
    """One call: how it reads, the arguments, and the value that a person can work out by hand."""

    says: str
    arguments: tuple
    expected: object


class Mistake(NamedTuple):
    """A usual wrong answer (or a tuple of them), and the misunderstanding that it looks like."""

    answer: object
    says: str


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise or question of the quiz: its cells in the notebook, its check, and the answers that test the check.

    `kind` is "complete" (write a function), "debug" (fix the function `given`), "predict" (write down a value) or
    "choice" (choose one of `options`).
    """

    id: str  # the notebook and a number, "01.4"; a question of the quiz is "01.q2"
    kind: str
    title: str
    solution: Callable | str = ""  # the function, or the line `name = value`; the quiz has none
    given: Callable | None = None
    cases: tuple[Case, ...] = ()
    expected: object = None
    mistakes: tuple[Mistake, ...] = ()
    question: str = ""
    options: dict[str, tuple[str, str]] = field(default_factory=dict)  # letter -> text, and what its choice is told
    hints: tuple[str, ...] = ()
    after: str = ""
    tolerance: float = 1e-4
    seconds: float = 10.0
    observe: Callable[[object, tuple], object] = lambda result, arguments: result
    right: tuple = ()  # answers that must be accepted, written differently from the solution
    wrong: tuple[tuple[object, str], ...] = ()  # answers that must be refused, each with words of the message

    @property
    def name(self) -> str:
        """The name in the notebook of what the learner writes; empty for a question of the quiz."""
        return self.solution.split(" = ")[0] if isinstance(self.solution, str) else self.solution.__name__

    @property
    def calls(self) -> tuple[Case, ...]:
        """The cases; for a value to predict, one that passes the value on."""
        return self.cases or (Case("", (), self.expected),)

    @property
    def choices(self) -> list[str]:
        """A line for each option."""
        return [f"  {letter}) {text}" for letter, (text, _) in self.options.items()]


def numbers() -> list[str]:
    """Return the notebooks that have exercises, such as ["03", "03b"]."""
    return sorted(path.stem[2:] for path in FOLDER.glob("nb[0-9][0-9]*.py"))


def exercises(number: str) -> list[Exercise]:
    """Return the exercises and quiz questions of a notebook; none where it has no file."""
    return importlib.import_module(f"{__package__}.nb{number}").EXERCISES if number in numbers() else []
