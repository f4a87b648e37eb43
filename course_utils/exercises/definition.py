"""What an exercise is made of; CONTRIBUTING.md says how to write one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple


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
    """One exercise or question of the quiz; the module's docstring says which kind needs which fields."""

    id: str
    kind: str
    title: str
    cases: tuple[Case, ...] = ()
    expected: object = None
    given: Callable | None = None
    mistakes: tuple[Mistake, ...] = ()
    question: str = ""
    options: dict[str, tuple[str, str]] = field(default_factory=dict)
    hints: tuple[str, ...] = ()
    after: str = ""
    tolerance: float = 1e-4
    seconds: float = 10.0
    observe: Callable[[object, tuple], object] = lambda result, arguments: result

    @property
    def calls(self) -> tuple[Case, ...]:
        """The cases; for a value to predict, one that hands the value over."""
        return self.cases or (Case("", (), self.expected),)

    @property
    def choices(self) -> list[str]:
        """A line for each option."""
        return [f"  {letter}) {text}" for letter, (text, _) in self.options.items()]
