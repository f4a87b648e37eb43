"""The files of `malformed`, through all that stands before training and through prediction: `python -m
tests.faults.malformed_finetune [N]`.

Each file must give a table to train on or one sentence, and predictions for every row that is read or set aside, or one
sentence; in less than ten seconds.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from course_utils import tables
from course_utils.finetune import intake, predict
from tests.faults import malformed
from tests.tiny_finetune import make_finished


class Outcome(NamedTuple):
    """What became of a file in one of the two commands."""

    ok: bool
    command: str
    kind: str
    seed: int
    seconds: float
    says: str


def attempt(seed: int, folder: Path, model: Path) -> list[Outcome]:
    """Return what becomes of the file of a seed, when it is read to train on and to be predicted."""
    file = malformed.make_file(seed)
    path = folder / file.name
    path.write_bytes(file.content)
    outcomes = []
    for command in (_train, _predict):
        started, kind, whole = time.process_time(), "done", True
        try:
            says, whole = command(path, model)
        except ValueError as error:
            kind, says = "refused", str(error)
        except Exception as error:  # what is looked for
            kind, says, whole = "traceback", repr(error)[:300], False
        seconds = time.process_time() - started
        ok = whole and seconds < 10 and len(says) < 20_000 and not (kind == "refused" and len(says) > 3_000)
        outcomes.append(Outcome(ok, command.__name__, kind, seed, seconds, says[:300]))
    return outcomes


def _train(path: Path, model: Path) -> tuple[str, bool]:
    """Read a table and split it; every row is used or set aside."""
    cells = tables.read(path)
    read = intake.read_table(path, text_column="text", label_column="label")
    whole = len(read.reviews) + len(read.set_aside) == len(cells.frame) + len(cells.aside)
    with contextlib.suppress(ValueError):  # classes may be too small for three parts
        parts = intake.split_table(read.reviews)
        whole = whole and sum(map(len, parts)) == len(read.reviews)
    return read.report(), whole


def _predict(path: Path, model: Path) -> tuple[str, bool]:
    """Predict a table; every row is in the output."""
    cells, out = tables.read(path), path.with_name("out.csv")
    with contextlib.redirect_stderr(io.StringIO()):
        says = predict.predict_table(model, path, out, text_column="text")
    rows = len(pd.read_csv(out, usecols=["prediction"], keep_default_na=False, dtype=str))
    out.unlink()
    return "\n".join(says), rows == len(cells.frame) + len(cells.aside)


def main(number: int, first: int = 0) -> int:
    """Try files of some seeds, print what became of them, and return how many failed."""
    with tempfile.TemporaryDirectory() as folder:
        model = make_finished(Path(folder) / "model")
        seeds = range(first, first + number)
        outcomes = (outcome for seed in seeds for outcome in attempt(seed, Path(folder), model))
        return malformed.tell(number, (((outcome.command, outcome.kind), outcome) for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:] or ["2000"])) > 0)
