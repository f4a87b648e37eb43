"""A table of your own: read in its encoding, its faults found and counted, unusable rows set aside, split without leaks."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data import Reviews, Splits
from ..files import sha256_of
from ..tables import Cells, Fault, as_text, listed, read, reasons, shown
from ..tables.faults import SHOWN
from ..text import PAIR, clean_text
from .sameness import blocks_of, look_alikes, near_key, normalise, one_spelling, repeated
from .tasks import CLASSES, LABELS, MAX_CLASSES, NUMBERS, parse, task_of, truths
from .vocabulary import truncated_texts  # noqa: F401 - notebook 13 asks for it here

SMALL_CLASS = 20  # a class with fewer texts has two or three in the test part, so its score means little
SHARES = 0.7, 0.15, 0.15  # of train, validation and test
_ABOUT_NAMES = ("no header", "names used twice", "separator")  # faults that explain why a column is not found
_DAMAGED = re.compile("\ufffd|Ã[\x80-\xbf]|â€")  # a lost letter, or UTF-8 that was read as cp1252


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
    text_columns: tuple[str, ...] = ()

    @property
    def sizes(self) -> dict[str, int]:
        """The number of texts of each class or label; of numbers, how many there are."""
        counts = truths(self.reviews).sum(axis=0) if task_of(self.reviews) != NUMBERS else [len(self.reviews)]
        return dict(zip(self.reviews.class_names, map(int, counts), strict=True))

    def report(self) -> str:
        """Return what was read and every fault that was found, one a line."""
        classes = ", ".join(f"{name[:SHOWN]} {size:,}" for name, size in self.sizes.items())
        head = f"{self.path.name}: {len(self.reviews):,} usable rows ({classes}), {len(self.set_aside):,} set aside"
        return "\n".join([head, *map(str, self.faults)])


def column(cells: Cells, name: str, *, role: str = "text") -> list[tuple[str | None, str]]:
    """Return each cell of a column as a string without spaces around it, or None, and why there is none.

    Raises:
        ValueError: no such column; the message lists those there are, and the closest.
    """
    columns = list(cells.frame)
    if name in columns:
        values = [as_text(value, role=role) for value in cells.frame.iloc[:, columns.index(name)]]
        seen = ((text and clean_text(text), why) for text, why in values)
        return [(text, why) if text and normalise(text) else (None, why) for text, why in seen]
    spelt = {column.strip().lower(): column for column in columns[:1000] if len(column) < 100}
    near = [f" Did you mean {spelt[m]!r}?" for m in difflib.get_close_matches(name.lower()[:100], spelt, n=1)]
    hints = [f" {sentence[0].upper()}{sentence[1:]}." for kind, _, sentence in cells.faults if kind in _ABOUT_NAMES]
    raise ValueError(f"There is no column {shown(name)}. The columns are: {listed(columns)}.{''.join(near or hints)}")


def text_cells(cells: Cells, names: str | Sequence[str]) -> list[tuple[str | None, str]]:
    """Return the text of each row, or None, and why there is none; of several columns the first and the rest are a pair.

    A pair is one string with `text.PAIR` between its halves. Only a row in which all columns are empty has no text.

    Raises:
        ValueError: no such column.
    """
    columns = [column(cells, name) for name in ([names] if isinstance(names, str) else names)]
    if len(columns) == 1:
        return columns[0]
    halves = [[(text or "").replace(PAIR, " ") for text, _ in found] for found in columns]
    pairs = [f"{first}{PAIR}{chr(10).join(filter(None, rest))}" for first, *rest in zip(*halves, strict=True)]
    return [(pair, "") if pair != PAIR else (None, "missing text") for pair in pairs]


def read_table(
    path: str | Path, *, text_column: str | Sequence[str], label_column: str | Sequence[str],
    group_column: str | None = None, task: str | None = None, part_only: bool = False, **reading: Any,
) -> Table:  # fmt: skip
    """Return the usable rows of a table of your own, and every fault that was found in it.

    What is to be predicted is found out from the labels (see `tasks.parse`), unless `task` says so. Several text columns
    are a pair of texts. A table that is `part_only`, the test part for example, may have classes of a single text.
    How the file is read (`encoding`, `separator`, `header`) goes to `tables.read`.
    Set aside are rows without text, label or group, rows that do not fit the columns, texts that carry several labels
    where one is asked for, and classes with fewer than three different texts. Labels that are the same become one.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a missing column, no usable row, only one class, or more than 50.
    """
    path = Path(path)
    cells = read(path, **reading)
    texts, labels = text_cells(cells, text_column), [label_column] if isinstance(label_column, str) else [*label_column]
    for name in labels:
        column(cells, name, role="label")  # says which columns there are
    positions = {name: [*cells.frame].index(name) for name in labels}
    kind, parsed, why, recognised = parse({name: [*cells.frame.iloc[:, i]] for name, i in positions.items()}, task=task)
    roles = {"text": texts, "label": [*zip(parsed, why, strict=True)]}
    if group_column:
        roles["group"] = column(cells, group_column, role="group")
    frame = pd.DataFrame({role: [value for value, _ in found] for role, found in roles.items()}, dtype=object)
    frame["row"], frame["reason"] = cells.frame.index, ""
    for role, found in reversed(roles.items()):
        frame["reason"] = frame["reason"].where(frame[role].notna(), [reason for _, reason in found])
    frame["text"] = frame["text"].fillna("")
    merged: list[Fault] = []
    frame["key"], frame["value"] = frame["text"].map(normalise), frame["label"]
    if kind == CLASSES:
        frame["value"], merged = one_spelling(frame["label"].fillna(""))
    frame["label"] = [_shown_label(value) for value in frame["value"]]
    _set_aside(frame, several=1 if part_only or kind != CLASSES else 3)
    names = ["row", "reason", "label", "text"]
    rest = pd.DataFrame([(row, why, "", clean_text(raw)) for row, (why, raw) in cells.aside.items()], columns=names)
    aside = pd.concat([frame.loc[frame["reason"] != "", names], rest]).sort_values("row", ignore_index=True)
    counted = {row: (reason, "") for row, reason in zip(aside["row"], aside["reason"], strict=True)}
    faults = [*cells.faults, *reasons(counted), *recognised, *merged]
    reviews = _reviews(frame, kind, ", ".join(labels), faults, path, least=1 if part_only else 3)
    aside["text"] = aside["text"].str.replace(PAIR, " | ")
    columns = (text_column,) if isinstance(text_column, str) else (*text_column,)
    return Table(path, sha256_of(path), reviews, aside, faults + _notes(reviews), columns)


def _shown_label(value: Any) -> str:
    return ", ".join(sorted(value)) if isinstance(value, frozenset) else "" if value is None else str(value)


def _set_aside(frame: pd.DataFrame, *, several: int) -> None:
    """Fill in the reason of rows that contradict others, or whose class has too few texts."""
    for unit, what, least, most, reason in (
        ("key", "label", 1, 1, "conflicting labels: the same text has another label elsewhere"),
        ("key", "group", 1, 1, "text in several groups"),
        ("label", "key", several, len(frame), "class too small: three different texts are needed, one for each part"),
    ):
        left = frame[frame["reason"] == ""]
        if what in left:
            fits = left.groupby(unit)[what].transform("nunique").between(least, most)
            frame.loc[fits.index[~fits], "reason"] = reason


def _reviews(
    frame: pd.DataFrame, kind: str, label_column: str, faults: list[Fault], path: Path, *, least: int
) -> Reviews:  # fmt: skip
    """Return the usable rows, and add what there is to say about labels and copies to the faults.

    Raises:
        ValueError: too few or too many classes, or too few numbers.
    """
    usable = frame[frame["reason"] == ""]
    names: tuple[str, ...] = (label_column,)
    codes: np.ndarray = np.zeros(0)
    if kind == CLASSES:
        found, classes = pd.factorize(usable["label"], sort=True)
        codes, names = found.astype(np.int64), tuple(classes)
    elif kind == LABELS:
        sizes = pd.Series([name for value in usable["value"] for name in value], dtype=object).value_counts()
        names = tuple(sorted(sizes.index[sizes >= least]))
        if small := sorted(sizes.index[sizes < least]):
            faults.append(Fault("labels left out", len(small), f"fewer than three texts have them: {listed(small)}"))
        codes = np.array([[name in value for name in names] for value in usable["value"]], dtype=np.float32)
    else:
        codes = np.array([*usable["value"]], dtype=np.float32)[:, None]
    fits = min(2, least) <= len(names) <= MAX_CLASSES
    if kind == NUMBERS:
        fits = len({*usable["value"]}) > 1 and len(usable) >= 10
    if not fits:
        seen = "Found: " + ("; ".join(f"{fault} ({number})" for fault, number, _ in faults) or "no fault")
        values = len({*frame["label"]} - {""})  # an id or a measurement has many, each of them rare
        hint = "Is it a number to predict (--task numbers), or an id?" if values > MAX_CLASSES else f"{seen}."
        counts = f"{label_column!r} has {values} different values, {len(names)} of them with three usable texts or more"
        needs = "ten different texts with numbers" if kind == NUMBERS else f"2 to {MAX_CLASSES} such classes"
        raise ValueError(f"{path.name}: {counts}; {needs} are needed. {hint}")
    blocks, near = blocks_of(usable["text"], usable["label"])
    if "group" in frame:
        blocks, near = pd.factorize(usable["group"])[0].astype(np.int64), []
    faults += [*near, *(look_alikes(names) if kind != NUMBERS else [])]
    return Reviews(tuple(usable["text"]), codes, usable["row"].to_numpy(), blocks, names)


def _notes(reviews: Reviews) -> list[Fault]:
    """Return what is worth knowing about rows that are used."""
    copies, damaged = repeated(reviews.texts), sum(bool(_DAMAGED.search(text)) for text in reviews.texts)
    notes = [
        Fault("repeated texts", copies, "have the same label as their first copy; kept, all in one part of the split"),
        Fault("damaged letters", damaged, "contain � or pairs such as Ã©: letters were lost before the file was written"),
    ]
    if task_of(reviews) != NUMBERS:
        sizes, names = truths(reviews).sum(axis=0), np.array(reviews.class_names, dtype=object)
        small = names[sizes < SMALL_CLASS]
        excess = int(sizes.max() - sizes.min()) if sizes.max() >= 2 * sizes.min() and reviews.labels.ndim == 1 else 0
        rare = f"{', '.join(name[:SHOWN] for name in small)}: fewer than {SMALL_CLASS} texts, too few to trust their scores"
        largest = f"{shown(names[sizes.argmax()])} is {sizes.max() / len(reviews):.0%} of the rows"
        notes.append(Fault("small classes", len(small), rare))
        notes.append(Fault("imbalance", excess, f"{largest}: always predicting it is as accurate"))
    return [note for note in notes if note.number]


def split_table(reviews: Reviews, *, seed: int = 0, given: dict[str, Reviews] | None = None) -> Splits:
    """Return train, validation and test parts with about the same share of every class, and no block in two parts.

    Blocks are assigned from the largest to the smallest, equal ones in random order, each to the part that still
    lacks the largest fraction of the block's classes. Of numbers, each quarter of their range is a class. Parts that are
    `given` by name are taken as they are; the others share the rows.

    Raises:
        ValueError: too few blocks to put each class into every part.
    """
    given = given or {}
    parts = [i for i, name in enumerate(Splits._fields) if name not in given]
    weights = np.array([SHARES[i] for i in parts]) / sum(SHARES[i] for i in parts)
    _, block_of = np.unique(reviews.blocks, return_inverse=True)
    each = truths(reviews)  # (n, C)
    if task_of(reviews) == LABELS:
        each = np.column_stack([each, np.ones(len(reviews))])  # a text may have no label, and goes somewhere
    counts = np.zeros((block_of.max() + 1, each.shape[1]))  # (blocks, C)
    np.add.at(counts, block_of, each)
    wanted, have = np.outer(weights, counts.sum(axis=0)), np.zeros((len(parts), counts.shape[1]))
    part_of = np.zeros(len(counts), dtype=np.int64)
    for block in np.lexsort((np.random.default_rng(seed).random(len(counts)), -counts.sum(axis=1))):
        part_of[block] = ((1 - have / wanted) @ counts[block]).argmax()
        have[part_of[block]] += counts[block]
    if not have.all() or np.bincount(part_of, minlength=len(parts)).min() < 2 <= len(parts):
        lacking = np.flatnonzero((have == 0).any(axis=0)[: len(reviews.class_names)])
        short = ", ".join(np.array(reviews.class_names)[lacking]) if task_of(reviews) != NUMBERS else ""
        raise ValueError(f"The classes {short or 'of a part'} occur in too few groups for {len(parts)} parts. "
                         "Use a finer group column, or none.")  # fmt: skip
    dealt = {Splits._fields[i]: reviews.take(np.flatnonzero(part_of[block_of] == k)) for k, i in enumerate(parts)}
    return Splits(**dealt, **given)


def fit_to(table: Table, part: Reviews, name: str) -> tuple[Table, Reviews]:
    """Return a table without texts that are (nearly) in a `part` of its own, and the part with the classes of the table.

    Texts of classes that the table does not have are left out of the part; both are said among the faults of the table.

    Raises:
        ValueError: the part has another task, or nothing is left of it.
    """
    ours, faults = table.reviews, []
    if task_of(part) != task_of(ours):
        raise ValueError(f"The {name} file has labels of another kind than {table.path.name}. Give --task for both.")
    labels, keep = part.labels, np.ones(len(part), dtype=bool)
    if task_of(ours) != NUMBERS:
        position = [part.class_names.index(label) if label in part.class_names else -1 for label in ours.class_names]
        matrix = np.column_stack([truths(part), np.zeros(len(part))])[:, position]  # (n, C) of the table's classes
        keep = matrix.any(axis=1) | (truths(part).sum(axis=1) == 0)
        labels = matrix.argmax(axis=1) if part.labels.ndim == 1 else matrix.astype(np.float32)
    if not keep.all():
        unknown = sorted({*part.class_names} - {*ours.class_names})
        faults.append(Fault(f"unknown classes in the {name} file", int((~keep).sum()), f"left out: {listed(unknown)}"))
    part = replace(part, labels=labels, class_names=ours.class_names).take(np.flatnonzero(keep))
    if len(np.unique(part.blocks)) < 2:
        raise ValueError(f"The {name} file has {len(part)} texts with a class of {table.path.name}; two or more are needed.")
    theirs = {near_key(text) for text in part.texts}
    leaks = np.array([near_key(text) in theirs for text in ours.texts], dtype=bool)
    if leaks.any():
        says = f"are in the {name} file too, but for numbers, addresses or punctuation: not used for training"
        faults.append(Fault("texts of two files", int(leaks.sum()), says))
    kept = ours.take(np.flatnonzero(~leaks))
    if not (truths(kept).sum(axis=0) > 0).all() or len(kept) < 2:
        raise ValueError(f"Nearly all texts of {table.path.name} are in the {name} file too. Give files of different texts.")
    return replace(table, reviews=kept, faults=table.faults + faults), part
