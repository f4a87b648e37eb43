"""What a cell contains, as text: numbers, bytes, lists of words, and what is no text at all."""

from __future__ import annotations

import math
from datetime import date, time
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from .faults import listed

_REAL = (float, np.floating, Decimal)


def as_text(value: Any, *, role: str = "text") -> tuple[str | None, str]:
    """Return a cell as text without spaces around it, or None and why: "missing ROLE", or its kind and what to do.

    Whole numbers lose their ".0", bytes are read as UTF-8, a list of words is joined for the role "text" and is several
    labels for any other, unless it has one element.
    """
    missing = None, f"missing {role}"
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple | set):
        if any(isinstance(item, list | tuple | dict | np.ndarray) for item in value):
            return None, f"{role} is a list of lists or objects: write one text into its place"
        values = [text for item in value if (text := as_text(item, role=role)[0]) is not None]
        if role == "text" or len(values) <= 1:
            return (" ".join(values) or None), missing[1]
        return None, f"several {role}s in one row: keep the one that matters, or make a column for each"
    if isinstance(value, dict):
        return None, f"{role} is an object: write one of its fields ({listed(value, most=3)}) as a column"
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            value = bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            return None, f"{role} is bytes that are not UTF-8: decode them before you save the table"
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, _REAL) and math.isnan(value)):
        return missing
    if isinstance(value, _REAL) and abs(float(value)) < 1e15 and value == int(value):
        value = int(value)
    if isinstance(value, str | int | float | Decimal | np.generic | date | time | pd.Timestamp | pd.Timedelta):
        return (str(value).strip() or None), missing[1]
    return None, f"{role} is of the kind {type(value).__name__}: convert it to text before you save the table"
