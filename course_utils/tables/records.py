"""JSON of several forms: an object on each line, an array, columns, and arrays that break off."""

from __future__ import annotations

import json
import re
from typing import Any

from .encodings import unread
from .faults import UNFIT, Fault, shown
from .shape import Aside

MAX_COLUMNS = 2_000
_DEPTH = 4  # objects inside objects become columns such as "data.text"; what is deeper stays an object
_BEGINS = re.compile(r'\ufeff?\s*(\{\s*("[^"]*"\s*:|\})|\[\s*(\{\s*"|\]|\[\s*"[^"]*"\s*,)|"\{\\")')
_BROKEN = "not a JSON object on one line"


def is_json(text: str, suffix: str) -> bool:
    """Return whether a text is JSON: by its beginning, or by most of its first lines, or by any if its name says so."""
    start = text.lstrip("\ufeff \t\r\n")[: 1 << 20]
    lines = [line for line in start.split("\n", 20)[:20] if line.strip()]
    if suffix in (".json", ".jsonl", ".ndjson"):
        return any(re.match(r"\W{0,5}[\[{]", line) for line in lines)
    return bool(_BEGINS.match(start)) or 2 * sum(bool(_BEGINS.match(line)) for line in lines) > len(lines)


def read_records(text: str) -> tuple[dict[int, dict[str, Any]], Aside, list[Fault]]:
    """Return the records by line (or by their number in an array), those set aside (reason, content), and faults.

    Raises:
        ValueError: more fields than a table can have.
    """
    faults: list[Fault] = []
    text = text.strip("\ufeff \t\r\n")
    lines = re.split(r"\r\n?|\n", text)
    found: dict[int, tuple[Any, str]]
    try:
        whole = json.loads(text) if not unread(text) else None
    except (ValueError, RecursionError):
        whole = None
    rows, aside = {}, {}
    if whole is not None and not (len(lines) == 1 and _as_object(text) and isinstance(whole, list)):
        found = {number: (value, "") for number, value in enumerate(_rows_of(whole, faults), start=1)}
    elif any(_as_object(line) for line in lines[:1000]):
        found = {number: (_loads(line), line) for number, line in enumerate(lines, start=1)}
    else:
        first = start.start() if (start := re.search(r"[\[{]", text)) else 0
        if text[:first].strip():
            aside[0] = ("text before the first row", text[:first])
        found = dict(enumerate(_one_by_one(text[first:]), start=1))
    for number, (value, raw) in found.items():
        record = _as_object(value)
        if bad := unread(raw):
            aside[number] = (f"{UNFIT}: {bad}", raw)
        elif record is None:
            aside[number] = (_BROKEN, raw or shown(value))
        else:
            rows[number] = flat(record)
    twice = sum(isinstance(value, str) for number, (value, _) in found.items() if number in rows)
    if twice:
        faults.append(Fault("JSON within JSON", twice, "each row was a string that contains an object; read the object"))
    return rows, aside, faults


def flat(record: dict[str, Any], *, prefix: str = "", depth: int = _DEPTH) -> dict[str, Any]:
    """Return a record in which `{"a": {"b": 1}}` is `{"a.b": 1}`; a list of objects gives a list for each field."""
    cells: dict[str, Any] = {}
    for key, value in record.items():
        name = f"{prefix}{key}"
        if depth and isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            parts = [flat(item, prefix=f"{name}.", depth=depth - 1) for item in value]
            keys = list(dict.fromkeys(key for part in parts for key in part))
            for inner in keys:
                several = [part[inner] for part in parts if inner in part]
                cells[inner] = several[0] if len(several) == 1 else several
        elif depth and isinstance(value, dict) and value:
            cells |= flat(value, prefix=f"{name}.", depth=depth - 1)
        else:
            cells[name] = value
    return cells


def columns_of(rows: dict[int, dict[str, Any]], name: str) -> list[str]:
    """Return the names of all fields, in the order in which they occur.

    Raises:
        ValueError: more than `MAX_COLUMNS`.
    """
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    if len(columns) > MAX_COLUMNS:
        what = f"has {len(columns):,} different fields, for example {shown(columns[-1])}. Are ids used as names of fields?"
        raise ValueError(f"{name} {what} Write one object a row, with the same fields in each.")
    return columns


def _loads(raw: str) -> Any:
    """Return what a line contains, or None if that is no JSON, or nested too deep to be a table."""
    try:
        return json.loads(raw.strip("\ufeff \t\r\n,"))
    except (ValueError, RecursionError):
        return None


def _as_object(value: Any) -> dict[str, Any] | None:
    """Return a record, if a value (or the JSON in a string) is an object or a list of pairs (name, value)."""
    if isinstance(value, str) and value.lstrip("\ufeff \t")[:1] in ("{", "[", '"'):
        value = _loads(value)
        value = _loads(value) if isinstance(value, str) and value[:1] == "{" else value
    if (
        isinstance(value, list)
        and value
        and all(isinstance(p, list) and len(p) == 2 and isinstance(p[0], str) for p in value)
    ):
        return dict(value)
    return value if isinstance(value, dict) else None


def _rows_of(whole: Any, faults: list[Fault]) -> list[Any]:
    """Return the rows in one JSON value: an array, an array in a field of an object, or an object of columns."""
    if not isinstance(whole, dict):
        return whole if isinstance(whole, list) else [whole]
    inside = [
        key for key, value in whole.items() if isinstance(value, list) and any(isinstance(item, dict) for item in value)
    ]
    if len(inside) == 1:
        faults.append(Fault("wrapped rows", 1, f"the rows were taken from the field {shown(inside[0])}"))
        return whole[inside[0]]
    values = [value for value in whole.values() if isinstance(value, dict | list)]
    columns = [dict(enumerate(value)) if isinstance(value, list) else value for value in values]
    if values and len(values) == len(whole) and len({type(v) for v in values}) == 1 and len({(*c,) for c in columns}) == 1:
        faults.append(Fault("columns", len(whole), "the file contains columns; turned into rows"))
        return [dict(zip(whole, cells, strict=True)) for cells in zip(*(c.values() for c in columns), strict=True)]
    return [whole]


def _one_by_one(text: str) -> list[tuple[Any, str]]:
    """Return the values of an array that breaks off, or objects over several lines, each with what it was read from."""
    decoder, resume = json.JSONDecoder(), re.compile(r"\}[\s,\[\]]*(?=\{)")
    between, found, position = re.compile(r"[\s,\[\]\ufeff]*"), [], 0
    while (match := between.match(text, position)) and match.end() < len(text):
        position = match.end()
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            again = resume.search(text, position)
            value, end = None, again.end() if again else len(text)
        found.append((value, text[position:end]))
        position = end
    return found
