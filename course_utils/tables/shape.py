"""From records to columns: names, cells too many or too few, and a header that is missing or repeated."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import pandas as pd

from .encodings import unread
from .faults import UNFIT, Fault, listed, shown

Aside = dict[int, tuple[str, str]]  # by row: reason and content


class Record(NamedTuple):
    """Cells that begin in a line and end before another; `literal` if quotation marks were taken as letters."""

    line: int
    end: int
    cells: list[Any]
    literal: bool = False


def is_number(value: Any) -> bool:
    """Return whether a cell is a number, as a cell of a table writes one."""
    try:
        return bool(str(value).strip()) and float(value) == float(value)
    except (ValueError, TypeError):
        return False


def without_end(cells: list[Any], width: int) -> list[Any]:
    """Return cells without those beyond `width`, if these are blank."""
    return cells[:width] if len(cells) > width and not any(str(cell).strip() for cell in cells[width:]) else cells


def frame_of(
    records: list[Record], names: list[str], lines: list[str], *, header: bool
) -> tuple[pd.DataFrame, Aside, list[Fault]]:
    """Return the rows that fit the columns, by line, those that do not (reason, content), and faults of the columns.

    Without `names` these are the first record, or 1, 2, ... if there is no `header`. What is set aside is copied from
    `lines`, if there are any.
    """
    faults: list[Fault] = []
    if not names and header:
        names = [str(cell).strip("\ufeff") for cell in records[0].cells]
        records = records[1:]
        while (
            len(names) > 1
            and not names[-1].strip()
            and 2 * sum(_beyond(record, len(names)) for record in records) <= len(records)
        ):
            names.pop()
    elif not names:
        names = [str(i + 1) for i in range(Counter(len(r.cells) for r in records if r.cells).most_common(1)[0][0])]
    rows, aside, trailing = {}, {}, 0
    for record in records:
        cells = without_end(record.cells, len(names))
        reason = _why_not(record, cells, names)
        trailing += not reason and len(record.cells) > len(cells)
        if reason:
            whole = "".join(lines[record.line - 1 : record.end - 1]).rstrip("\r\n")
            aside[record.line] = reason, whole or " | ".join(map(str, record.cells))
        else:
            rows[record.line] = cells
    if trailing:
        faults.append(
            Fault("empty cells", trailing, "rows end with separators beyond the last column; these cells were dropped")
        )
    if header and (why := _looks_like_a_row(names, list(rows.values())[:1000])):
        faults.append(Fault("no header", 1, f"the first row looks like data ({why}). If it is, add --no-header"))
    frame = pd.DataFrame(list(rows.values()), index=list(rows), columns=range(len(names)), dtype=object)
    return named(frame, names, faults), aside, faults


def _beyond(record: Record, width: int) -> bool:
    return len(record.cells) >= width and bool(str(record.cells[width - 1]).strip())


def _why_not(record: Record, cells: list[Any], names: list[str]) -> str:
    """Return why a record is no row of a table, or "" if it is one."""
    bad = next(filter(None, (unread(cell) for cell in cells if isinstance(cell, str))), "")
    if bad:
        return f"{UNFIT}: {bad}"
    if not cells or (len(names) > 1 and len(cells) == 1 and not str(cells[0]).strip()):
        return "empty line"
    if cells == names:
        return "the header again"
    if len(cells) == len(names):
        return ""
    kind = "quotation mark not closed" if record.literal else "ragged row"
    return f"{kind}: {len(cells)} cells, the header has {len(names)}"


def _looks_like_a_row(names: list[str], rows: list[list[Any]]) -> str:
    """Return the name of a column that looks like a cell, or ""."""
    for name, values in zip(names, zip(*rows, strict=True), strict=False):
        numbers = is_number(name) and sum(map(is_number, values)) > 0.9 * len(values)
        if numbers or (name.strip() and name in values) or (name.count(" ") > 3 and len(name) > 20) or len(name) > 80:
            return shown(name)
    return ""


def named(frame: pd.DataFrame, names: list[str], faults: list[Fault]) -> pd.DataFrame:
    """Return a frame with names that are there and different: empty columns without one are dropped, and it is said."""
    blank = [i for i, name in enumerate(names) if not name.strip()]
    empty = [i for i in blank if not frame.iloc[:, i].map(lambda cell: bool(str(cell).strip())).any()]
    renamed = [name if name.strip() else f"column {i}" for i, name in enumerate(names, start=1)]
    twice = {name for name, number in Counter(renamed).items() if number > 1}
    seen: Counter = Counter()
    for i, name in enumerate(renamed):
        seen[name] += 1
        renamed[i] = f"{name} ({seen[name]})" if name in twice else name
    if empty:
        faults.append(Fault("empty columns", len(empty), "have no name and no content: dropped"))
    if others := [renamed[i] for i in blank if i not in empty]:
        faults.append(Fault("columns without a name", len(others), f"called {listed(others, most=5)}"))
    if twice:
        new = [name for name, old in zip(renamed, names, strict=True) if old in twice]
        faults.append(Fault("names used twice", len(twice), f"these columns are called {listed(new, most=6)}"))
    return frame.set_axis(renamed, axis=1).drop(columns=[renamed[i] for i in empty])
