"""Any table, read: its cells, the rows that could not be read, and what was found or assumed."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from .containers import unpack
from .delimited import read_delimited
from .encodings import decode
from .faults import Fault, shown
from .records import columns_of, flat, is_json, read_records
from .shape import Aside, Record, frame_of, named


class Cells(NamedTuple):
    """The cells of a table as objects, by row; the rows set `aside` (reason, content); and all `faults`.

    A row is called by the line on which it starts (the header is line 1), or by its number, from 1, in a Parquet file
    or a JSON array. Every row of the file is either in `frame` or in `aside`.
    """

    frame: pd.DataFrame
    aside: Aside
    faults: list[Fault]


def read(path: str | Path, *, encoding: str | None = None, separator: str | None = None, header: bool = True) -> Cells:
    """Return the cells of a file: CSV, TSV, JSON, JSON lines, Parquet, Excel or fastText, also packed, by its content.

    Args:
        path: the file; its name decides nothing that its content shows.
        encoding: a name such as "gb18030"; None to find it out.
        separator: one character, or "tab"; None to judge it by the rows.
        header: whether the first row has the names of the columns; without it they are called 1, 2, ...

    Raises:
        FileNotFoundError: no such file.
        ValueError: no table, or a damaged one, or an encoding or separator that does not exist; the message says what to do.
    """
    path = Path(path)
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder. Give a file in it.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}. Check the name, or give the full path.")
    separator = _separator(separator)
    content, faults = unpack(path.read_bytes(), path.name)
    if isinstance(content, pd.DataFrame):
        return Cells(_unnested(content, faults), {}, faults)
    if isinstance(content, list):  # the rows of a spreadsheet
        records = [Record(i, i + 1, row) for i, row in enumerate(content, start=1)]
        frame, aside, found = frame_of(records, [], [], header=header)
        return Cells(frame, aside, faults + found)
    text, assumed = decode(content, encoding)
    faults += assumed
    if "\0" in text:
        faults.append(Fault("bytes of 0", text.count("\0"), "removed; they may show that the file was damaged"))
        text = text.replace("\0", "")
    text = re.sub("(?m)^\ufeff+", "", text)  # files that were joined have a mark in the middle
    if not text.strip():
        raise ValueError(f"{path.name} is empty. Save or download the table again.")
    if is_json(text, path.suffix.lower()):
        rows, aside, found = read_records(text)
        frame = pd.DataFrame(list(rows.values()), index=list(rows), columns=columns_of(rows, path.name), dtype=object)
    else:
        lines = list(io.StringIO(text.rstrip("\r\n"), newline=""))
        records, names, said = read_delimited(lines, separator=separator, header=header, tabs=path.suffix.lower() == ".tsv")
        frame, aside, found = frame_of(records, names, lines, header=header)
        found = said + found
    return Cells(frame, aside, faults + found)


def _separator(name: str | None) -> str | None:
    if name is None or name in ("tab", "\\t"):
        return name and "\t"
    if len(name) != 1 or name in '"\r\n\0':
        raise ValueError(f"A separator is one character, such as ; or |, or the word tab, not {shown(name)}.")
    return name


def _unnested(frame: pd.DataFrame, faults: list[Fault]) -> pd.DataFrame:
    """Return a frame whose columns of objects are columns for each field, and whose names are different texts."""
    if any(isinstance(value, dict) for column in frame.columns for value in frame[column].dropna()[:100]):
        rows = {row: flat(cells) for row, cells in zip(frame.index, frame.to_dict("records"), strict=True)}
        frame = pd.DataFrame(list(rows.values()), index=list(rows), columns=columns_of(rows, "The file"), dtype=object)
    return named(frame, [str(column) for column in frame.columns], faults)
