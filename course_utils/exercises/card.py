"""What a check or a quiz shows: plain text, and the same as a card of HTML with hints, answers and solution on request.

Answers and hints are `<details>`: they open without a kernel and without JavaScript, by mouse, keyboard and screen reader.
"""

from __future__ import annotations

import html
import inspect
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .definition import Exercise

FOLDER = Path(__file__).parent
VERDICTS = {"solved": "✓ Correct", "refused": "✗ Not yet", "given": "○ Not fixed yet", "empty": "○ Not attempted yet",
            "failed": "! Not judged", "asked": "? Choose an answer"}  # fmt: skip


@dataclass(frozen=True)
class Card:
    """An output with the texts `plain` and `html`; where there is no notebook it is the plain text."""

    plain: str
    html: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.plain


def filled(lines: Iterable[str]) -> str:
    """Return lines of plain text, each broken at 100 characters."""
    return "\n".join(textwrap.fill(line, 100, subsequent_indent="    ") for line in lines)


def _escaped(text: str) -> str:
    return re.sub("`(.+?)`", r"<code>\1</code>", html.escape(text, quote=False))


def folded(summary: str, body: str, attributes: str = "") -> str:
    """Return HTML that opens on request; `summary` is text, `body` and `attributes` are HTML."""
    keep = 'data-lm-suppress-shortcuts="true"'  # JupyterLab would take Enter and letters for itself
    return f"<details{attributes}><summary {keep}>{_escaped(summary)}</summary>{body}</details>"


def answers(exercise: Exercise) -> str:
    """Return the options of a question as HTML: each opens whether it is right, and why."""
    rows = []
    for letter, (text, says) in exercise.options.items():
        right = letter == exercise.expected
        body = f'<p><span class="verdict">{"✓ Correct." if right else "✗ No."}</span> {_escaped(says)}</p>'
        about = f' class="answer" data-right="{"yes" if right else "no"}" data-answers="{exercise.id} {letter}"'
        rows.append(folded(f"{letter}) {text}", body, about))
    return "\n".join(rows)


def solution(exercise: Exercise) -> str:
    """Return the solution of an exercise as HTML that opens on request."""
    source = exercise.solution if isinstance(exercise.solution, str) else inspect.getsource(exercise.solution)
    return folded("Solution", f"<pre>{html.escape(source.rstrip(), quote=False)}</pre>") if source else ""


def framed(parts: Iterable[str], state: str = "") -> str:
    """Return a card of HTML parts, with its style and script."""
    style, script = ((FOLDER / f"card.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    body = "\n".join([*parts, '<p role="status" class="heard"></p>'])
    about = f'<div class="course-card" data-state="{state}">'
    return f"{about}\n{body}\n<style>\n{style}</style>\n<script>\n{script}</script>\n</div>"


def checked(exercise: Exercise, state: str, said: list[str], *, hints: int, offers_solution: bool) -> Card:
    """Return what there is to say about an answer.

    Args:
        said: sentences; those that begin with spaces are calls and values.
        hints: how many of the exercise's hints the plain text has got to; the card has them all, folded.
        offers_solution: whether the card has the solution, folded.
    """
    hint = [f"Hint {hints}: {exercise.hints[hints - 1]}"] if hints else []
    asked = [exercise.question, *exercise.choices] if state == "empty" and exercise.options else []
    head = f"{exercise.id} {exercise.title}: {said[0]}"
    plain = filled([head, *asked, *said[1:], *hint])
    first = re.sub(r"^(not attempted yet|not judged, since|not yet|correct|no)\b[.:, ]*", "", said[0])
    parts = [f'<p><span class="verdict">{VERDICTS[state]}</span> · {exercise.id} {_escaped(exercise.title)}</p>']
    for line in filter(None, [first[:1].upper() + first[1:], *said[1:]]):
        parts.append(f"<p{' class=call' if line.startswith(' ') else ''}>{_escaped(line.strip())}</p>")
    if asked:
        parts += [f"<p>{_escaped(exercise.question)}</p>", answers(exercise)]
    if hints:
        parts += [folded(f"Hint {i}", f"<p>{_escaped(text)}</p>") for i, text in enumerate(exercise.hints, start=1)]
    if offers_solution:
        parts.append(solution(exercise))
    return Card(plain, framed(parts, state))


def questions(asked: list[Exercise]) -> Card:
    """Return the questions of a quiz."""
    number = asked[0].id.partition(".")[0]
    lines = [f'Choose an answer, or type it in a cell: checks.check("{number}.q1", "a")']
    parts = [f"<p>Choose an answer, or type it in a cell: <code>{_escaped(lines[0].partition(': ')[2])}</code></p>"]
    for exercise in asked:
        lines += ["", f"{exercise.id} {exercise.question}", *exercise.choices]
        parts += [f'<p class="verdict">{exercise.id} {_escaped(exercise.question)}</p>', answers(exercise)]
    return Card(filled(lines), framed(parts, "asked"))
