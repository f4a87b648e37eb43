"""A table of your own: read in its encoding, its faults found and counted, unusable rows set aside, split without leaks."""

from __future__ import annotations

import codecs
import csv
import difflib
import hashlib
import io
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..data import Reviews, Splits
from ..text import clean_text, encode_wordpieces

MAX_CLASSES = 50
SMALL_CLASS = 20  # a class with fewer texts has two or three in the test part, so its score means little
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DAMAGED = re.compile("\ufffd|Ã[\x80-\xbf]|â€")  # a lost letter, or UTF-8 that was read as cp1252


class Fault(NamedTuple):
    """One kind of fault: how many rows, words or labels have it, and what was done about it."""

    kind: str
    number: int
    sentence: str


@dataclass(frozen=True)
class Table:
    """The usable rows of a file as `reviews`, those `set_aside` (row, reason, label, text), and all `faults` found.

    `reviews.rows` say where in the file a row is: the line on which it starts (the header is line 1), or its number in
    a Parquet file, from 1. `reviews.blocks` name texts that must stay on one side of a split.
    """

    path: Path
    sha256: str
    reviews: Reviews
    set_aside: pd.DataFrame
    faults: list[Fault]

    def report(self) -> str:
        """Return what was read and every fault that was found, one a line."""
        sizes = zip(self.reviews.class_names, np.bincount(self.reviews.labels), strict=True)
        classes = ", ".join(f"{name} {size:,}" for name, size in sizes)
        head = f"{self.path.name}: {len(self.reviews):,} usable rows ({classes}), {len(self.set_aside):,} set aside"
        return "\n".join([head, *(f"- {kind} ({number:,}): {sentence}" for kind, number, sentence in self.faults)])


def normalise(text: str) -> str:
    """Return `text` in lower case with single spaces: texts that are equal after this count as the same."""
    return " ".join(text.casefold().split())


def decode(content: bytes) -> tuple[str, list[Fault]]:
    """Return the text of a file and what was assumed: the encoding of its byte order mark, or UTF-8, or a guess.

    Raises:
        ValueError: the file has a byte order mark, and bytes that its encoding does not allow.
    """
    marked = [encoding for mark, encoding in _MARKS if content.startswith(mark)]
    for encoding in marked or ("utf-8", "cp1252", "latin-1"):
        with suppress(UnicodeDecodeError):
            text = content.decode(encoding)
            words = sorted(set(re.findall(r"\w*[^\x00-\x7f]\w*", text)))
            guess = f"not UTF-8; read as {encoding}, which is a guess. Are these spelt right? {', '.join(words[:5])}"
            assumed = f"read as {encoding}, by the byte order mark at its beginning" if marked else guess
            return text, [] if encoding == "utf-8" else [Fault("encoding", 1 if marked else len(words), assumed)]
    raise ValueError(f"The file begins as {marked[0]} and goes on as something else. Save it again as UTF-8.")


def read_cells(path: Path) -> tuple[pd.DataFrame, dict[int, tuple[str, str]], list[Fault]]:
    """Return the cells of a file by line, the lines that do not fit the columns (reason, content), and faults of the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file, or one that is damaged; the message says what to do.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}. Check the name, or give the full path.")
    kind = path.suffix.lower()
    if kind == ".parquet":
        if not find_spec("pyarrow"):
            raise ValueError("Reading Parquet needs one more package. Type: pip install pyarrow")
        frame = pd.read_parquet(path)
        return frame.set_axis(range(1, len(frame) + 1)).rename(columns=str), {}, []
    if kind not in (".csv", ".tsv", ".jsonl"):
        raise ValueError(f"{path.name}: the course reads .csv, .tsv, .jsonl and .parquet. Save the table as one of these.")
    text, faults = decode(path.read_bytes())
    header, rows, broken = _json_lines(text) if kind == ".jsonl" else _delimited(text, kind == ".tsv", faults)
    return pd.DataFrame(list(rows.values()), index=list(rows), columns=header, dtype=object), broken, faults


def _json_lines(text: str) -> tuple[list[str], dict[int, Any], dict[int, tuple[str, str]]]:
    rows, broken = {}, {}
    for line, raw in enumerate(text.rstrip("\n").split("\n"), start=1):
        try:
            rows[line] = dict(json.loads(raw))
        except (ValueError, TypeError):
            broken[line] = ("not a JSON object on one line", raw)
    return list(dict.fromkeys(key for row in rows.values() for key in row)), rows, broken


def _delimited(
    text: str, tabs: bool, faults: list[Fault]
) -> tuple[list[str], dict[int, Any], dict[int, tuple[str, str]]]:  # fmt: skip
    delimiter = "\t" if tabs else max(",;\t", key=text.lstrip().partition("\n")[0].count)
    csv.field_size_limit(max(len(text), csv.field_size_limit()))
    header, line, rows, broken = [""], 1, {}, {}
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if header == [""]:
                header = cells or header  # empty lines may come first
            elif len(cells) == len(header):
                rows[line] = cells
            else:
                reason = f"ragged row: {len(cells)} cells, the header has {len(header)}" if cells else "empty line"
                broken[line] = (reason, delimiter.join(cells))
            line = reader.line_num + 1
    except csv.Error:
        raise ValueError(f"Line {line}: a quotation mark is inside a cell or is not closed. Write it twice.") from None
    if not tabs and delimiter != ",":
        faults.append(Fault("separator", 1, f"read with the separator {delimiter!r}, which is a guess"))
    return header, rows, broken


def column(frame: pd.DataFrame, name: str) -> list[str | None]:
    """Return a column as strings without spaces around them, and None for a cell that is missing, blank, or a list.

    Raises:
        ValueError: no such column, or two; the message lists those there are, and the closest.
    """
    if list(frame).count(name) == 1:
        return [_as_text(value) for value in frame[name]]
    spelt = {column.strip().lower(): column for column in frame}
    near = [f" Did you mean {spelt[match]!r}?" for match in difflib.get_close_matches(name.lower(), spelt, n=1)]
    raise ValueError(f"There is not one column {name!r}. The columns are: {', '.join(map(repr, frame))}.{''.join(near)}")


def _as_text(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # whole numbers in a column with gaps arrive as 1.0
    if not isinstance(value, str | int | float | np.generic) or value != value:  # NaN is not itself
        return None
    return clean_text(str(value)).strip() or None


def read_table(path: str | Path, *, text_column: str, label_column: str, group_column: str | None = None) -> Table:
    """Return the usable rows of a table of your own, and every fault that was found in it.

    Set aside are rows without text, label or group, rows that do not fit the columns, texts that carry several labels,
    and classes with fewer than three different texts. Labels that differ by case or spaces become one.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a missing column, no usable row, only one class, or more than 50.
    """
    path = Path(path)
    cells, broken, faults = read_cells(path)
    roles = {"text": text_column, "label": label_column} | ({"group": group_column} if group_column else {})
    frame = pd.DataFrame({role: column(cells, name) for role, name in roles.items()}, dtype=object)
    frame["row"], frame["reason"] = cells.index, ""
    for role in reversed(roles):
        frame.loc[frame[role].isna(), "reason"] = f"missing {role}"
    frame = frame.fillna("")
    frame["key"], spelt = frame["text"].map(normalise), frame["label"].map(normalise)
    spelling = frame["label"].groupby(spelt).agg(lambda labels: labels.mode()[0])  # the most frequent
    merged = [f"{label!r} as {spelling[normalise(label)]!r}" for label in sorted({*frame["label"]} - {*spelling})]
    frame["label"] = spelt.map(spelling)
    for unit, what, least, most, reason in (
        ("key", "label", 1, 1, "conflicting labels: the same text has another label elsewhere"),
        ("key", "group", 1, 1, "text in several groups"),
        ("label", "key", 3, len(frame), "class too small: three different texts are needed, one for each part"),
    ):
        left = frame[frame["reason"] == ""]
        if what in left:
            fits = left.groupby(unit)[what].transform("nunique").between(least, most)
            frame.loc[fits.index[~fits], "reason"] = reason
    names = ["row", "reason", "label", "text"]
    rest = pd.DataFrame([(row, why, "", clean_text(raw)) for row, (why, raw) in broken.items()], columns=names)
    aside = pd.concat([frame.loc[frame["reason"] != "", names], rest]).sort_values("row", ignore_index=True)
    kinds = aside.groupby(aside["reason"].map(lambda why: why.partition(":")[0]), sort=False)["row"].agg(["size", "min"])
    faults += [Fault(kind, size, f"set aside, first in row {row}") for kind, size, row in kinds.itertuples()]
    faults += [Fault("spellings of a label", len(merged), f"read {', '.join(merged[:8])}")] if merged else []
    usable = frame[frame["reason"] == ""]
    codes, classes = pd.factorize(usable["label"], sort=True)
    if not 2 <= len(classes) <= MAX_CLASSES:
        found = "Found: " + ("; ".join(f"{kind} ({number})" for kind, number, _ in faults) or "no fault")
        values = int((spelling != "").sum())  # an id or a measurement has many, each of them rare
        hint = "Is it a number to predict (regression), or an id?" if values > MAX_CLASSES else f"{found}."
        counts = f"{label_column!r} has {values} different values, {len(classes)} of them with three usable texts or more"
        raise ValueError(f"{path.name}: {counts}; 2 to {MAX_CLASSES} such classes are needed. {hint}")
    blocks = pd.factorize(usable["group" if group_column else "key"])[0].astype(np.int64)
    reviews = Reviews(tuple(usable["text"]), codes.astype(np.int64), usable["row"].to_numpy(), blocks, tuple(classes))
    return Table(path, hashlib.sha256(path.read_bytes()).hexdigest(), reviews, aside, faults + _notes(reviews))


def _notes(reviews: Reviews) -> list[Fault]:
    """Return what is worth knowing about rows that are used."""
    sizes, names = np.bincount(reviews.labels), np.array(reviews.class_names, dtype=object)
    copies = len(reviews) - len({normalise(text) for text in reviews.texts})
    damaged, small = sum(bool(_DAMAGED.search(text)) for text in reviews.texts), names[sizes < SMALL_CLASS]
    excess = int(sizes.max() - sizes.min()) if sizes.max() >= 2 * sizes.min() else 0
    share = f"{names[sizes.argmax()]!r} is {sizes.max() / len(reviews):.0%} of the rows: always predicting it is as accurate"
    notes = [
        Fault("repeated texts", copies, "have the same label as their first copy; kept, all in one part of the split"),
        Fault("damaged letters", damaged, "contain � or pairs such as Ã©: letters were lost before the file was written"),
        Fault(
            "small classes", len(small), f"{', '.join(small)}: fewer than {SMALL_CLASS} texts, too few to trust their scores"
        ),
        Fault("imbalance", excess, share),
    ]
    return [note for note in notes if note.number]


def truncated_texts(reviews: Reviews, tokenizer, *, max_length: int) -> list[Fault]:
    """Return the fault that texts have more than `max_length` word pieces and so lose their end, or an empty list."""
    lengths = encode_wordpieces(reviews, tokenizer, max_length=100_000).lengths
    truncated, longest = int((lengths > max_length).sum()), lengths.max()
    return (
        [Fault("truncated texts", truncated, f"lose their end at {max_length} word pieces; the longest has {longest}")]
        if truncated
        else []
    )


def split_table(reviews: Reviews, *, seed: int = 0, shares: tuple[float, float, float] = (0.7, 0.15, 0.15)) -> Splits:
    """Return train, validation and test parts with about the same share of every class, and no block in two parts.

    Blocks are assigned from the largest to the smallest, equal ones in random order, each to the part that still
    lacks the largest fraction of the block's classes.

    Raises:
        ValueError: too few blocks to put each class into every part.
    """
    _, block_of = np.unique(reviews.blocks, return_inverse=True)
    counts = np.zeros((block_of.max() + 1, len(reviews.class_names)))  # (blocks, C)
    np.add.at(counts, (block_of, reviews.labels), 1)
    wanted, have = np.outer(shares, counts.sum(axis=0)), np.zeros((3, counts.shape[1]))  # (3, C)
    part_of = np.zeros(len(counts), dtype=np.int64)
    for block in np.lexsort((np.random.default_rng(seed).random(len(counts)), -counts.sum(axis=1))):
        part_of[block] = ((1 - have / wanted) @ counts[block]).argmax()
        have[part_of[block]] += counts[block]
    if not have.all() or (part_of == 2).sum() < 2:
        short = ", ".join(np.array(reviews.class_names)[~have.all(axis=0)]) or "of the test part"
        raise ValueError(f"The classes {short} occur in too few groups for three parts. Use a finer group column, or none.")
    return Splits(*(reviews.take(np.flatnonzero(part_of[block_of] == part)) for part in range(3)))
