"""What was found in a table, as sentences of bounded length."""

from __future__ import annotations

import reprlib
from collections.abc import Collection
from typing import Any, NamedTuple

UNFIT = "bytes that do not fit the encoding"  # the reason for which a row is set aside
SHOWN = 80  # letters of a cell or a name in a message
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = SHOWN


class Fault(NamedTuple):
    """One kind of fault: how many rows, words or labels have it, and what was done about it."""

    kind: str
    number: int
    sentence: str

    def __str__(self) -> str:
        return f"- {self.kind} ({self.number:,}): {self.sentence}"


def shown(value: Any) -> str:
    """Return a value as in code, shortened to `SHOWN` letters."""
    written = _SHORT.repr(value)
    return written if len(written) <= SHOWN else f"{written[: SHOWN - 1]}…"


def listed(values: Collection[Any], *, most: int = 20) -> str:
    """Return the first `most` of some values with commas between them, and how many more there are."""
    first = ", ".join(shown(value) for value in list(values)[:most])
    return first + (f" and {len(values) - most:,} more" if len(values) > most else "")


def reasons(aside: dict[int, tuple[str, str]]) -> list[Fault]:
    """Return one fault for each kind of reason for which rows were set aside, with the row that comes first."""
    found: dict[str, list[tuple[int, str]]] = {}
    for row, (reason, _) in sorted(aside.items()):
        kind, _, detail = reason.partition(": ")
        found.setdefault(kind, []).append((row, f" ({detail})" if kind == UNFIT else ""))
    return [Fault(kind, len(rows), f"set aside, first in row {rows[0][0]}{rows[0][1]}") for kind, rows in found.items()]
