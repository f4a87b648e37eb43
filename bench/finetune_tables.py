"""`course finetune` and `course predict` beside what people use instead.

    python -m bench.finetune_tables speed     10,000 short texts: `course predict` beside `transformers.pipeline`, in turns
    python -m bench.finetune_tables tables    five tables: `course finetune` beside a plain script with `Trainer`, and
                                              beside SetFit, if that is installed (it is no dependency)

Seconds are of the processor, summed over its cores, so that other work on the machine changes them little. Results:
bench/results/finetune_tables.json. The tables are those of a folder that is given with `--folder`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench import records
from course_utils import data, pretrained, training
from course_utils.device import hardware, machine_kind, quiet_loading
from course_utils.evaluation import Interval
from course_utils.finetune import intake, judgement, predict, run
from course_utils.finetune.scores import macro_f1_interval

RESULT = records.RESULTS / "finetune_tables.json"
TABLES = {
    "35-imbalanced.csv": ("text", "label"),
    "34-near-duplicates.csv": ("text", "label"),
    "01-one-and-one-point-zero.csv": ("text", "label"),
    "17-stray-quote-swallows.csv": ("text", "label"),
    "13-chinese-utf8.csv": ("text", "label"),
}
EPOCHS, MAX_LENGTH = 3, 64


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return the seconds of the processor and of the clock that some work takes, and what it returns."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return time.process_time() - cpu, time.perf_counter() - wall, result


def speed(count: int, rounds: int) -> dict[str, Any]:
    """Return the seconds of `predict_table`, file to file, and of a pipeline with batches of 32 for the same texts."""
    from transformers import pipeline

    reviews = data.load_reviews("rotten_tomatoes").texts
    texts = [reviews[i % len(reviews)] for i in np.random.default_rng(0).permutation(count)]
    seconds: dict[str, list] = {"course predict": [], "pipeline(batch_size=32)": []}
    same = []
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = pretrained.load_classifier(), pretrained.load_tokenizer()
        home, table = Path(folder) / "model", Path(folder) / "texts.csv"
        tokenizer.model_max_length = 128
        with quiet_loading():
            model.save_pretrained(home)
            tokenizer.save_pretrained(home)
        pd.DataFrame({"text": texts}).to_csv(table, index=False)
        classify = pipeline("text-classification", model=str(home), device="cpu", batch_size=32, truncation=True)
        for number in range(rounds):
            out = Path(folder) / f"{number}.csv"
            ours = timed(partial(predict.predict_table, home, table, out, text_column="text"))
            theirs = timed(partial(classify, texts))
            seconds["course predict"].append(ours[:2])
            seconds["pipeline(batch_size=32)"].append(theirs[:2])
            said = pd.read_csv(out)["prediction"].tolist()
            same.append(float(np.mean([a == b["label"] for a, b in zip(said, theirs[2], strict=True)])))
            print(f"round {number}: ours {ours[0]:.0f} s, pipeline {theirs[0]:.0f} s of the processor", flush=True)
    ratios = [theirs[0] / ours[0] for ours, theirs in zip(*seconds.values(), strict=True)]
    return {"texts": count, "seconds": seconds, "ratio": float(np.median(ratios)), "same_prediction": min(same)}


class Split(NamedTuple):
    """A table as scripts of tutorials read it: its texts, what each label is numbered, and the rows of two random parts."""

    texts: list[str]
    codes: np.ndarray
    num_classes: int
    train: np.ndarray
    test: np.ndarray

    def scored(self, said: np.ndarray) -> dict[str, Any]:
        """Return what the record states about predictions for the test part, class numbers (n,)."""
        truth, predicted = (np.eye(self.num_classes)[numbers] for numbers in (self.codes[self.test], said))
        f1 = macro_f1_interval(predicted, truth, np.arange(len(self.test)))
        return {"macro F1": interval(f1), "test texts": len(self.test), "rows": len(self.texts), "classes": self.num_classes,
                "faults": []}  # fmt: skip


def read_and_split(path: Path, text: str, label: str) -> Split:
    """Return a table read by pandas and split at random, with nothing looked at."""
    from sklearn.model_selection import train_test_split

    frame = pd.read_csv(path)
    codes, names = pd.factorize(frame[label])
    train, test = train_test_split(np.arange(len(frame)), test_size=0.15, random_state=0)
    return Split(frame[text].astype(str).tolist(), codes, len(names), train, test)


def plain_trainer(path: Path, text: str, label: str) -> dict[str, Any]:
    """Return what a script as in many tutorials gives: pandas, a random split, `Trainer` with its defaults, accuracy."""
    import torch
    from torch.utils.data import Subset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    table = read_and_split(path, text, label)
    folder = str(pretrained.checkpoint_path())
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    with quiet_loading():
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=table.num_classes, trust_remote_code=False
        )
    encoded = tokenizer(table.texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    items: Any = [{"input_ids": ids, "labels": int(code)} for ids, code in zip(encoded, table.codes, strict=True)]
    with tempfile.TemporaryDirectory() as out:
        options: dict[str, Any] = {"num_train_epochs": EPOCHS, "report_to": [], "save_strategy": "no", "use_cpu": True}
        trainer = Trainer(model, TrainingArguments(out, disable_tqdm=True, logging_strategy="no", **options),
                          train_dataset=Subset(items, table.train.tolist()), processing_class=tokenizer)  # fmt: skip
        trainer.train()
        said = torch.as_tensor(trainer.predict(Subset(items, table.test.tolist())).predictions).argmax(dim=1).numpy()
    return table.scored(said)


def setfit_script(path: Path, text: str, label: str) -> dict[str, Any]:
    """Return what SetFit gives with its defaults but one epoch of 5 pairs a text, on the same kind of split."""
    import setfit
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, models  # type: ignore[attr-defined]

    table = read_and_split(path, text, label)
    body = models.Transformer(str(pretrained.checkpoint_path()), max_seq_length=MAX_LENGTH)
    encoder = SentenceTransformer(modules=[body, models.Pooling(body.get_word_embedding_dimension())], device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        encoder.save(folder)
        model = setfit.SetFitModel.from_pretrained(folder)
        known = Dataset.from_dict(
            {"text": [table.texts[i] for i in table.train], "label": table.codes[table.train].tolist()}
        )
        options = setfit.TrainingArguments(folder, num_epochs=1, num_iterations=5, batch_size=16, report_to="none")
        setfit.Trainer(model=model, args=options, train_dataset=known).train()
    return table.scored(np.asarray(model.predict([table.texts[i] for i in table.test])))


def course(path: Path, text: str, label: str) -> dict[str, Any]:
    """Return what `course finetune` gives with the same epochs."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        table = intake.read_table(path, text_column=text, label_column=label)
        config = training.TrainingConfig(num_epochs=EPOCHS, learning_rate=1e-4)
        judged = run.finetune(table, Path(folder) / "m", config, max_length=MAX_LENGTH)
        facts = json.loads((Path(folder) / "m" / "report.json").read_text(encoding="utf-8"))
    assert judged
    faults = [f"{fault['kind']} ({fault['number']})" for fault in facts["faults"]]
    return {"macro F1": interval(judged.macro_f1[judgement.TUNED]), "test texts": facts["parts"]["test"],
            "rows": len(table.reviews), "classes": len(facts["classes"]), "faults": faults,
            "verdict": facts["verdict"]}  # fmt: skip


def interval(found: Interval) -> list[float]:
    return [found.estimate, found.low, found.high]


def main(arguments: list[str] | None = None) -> None:
    """Measure what is asked for and add it to the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("speed", "tables"))
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("../shared/cases/tables"))
    options = parser.parse_args(arguments)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    record = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    record |= {"hardware": hardware(), "machine": machine_kind()}
    if options.part == "speed":
        record["speed"] = speed(options.texts, options.rounds)
    else:
        tools = {"course finetune": course, "plain Trainer script": plain_trainer}
        tools |= {"SetFit": setfit_script} if find_spec("setfit") else {}
        found = record.setdefault("tables", {})
        for name, columns in TABLES.items():
            found[name] = {}
            for tool, work in tools.items():
                try:
                    cpu, _, result = timed(partial(work, options.folder / name, *columns))
                    found[name][tool] = result | {"processor seconds": round(cpu, 1)}
                except Exception as error:  # a tool that stops at a table is a result too
                    found[name][tool] = {"stopped": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
                print(name, tool, found[name][tool], flush=True)
    RESULT.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
