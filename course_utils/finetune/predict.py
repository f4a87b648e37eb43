"""What a fine-tuned model in a folder predicts: for a list of texts, or for a whole table, in pieces that are kept."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from .. import tables
from ..batching import TokenDataset
from ..device import choose_device, prepare_for_bfloat16
from ..files import MANIFEST, digest_of, sha256_of, verify_manifest, write_aside
from ..prediction import predict_logits, problem_type
from ..pretrained import load_tokenizer, load_whole, longest_input
from ..text import PAIR, encode_wordpieces
from .intake import text_cells
from .spreadsheet import write_csv
from .tasks import CLASSES, NUMBERS, TASKS, choose, confidence_in, names_of, shares

PIECE = 2_048, 400_000  # the most rows and letters that are predicted together: what Ctrl+C may cost


class Classifier(NamedTuple):
    """A model of a folder, the names of its classes, how many tokens of a text it reads, and what it predicts.

    text_columns: of the table that it was trained on, as far as the folder says so. levels: of the scale of its numbers.
    """

    model: Any
    tokenizer: Any
    names: list[str]
    max_length: int
    task: str = CLASSES
    text_columns: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()

    def answers(self, texts: Sequence[str | None], *, unsure_below: float = 0.0) -> pd.DataFrame:
        """Return prediction, confidence, the probability of each class and a note for each text; None for no text.

        Of several labels the confidence is that of the least certain one; a number has neither confidence nor probability,
        but the nearest level of its scale, if it is on one.
        A prediction whose confidence is below `unsure_below` is left out, and the note says what it would have been.
        """
        there = np.array([text is not None for text in texts], dtype=bool)
        given = [text for text in texts if text is not None]
        values = np.full((len(texts), len(self.names)), np.nan, dtype=np.float32)  # (n, C)
        notes = np.full(len(texts), "", dtype=object)
        if given:
            encoded = encode_wordpieces(given, self.tokenizer, max_length=self.max_length)
            values[there] = shares(predict_logits(self.model, encoded).numpy(), self.task)
            notes[there] = self._remarks(given, encoded)
        predicted = np.full(len(texts), None, dtype=object)
        predicted[there] = names_of(choose(values[there], self.task), self.names, self.task)
        if self.task == NUMBERS:
            nearest = {"nearest": [self._level(value) for value in values[:, 0]]} if self.levels else {}
            return pd.DataFrame({"prediction": predicted} | nearest | {"note": notes})
        confidence = confidence_in(values, self.task)
        for row in np.flatnonzero(confidence < unsure_below):
            says = f"unsure: {predicted[row]} with a confidence of {confidence[row]:.2f}"
            notes[row], predicted[row] = "; ".join(filter(None, [says, notes[row]])), None
        frame = pd.DataFrame({"prediction": predicted, "confidence": confidence})
        return frame.join(pd.DataFrame(values, columns=[f"p({name})" for name in self.names])).assign(note=notes)

    def _level(self, number: float) -> str | None:
        return None if np.isnan(number) else f"{min(self.levels, key=lambda level: abs(level - number)):g}"

    def _remarks(self, texts: list[str], encoded: TokenDataset) -> list[str]:
        """Return a note for each text that the model does not read whole, or hardly knows a token of; "" for the others."""
        notes = [""] * len(texts)
        full = np.flatnonzero(encoded.lengths >= self.max_length)
        whole = encode_wordpieces([texts[i] for i in full], self.tokenizer, max_length=1_000_000_000).lengths
        for i, length in zip(full, whole, strict=True):
            if length > self.max_length:
                notes[i] = f"truncated: the first {self.max_length:,} of {length:,} tokens were read"
        for row, ids in enumerate(encoded.input_ids):
            if 2 * (ids == self.tokenizer.unk_token_id).sum() > max(len(ids) - 2, 1):  # without [CLS] and [SEP]
                notes[row] = "; ".join(filter(None, [notes[row], "unknown: this model does not know most of the tokens"]))
        return notes


def predict(folder: str | Path, texts: Sequence[str | None]) -> pd.DataFrame:
    """Return text, prediction, confidence and the probability of each class, from the model in a folder.

    A text that is None gets no prediction. The files of a folder that has a manifest are verified first.

    Raises:
        ValueError: the folder contains no classifier that can be read, or one with files that are missing or altered or
            with tensors that are not those of its model; or there is no text, or an empty one.
        FloatingPointError: the model computes something that is not a number.
    """
    if isinstance(texts, str):
        raise ValueError("Give a list of texts: [text] for a single one.")
    if empty := [i for i, text in enumerate(texts, start=1) if text is not None and not text.strip()]:
        raise ValueError(f"Text {empty[0]} is empty, so there is nothing to predict. Give a text with at least one word.")
    if all(text is None for text in texts):
        raise ValueError("There is no text to predict: give at least one.")
    classifier = load(Path(folder))
    if len(classifier.text_columns) > 1 and not all(text is None or PAIR in text for text in texts):
        names = ", ".join(classifier.text_columns)
        raise ValueError(f"This model was trained with pairs of texts ({names}). Give a table that has these columns.")
    answers = classifier.answers(texts)
    answers.insert(0, "text", list(texts))
    return answers.drop(columns="note")


def predict_table(
    folder: str | Path, table: str | Path, out: str | Path, *,
    text_column: str | Sequence[str] | None = None, unsure_below: float = 0.0, **reading: Any,
) -> list[str]:  # fmt: skip
    """Predict each row of a table, write it with all its columns to a new CSV file, and return what happened, in lines.

    Every row of the table is there, in its order; a note says why one has no prediction or was not read whole. What is done
    is kept in a folder beside `out` until all is, so the same call goes on after a stop. `reading` goes to `tables.read`.
    Without `text_column` the columns are those that the model was trained with, if its folder says so.

    Raises:
        FileExistsError: `out` is there already, or another work, or the same work in another process, is being done there.
        ValueError: no readable table, no such column, no text in it, or as `predict`.
        FloatingPointError: as `predict`.
    """
    folder, table, out = Path(folder), Path(table), Path(out)
    if out.exists():
        raise FileExistsError(f"{out} already exists and is not overwritten. Choose another name with --out.")
    columns = [text_column] if isinstance(text_column, str) else [*(text_column or trained_columns(folder))]
    cells = tables.read(table, **reading)
    rows, texts = _rows(cells, columns)
    faults = [*map(str, [*cells.faults, *tables.reasons(cells.aside)])]
    if not any(texts):
        found = "; ".join(fault.removeprefix("- ") for fault in faults)
        raise ValueError(f"No row of {table.name} has a text in the column {', '.join(columns)!r}. {found}".strip())
    model_files = {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in sorted(folder.glob("*"))}
    work = {"model": model_files, "table": sha256_of(table), "columns": columns, "unsure": unsure_below, **reading}
    with _claimed(out, digest_of(work)) as part:
        classifier = load(folder)
        if classifier.text_columns and (len(classifier.text_columns) > 1) != (len(columns) > 1):
            known = " ".join(f"--text-column {name}" for name in classifier.text_columns)
            raise ValueError(f"This model was trained with {len(classifier.text_columns)} text columns. Give: {known}")
        _predict_pieces(classifier, rows, texts, part, unsure_below=unsure_below)
        write_aside(out, lambda aside: _join(sorted(part.glob("*.csv")), aside))
        shutil.rmtree(part)
    return [*faults, *_counted(out)]


def trained_columns(folder: Path) -> list[str]:
    """Return the text columns that the model in a folder was trained with.

    Raises:
        ValueError: the folder does not say.
    """
    with suppress(OSError, ValueError):
        if columns := json.loads((folder / "config.json").read_text(encoding="utf-8")).get("text_columns"):
            return [str(name) for name in columns]
    raise ValueError('Which column has the texts? Give a table with --text-column NAME, or --text "a text".')


def _rows(cells: tables.Cells, columns: list[str]) -> tuple[pd.DataFrame, list[str | None]]:
    """Return all rows of a file in their order, with their columns and a note where one has no text, and the texts."""
    found = text_cells(cells, columns)
    notes = [why if text is None else "" for text, why in found]
    frame = cells.frame.rename(columns={name: f"{name} (table)" for name in ("row", "prediction", "confidence", "note")
                                        if name in cells.frame})  # fmt: skip
    frame = frame.assign(note=notes, text_to_predict=pd.Series([text for text, _ in found], index=frame.index, dtype=object))
    aside = pd.DataFrame({"note": [f"set aside: {why}" for why, _ in cells.aside.values()]}, index=[*cells.aside])
    frame = pd.concat([frame, aside]).sort_index(kind="stable") if len(aside) else frame
    texts = [text if isinstance(text, str) else None for text in frame.pop("text_to_predict")]
    frame.insert(0, "row", frame.index)
    return frame.reset_index(drop=True), texts


@contextmanager
def _claimed(out: Path, work: str) -> Iterator[Path]:
    """Yield the folder beside `out` with the pieces of a work that are done; it goes if there are none.

    Raises:
        FileExistsError: the pieces there belong to another work, or another process makes them now.
    """
    part = out.with_name(f"{out.name}.unfinished")
    part.mkdir(exist_ok=True)
    try:
        with FileLock(part / ".lock").acquire(timeout=0):
            owner = part / "work.txt"
            if owner.exists() and owner.read_text() != work:
                what = "predictions of another table or model, or with other options"
                raise FileExistsError(f"{part} contains {what}. Choose another --out, or delete it.")
            write_aside(owner, lambda aside: aside.write_text(work))
            yield part
    except Timeout:
        raise FileExistsError(
            f"Another process is writing to {part} now. Wait until it ends, or choose another --out."
        ) from None
    finally:
        if part.exists() and not any(part.glob("*.csv")):
            shutil.rmtree(part, ignore_errors=True)


def _predict_pieces(
    classifier: Classifier, rows: pd.DataFrame, texts: list[str | None], part: Path, *, unsure_below: float
) -> None:  # fmt: skip
    """Write a CSV file for each piece of a table that has none yet, the first with a header, and show a bar."""
    from tqdm.auto import tqdm

    letters = np.cumsum([len(text or "") for text in texts])
    piece_of = np.arange(len(rows)) // PIECE[0] + letters // PIECE[1]  # grows from row to row
    starts = np.flatnonzero(np.diff(piece_of, prepend=-1))
    with tqdm(total=len(rows), desc="predicting", unit="row") as bar:
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            path = part / f"{start:012}.csv"
            if not path.exists():
                answers = classifier.answers(texts[start:end], unsure_below=unsure_below)
                piece = rows.iloc[start:end].reset_index(drop=True)
                notes = zip(piece.pop("note"), answers["note"], strict=True)
                answers["note"] = ["; ".join(filter(None, pair)) for pair in notes]
                whole = pd.concat([piece, answers], axis=1)
                write_aside(path, partial(write_csv, whole, header=start == 0))
            bar.update(int(end - start))


def _join(pieces: list[Path], path: Path) -> None:
    with path.open("wb") as whole:
        for piece in pieces:
            with piece.open("rb") as file:
                shutil.copyfileobj(file, whole)


def _counted(out: Path) -> list[str]:
    """Return how many rows a file of predictions has, and how many carry which note."""
    done = pd.read_csv(out, usecols=["prediction", "note"], keep_default_na=False, dtype=str)
    kinds = done["note"][done["note"] != ""].str.split(": ", n=1).str[0].value_counts()
    empty = int((done["prediction"] == "").sum())
    return [f"{out}: {len(done):,} rows; {empty:,} got no prediction",
            *(f"- {kind} ({number:,}): see the column note" for kind, number in kinds.items())]  # fmt: skip


def load(folder: Path) -> Classifier:
    """Return the model of a folder, verified if it has a manifest, on the best device.

    Raises:
        ValueError: as `predict`.
    """
    from transformers import AutoModelForSequenceClassification

    whole = (folder / MANIFEST).is_file() and verify_manifest(folder)
    config = folder / "config.json"
    if not config.is_file() or b"ForSequenceClassification" not in config.read_bytes():
        raise ValueError(f"{folder} contains no fine-tuned classifier. Make one with: course finetune")
    if not whole:
        print(f"{folder} has no {MANIFEST}, so its files cannot be verified.", file=sys.stderr)
    model = load_whole(AutoModelForSequenceClassification, str(folder), new_head=False)
    tokenizer = load_tokenizer(str(folder))
    names, size = model.config.id2label, model.config.num_labels
    if sorted(names) != list(range(size)) or len({*names.values()}) < size:
        raise ValueError(f"The model in {folder} has {size} outputs for the classes {names}: each must be named once.")
    if len(tokenizer) > (words := model.get_input_embeddings().num_embeddings):
        raise ValueError(f"{folder} mixes two models: a tokenizer of {len(tokenizer):,} tokens, and weights for {words:,}.")
    task = NUMBERS if size == 1 else problem_type(model) or CLASSES
    if task not in TASKS.values() or (task == NUMBERS and size > 1):
        raise ValueError(
            f"The model in {folder} has {size} outputs for the task {task!r}, which the course does not predict."
        )
    longest = longest_input(model, tokenizer)
    columns, levels = (tuple(getattr(model.config, name, ())) for name in ("text_columns", "levels"))
    model = prepare_for_bfloat16(model).to(choose_device())
    return Classifier(model, tokenizer, [names[i] for i in range(size)], longest, task, columns, levels)
