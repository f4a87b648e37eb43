"""A model of your own in a folder: trained on a table, judged beside simple rivals, and saved with a card that says so."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .. import __version__, plots, pretrained
from ..data import Reviews, Splits
from ..device import choose_device, quiet_loading
from ..evaluation import Interval, block_interval, difference_interval
from ..layers import count_parameters
from ..prediction import evaluate, predict_proba
from ..text import encode_wordpieces
from ..training import History, TrainingConfig, fit
from .intake import Table, split_table, truncated_texts

MAJORITY, LINEAR, TUNED = "always the commonest class", "TF-IDF + logistic regression", "fine-tuned"
BETTER = "Fine-tuning beats the linear model by more than the noise of this test."
UNDECIDED = "This test cannot tell fine-tuning from the linear model, which is cheaper. To decide, label more rows."
WORSE = "The linear model beats fine-tuning: use it."
USELESS = "Fine-tuning does not beat always giving the commonest class by more than the noise: do not use it."


@dataclass(frozen=True)
class Run:
    """A training run with all that its card has to tell; `model` holds the best weights on validation."""

    table: Table
    splits: Splits
    model: Any
    tokenizer: Any
    checkpoint: str
    max_length: int
    config: TrainingConfig
    history: History


class Judgement(NamedTuple):
    """What the test part says: the model's probabilities float32 (n, C); of each rival its predictions int64 (n,),
    accuracy and macro F1 with intervals over blocks; and what the model gains in accuracy over the two others."""

    probabilities: np.ndarray
    predictions: dict[str, np.ndarray]
    accuracy: dict[str, Interval]
    macro_f1: dict[str, Interval]
    gains: dict[str, Interval]

    @property
    def verdict(self) -> str:
        """A sentence: does fine-tuning pay?"""
        if self.gains[MAJORITY].low <= 0:
            return USELESS
        return BETTER if self.gains[LINEAR].low > 0 else WORSE if self.gains[LINEAR].high < 0 else UNDECIDED

    def report(self) -> str:
        """Return the scores of all rivals, one a line, and the verdict."""
        scores = [f"{name:28} accuracy {self.accuracy[name]}, macro F1 {self.macro_f1[name]}" for name in self.accuracy]
        gains = [f"gain over {name:28} {gain}" for name, gain in self.gains.items()]
        return "\n".join([*scores, *gains, self.verdict])


def f1_interval(predictions: np.ndarray, part: Reviews, *, draws: int = 2_000, seed: int = 0) -> Interval:
    """Return macro F1 of predictions int (n,), with its 95 % interval from drawing whole blocks as `block_interval` does."""
    truth, said = (np.eye(len(part.class_names))[labels] for labels in (part.labels, predictions))  # (n, C)
    _, block_of = np.unique(part.blocks, return_inverse=True)
    counts = np.zeros((block_of.max() + 1, 2, truth.shape[1]))  # 2 TP, and 2 TP + FP + FN, of each block and class
    np.add.at(counts, block_of, np.stack([2 * truth * said, truth + said], axis=1))
    rng, blocks = np.random.default_rng(seed), len(counts)
    drawn = [counts[rng.integers(blocks, size=blocks)].sum(axis=0) for _ in range(draws)]
    f1, *others = ((doubled / np.maximum(total, 1)).mean() for doubled, total in [counts.sum(axis=0), *drawn])
    return Interval(float(f1), *map(float, np.quantile(others, [0.025, 0.975])))


def judge(run: Run) -> Judgement:
    """Return how the model does on the test part beside two rivals that learned from the same training part."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    train, _, test = run.splits
    spaced = np.mean([" " in text for text in train.texts]) > 0.5  # some scripts put no spaces between words
    unit = {"token_pattern": r"\w+|[^\w\s]+"} if spaced else {"analyzer": "char"}
    vectoriser = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **unit)
    linear = LogisticRegression(C=4, max_iter=1000).fit(vectoriser.fit_transform(train.texts), train.labels)
    probabilities = predict_proba(run.model, encode_wordpieces(test, run.tokenizer, max_length=run.max_length))
    predictions = {MAJORITY: np.full(len(test), np.bincount(train.labels).argmax())}
    predictions |= {LINEAR: linear.predict(vectoriser.transform(test.texts)), TUNED: probabilities.argmax(axis=1)}
    right = {name: said == test.labels for name, said in predictions.items()}
    accuracy = {name: block_interval(hits, test.blocks) for name, hits in right.items()}
    macro_f1 = {name: f1_interval(said, test) for name, said in predictions.items()}
    gains = {name: difference_interval(right[TUNED], right[name], test.blocks) for name in (MAJORITY, LINEAR)}
    return Judgement(probabilities, predictions, accuracy, macro_f1, gains)


def confident_mistakes(run: Run, judgement: Judgement) -> pd.DataFrame:
    """Return the wrong answers on the test part, the surest first: row, confidence, label, predicted, text."""
    test, names, said = run.splits.test, np.array(run.table.reviews.class_names), judgement.predictions[TUNED]
    cells = {"row": test.rows, "confidence": judgement.probabilities.max(axis=1), "label": names[test.labels]}
    frame = pd.DataFrame(cells | {"predicted": names[said], "text": test.texts})
    return frame[said != test.labels].sort_values("confidence", ascending=False, ignore_index=True)


def unfinished(folder: Path) -> Path:
    """Return the folder beside `folder` that a run writes to until it is complete.

    Raises:
        FileExistsError: `folder` exists, or an interrupted run left its own; the message says what to do.
    """
    part = folder.with_name(folder.name + ".unfinished")
    if folder.exists():
        raise FileExistsError(f"{folder} exists and is kept as it is. Choose another name, or delete it first.")
    if part.exists():
        raise FileExistsError(f"{part} holds what an interrupted run had learned. Rename it to keep it, or delete it.")
    return part


def save_run(run: Run, judgement: Judgement, folder: str | Path) -> Path:
    """Write model, tokenizer, card, report, figure, mistakes and set-aside rows to a new folder, and return it.

    Raises:
        FileExistsError: the folder, or that of an interrupted run, is there already.
    """
    part = unfinished(Path(folder))
    _save_weights(run, part)
    _write_card(run, judgement, part, Path(folder).name)
    return part.rename(folder)


def _save_weights(run: Run, folder: Path) -> None:
    names = dict(enumerate(run.table.reviews.class_names))
    run.model.config.id2label, run.model.config.label2id = names, {name: i for i, name in names.items()}
    run.tokenizer.model_max_length = run.max_length  # the folder remembers where texts were cut
    with quiet_loading():
        run.model.save_pretrained(folder)
        run.tokenizer.save_pretrained(folder)


def _write_card(run: Run, judgement: Judgement, folder: Path, name: str) -> None:
    from jinja2 import Template
    from matplotlib.figure import Figure
    from sklearn.metrics import confusion_matrix

    table, test, said, classes = run.table, run.splits.test, judgement.predictions[TUNED], run.table.reviews.class_names
    mistakes = confident_mistakes(run, judgement)
    mistakes.to_csv(folder / "mistakes.csv", index=False)
    table.set_aside.to_csv(folder / "set_aside.csv", index=False)
    figure = Figure(figsize=(3.5 + 0.5 * len(classes), 2.5 + 0.5 * len(classes)), layout="constrained")
    counts = confusion_matrix(test.labels, said, labels=range(len(classes)))
    plots.confusion_matrix(figure.subplots(), counts, classes)
    figure.savefig(folder / "confusion.png")
    origin = {"embedded": "sentence-transformers/all-MiniLM-L6-v2"}.get(run.checkpoint, run.checkpoint.partition("@")[0])
    facts: dict[str, Any] = {
        "name": name,
        "origin": Path(origin).name if Path(origin).exists() else origin,  # a folder of yours is nobody else's business
        "file": table.path.name, "sha256": table.sha256, "set_aside": len(table.set_aside),
        "classes": dict(zip(classes, np.bincount(table.reviews.labels).tolist(), strict=True)),
        "parts": {part: len(reviews) for part, reviews in run.splits._asdict().items()},
        "blocks_in_test": len(set(test.blocks)), "faults": [fault._asdict() for fault in table.faults],
        "accuracy": judgement.accuracy, "macro_f1": judgement.macro_f1, "gains": judgement.gains,
        "verdict": judgement.verdict, "interrupted": run.history.interrupted,
        "settings": asdict(run.config) | {"word_pieces": run.max_length, "best_epoch": run.history.best_epoch},
        "trained_parameters": count_parameters(run.model).trainable,
        "versions": {"course_utils": __version__} | {name: metadata.version(name) for name in ("torch", "transformers")},
    }  # fmt: skip
    report = json.dumps(facts, indent=2, ensure_ascii=False, default=asdict)  # intervals as low, estimate, high
    (folder / "report.json").write_text(report, encoding="utf-8")
    template = Template(Path(__file__).with_name("model_card.md").read_text(encoding="utf-8"), trim_blocks=True)
    card = template.render(facts, mistakes=mistakes[:5].to_dict("records"), embedded=run.checkpoint == "embedded")
    (folder / "README.md").write_text(card + "\n", encoding="utf-8")


def finetune(
    table: Table, folder: str | Path, config: TrainingConfig, *, checkpoint: str = "embedded", max_length: int = 128
) -> Judgement:
    """Fine-tune a checkpoint on a table, judge it, write it to a new folder with its card, and return the judgement.

    Word embeddings stay frozen. After each epoch that is the best so far the weights are saved beside `folder`,
    which gets its name when everything is written.

    Raises:
        FileExistsError: the folder, or that of an interrupted run, is there already.
        ValueError: a table that cannot be split, or more tokens than the checkpoint reads.
        ConnectionError: a hub id without a network.
    """
    folder = Path(folder)
    part, splits = unfinished(folder), split_table(table.reviews, seed=config.seed)
    tokenizer = pretrained.load_tokenizer(checkpoint)
    model = pretrained.load_classifier(checkpoint, num_classes=len(table.reviews.class_names), seed=config.seed)
    model.to(choose_device())
    longest = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", max_length))
    if not 3 <= max_length <= longest:
        raise ValueError(f"This checkpoint reads 3 to {longest} tokens, not {max_length}.")
    model.get_input_embeddings().requires_grad_(False)
    table = replace(table, faults=table.faults + truncated_texts(table.reviews, tokenizer, max_length=max_length))
    train, validation, _ = (encode_wordpieces(reviews, tokenizer, max_length=max_length) for reviews in splits)
    started = time.perf_counter()
    untrained = evaluate(model, validation)
    per_text = (time.perf_counter() - started) / len(validation)  # a step of training takes about three times as long
    minutes = per_text * (3 * len(train) + len(validation)) * config.num_epochs / 60
    print(table.report())
    print("split: " + ", ".join(f"{name} {len(reviews):,}" for name, reviews in splits._asdict().items()))
    print(f"untrained accuracy {untrained.accuracy:.3f}; training takes about {minutes:.1f} minutes, Ctrl+C keeps the best")

    def save_best(history: History) -> None:
        if history.best_epoch == len(history.records):
            _save_weights(Run(table, splits, model, tokenizer, checkpoint, max_length, config, history), part)

    history = fit(model, train, validation, config, on_epoch=save_best)
    run = Run(table, splits, model, tokenizer, checkpoint, max_length, config, history)
    if history.best_epoch is None:  # stopped before the first epoch was complete
        _save_weights(run, part)
    if history.interrupted:
        print(f"Stopped by you: the best weights so far (epoch {history.best_epoch or 'unfinished'}) are kept and judged.")
    judgement = judge(run)
    _write_card(run, judgement, part, folder.name)
    part.rename(folder)
    return judgement


def predict(folder: str | Path, texts: Sequence[str | None]) -> pd.DataFrame:
    """Return text, prediction, confidence and the probability of each class, from the model in a folder.

    A text that is None stays without a prediction.

    Raises:
        ValueError: the folder holds no classifier that can be read.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    config, options = Path(folder) / "config.json", {"local_files_only": True}
    if not config.is_file() or "ForSequenceClassification" not in config.read_text(encoding="utf-8"):
        raise ValueError(f"{folder} holds no fine-tuned classifier. Make one with: course finetune")
    try:
        with quiet_loading():
            model = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True, **options)
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    except Exception as error:  # a damaged file ends in many kinds of error
        raise ValueError(
            f"The model in {folder} cannot be read ({type(error).__name__}). Copy or train it again."
        ) from error
    model.to(choose_device())
    there = np.array([text is not None for text in texts])
    given = [text for text in texts if text is not None]
    shares = np.full((len(texts), model.config.num_labels), np.nan, dtype=np.float32)
    shares[there] = predict_proba(model, encode_wordpieces(given, tokenizer, max_length=tokenizer.model_max_length))
    names = np.array([model.config.id2label[i] for i in range(shares.shape[1])], dtype=object)
    said = np.where(there, names[shares.argmax(axis=1)], None)
    frame = pd.DataFrame({"text": texts, "prediction": said, "confidence": shares.max(axis=1)})
    return frame.join(pd.DataFrame(shares, columns=[f"p({name})" for name in names]))
