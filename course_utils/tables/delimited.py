"""Cells between separators: which separator, and quotation marks that are not closed."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from .faults import Fault
from .shape import Record, is_number, without_end

SEPARATORS = ("\t", ";", "|", ",")  # of equally good ones the first is taken: a comma is also in texts
_MANY_LINES = 10  # a cell over more lines is worth a look
_FASTTEXT = re.compile(r"((?:__label__\S+[ \t]+)+)(.*)", re.DOTALL)


def read_delimited(
    lines: list[str], *, separator: str | None = None, header: bool = True, tabs: bool = False
) -> tuple[list[Record], list[str], list[Fault]]:
    """Return the records of some lines, names of columns where no record has them, and what was assumed.

    Args:
        separator: None to judge it by the rows.
        header: whether the first record contains the names of the columns.
        tabs: whether tabs are what the name of the file promises, so that they need no mention.
    """
    first = next(position for position, line in enumerate(lines) if line.strip())
    some = [line for line in lines[:100] if line.strip()]
    if 2 * sum(bool(_FASTTEXT.match(line)) for line in some) > len(some):
        said = "the lines begin with __label__: read as the columns label and text"
        return [*_fasttext(lines, first)], ["label", "text"], [Fault("fastText", len(lines) - first, said)]
    if found := re.fullmatch(r'"?sep=([^"\w])"?\s*', lines[first]):
        first = next((i for i, line in enumerate(lines) if i > first and line.strip()), first)
        separator = separator or (found[1] if found[1] in lines[first] else None)
    before = csv.field_size_limit(max(sum(map(len, lines)), csv.field_size_limit()))  # it is that of the whole process
    try:
        chosen = separator or _judge(lines[first : first + 200], header=header)
        records = list(_Lines(lines, chosen or ",").records(first))
    finally:
        csv.field_size_limit(before)
    known = (",", "", separator, "\t" if tabs else ",")
    guess = [Fault("separator", 1, f"read with the separator {chosen!r}, which is a guess")] if chosen not in known else []
    return [*_one_column(records, lines)] if chosen == "" else records, [], guess + _about_quotes(records)


def _judge(lines: list[str], *, header: bool) -> str:
    """Return the separator that gives the most rows the same number of cells, or "" for a single column."""
    best, share = "", 0.0
    for separator in SEPARATORS:
        first, *rest = [cells for cells in csv.reader(lines, delimiter=separator) if cells] or [[""]]
        widths = Counter(len(without_end(cells, len(first))) for cells in rest) or Counter([len(first)])
        width = len(first) if header else (widths + Counter([len(first)])).most_common(1)[0][0]
        fits = widths[width] / widths.total() if width > 1 else 0.0
        enough = 0.0 if header else 0.7  # without a header nothing says that a comma is more than a comma
        if fits > max(share, enough) or (header and width > 1 and not best):
            best, share = separator, fits
    return best


@dataclass(frozen=True)
class _Lines:
    """The lines of a text, with their ends, and the separator between cells."""

    lines: list[str]
    separator: str

    def records(self, first: int) -> Iterator[Record]:
        """Yield the cells of every line from `first`, or of several lines that quotation marks join, in linear time.

        A mark that is never closed, or that joins whole rows, is a letter, and reading goes on in the next line.
        """
        position = first
        while position < len(self.lines):
            rest = map(self.lines.__getitem__, range(position, len(self.lines)))
            reader, start = csv.reader(rest, delimiter=self.separator, strict=True), position
            try:
                for cells in reader:
                    end = start + reader.line_num
                    if end - position > 1 and self.are_rows(self.lines[position:end], len(cells)):
                        break
                    yield Record(position + 1, end + 1, cells)
                    position = end
                else:
                    return
            except csv.Error:
                pass  # a mark inside a cell, or one that is never closed
            end, cells = self.by_letters(position)
            yield Record(position + 1, end + 1, cells, literal=True)
            position = end

    def by_letters(self, position: int) -> tuple[int, list[str]]:
        """Return end and cells of a row with marks inside its cells: closed before a separator, or all of them letters."""
        plain = self.lines[position].rstrip("\r\n").split(self.separator)
        for end in range(position + 1, min(position + _MANY_LINES, len(self.lines)) + 1):
            span = self.lines[position:end]
            if '"' not in span[-1] or (len(span) > 1 and len(plain) == self.width and not self.row_test):
                continue
            cells = _closed_at_separators("".join(span).rstrip("\r\n"), self.separator)
            if cells and len(cells) == self.width and not (len(span) > 1 and self.are_rows(span, len(cells))):
                return end, cells
        return position + 1, plain

    @cached_property
    def plain(self) -> list[list[str]]:
        """The cells of the lines without a quotation mark."""
        return [line.rstrip("\r\n").split(self.separator) for line in self.lines if '"' not in line and line.strip()]

    @cached_property
    def width(self) -> int:
        """The most frequent number of cells."""
        return Counter(map(len, self.plain)).most_common(1)[0][0] if self.plain else 0

    @cached_property
    def row_test(self) -> Callable[[list[str]], bool] | None:
        """A test that tells rows from prose by their cell in the column with the fewest different values, or None."""
        rows = [cells for cells in self.plain if len(cells) == self.width]
        usual: dict[int, set[str]] = {}
        for column, values in enumerate(zip(*rows, strict=True) if len(rows) > 2 and self.width > 1 else ()):
            often = {value for value, number in Counter(values).items() if number > 1 and 0 < len(value) <= 40}
            if sum(value in often for value in values) >= 0.6 * len(values):
                usual[column] = often
            elif sum(map(is_number, values)) >= 0.9 * len(values):
                usual[column] = set()  # as an id has: any number will do
        if not usual:
            return None
        column = min(usual, key=lambda column: len(usual[column]) or len(rows))
        return lambda cells: (
            len(cells) == self.width
            and (cells[column].strip('"') in usual[column] if usual[column] else is_number(cells[column].strip('"')))
        )

    def are_rows(self, span: list[str], width: int) -> bool:
        """Return whether lines that quotation marks join to `width` cells look like rows of their own."""
        first, *others = [line.rstrip("\r\n").split(self.separator) for line in span]
        if not self.row_test:  # no column tells rows from prose: only many lines of the right width can
            alike = sum(any(cells) and (len(cells) == self.width or self.width < 2) for cells in others)
            return (len(span) > _MANY_LINES or width != self.width > 1) and alike >= (0.8 if self.width > 1 else 1) * len(
                others
            )
        alike = sum(map(self.row_test, others))
        return alike >= max(1, len(others) / 2) and (self.row_test(first) or len(others) > 2)


def _closed_at_separators(row: str, separator: str) -> list[str] | None:
    """Return cells of which a quoted one ends with a mark before a separator, or None if one does not end."""
    pieces, cells, start = row.split(separator), [], 0
    while start < len(pieces):
        end = start
        if pieces[start].startswith('"'):
            while not (pieces[end].endswith('"') and (end > start or len(pieces[end]) > 1)):
                end += 1
                if end == len(pieces):
                    return None
        cell = separator.join(pieces[start : end + 1])
        cells.append(cell[1:-1].replace('""', '"') if cell.startswith('"') else cell)
        start = end + 1
    return cells


def _one_column(records: list[Record], lines: list[str]) -> Iterator[Record]:
    """Yield records of one cell: a row with separators is one text, unless nothing is beside them."""
    for record in records:
        whole = "".join(lines[record.line - 1 : record.end - 1]).rstrip("\r\n")
        yield record._replace(cells=[whole]) if len(without_end(record.cells, 1)) > 1 else record


def _about_quotes(records: list[Record]) -> list[Fault]:
    letters = [record.line for record in records if record.literal]
    long = [f"{record.line} to {record.end - 1}" for record in records if record.end - record.line > _MANY_LINES]
    lines = [", ".join(map(str, found[:5])) + (", …" if len(found) > 5 else "") for found in (letters, long)]
    faults = [
        Fault(
            "quotation marks", len(letters), f"not closed, or not doubled inside a cell, in line {lines[0]}: read as letters"
        ),
        Fault(
            "cells of many lines", len(long), f"lines {lines[1]}: if these are rows of their own, a quotation mark is wrong"
        ),
    ]
    return [fault for fault in faults if fault.number]


def _fasttext(lines: list[str], first: int) -> Iterator[Record]:
    for number, line in enumerate(lines[first:], start=first + 1):
        match = _FASTTEXT.match(line)
        labels = [label.removeprefix("__label__") for label in match[1].split()] if match else []
        yield Record(number, number + 1, [labels, match[2].strip()] if match else [line.rstrip("\r\n")])
