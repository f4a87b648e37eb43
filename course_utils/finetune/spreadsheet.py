"""Tables that are written: as CSV that a spreadsheet shows, and does not execute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..tables.shape import is_number
from ..text import clean_text

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(frame: pd.DataFrame, path: Path, *, header: bool = True) -> None:
    """Write a frame as CSV in UTF-8; a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    safe = frame.map(_cell).rename(columns=_cell)
    ends = "\r\n"  # RFC 4180; and Python before 3.13 puts marks around a cell with an end of line only if it has these signs
    safe.to_csv(path, index=False, header=header, encoding="utf-8", lineterminator=ends)


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list | np.ndarray):
        value = json.dumps(value, ensure_ascii=False, default=str)
    if not isinstance(value, str):
        return value
    value = clean_text(value)
    return f"'{value}" if value.startswith(_FORMULA) and not is_number(value) else value
