"""Markdown for the generated pages: rows, folds, and the tables that notebook 00 and its translation bring along."""

from __future__ import annotations

import re
from pathlib import Path


def row(*cells: object) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def fold(summary: str, text: str) -> str:
    """Return text that unfolds below its summary."""
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


def number_of(notebook: str) -> str:
    """Return the number with which the name of a notebook begins: "03b" of "03b_the_published_listing"."""
    return notebook.partition("_")[0]


def prose(script: Path) -> str:
    """Return the text of a percent script, without the comment signs of its Markdown cells."""
    return "\n".join(re.sub(r"^# ?", "", line) for line in script.read_text(encoding="utf-8").splitlines())


def table_after(script: Path, heading: str) -> list[list[str]]:
    """Return the rows of the first table under a heading of a script: its head, then what is below the rule.

    Raises:
        ValueError: there is no such heading, or no table under it.
    """
    _, found, section = prose(script).partition(heading)
    rows = re.search(r"(?:^\|.*\|\n)+", section, re.MULTILINE)
    if not found or rows is None:
        raise ValueError(f"{script.name} has no table under {heading!r}.")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in rows[0].splitlines()]
    return [lines[0], *lines[2:]]


def fill(text: str, name: str, part: str) -> str:
    """Return a page with the part between <!-- generated: NAME --> and <!-- end: NAME --> made anew.

    Raises:
        ValueError: the page does not have this pair of comments once.
    """
    begins, ends = f"<!-- generated: {name} -->\n", f"\n<!-- end: {name} -->"
    if text.count(begins) != 1 or text.count(ends) != 1:
        raise ValueError(f"A page needs one pair of comments 'generated: {name}' and 'end: {name}'.")
    before, rest = text.split(begins)
    return before + begins + part + ends + rest.split(ends)[1]
