"""What a training run is worth: scores with intervals beside the baselines, its mistakes, and the card that says so."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .. import __version__, plots
from ..data import Reviews, Splits
from ..evaluation import Interval, block_interval, difference_interval
from ..layers import count_parameters
from ..prediction import predict_proba
from ..text import encode_wordpieces
from ..training import History, TrainingConfig
from .baselines import LINEAR, MAJORITY, predict_baselines
from .intake import Table

TUNED = "fine-tuned"
BETTER = "Fine-tuning beats the linear model: the 95 % interval of its gain is above 0."
UNDECIDED = (
    "The test part is too small to say whether fine-tuning beats the linear model, which is cheaper. Label more rows."
)
WORSE = "The linear model beats fine-tuning: use it."
USELESS = "Fine-tuning does not beat the majority class: the 95 % interval of its gain contains 0 or less. Do not use it."


@dataclass(frozen=True)
class Run:
    """A training run with all that its card states; `model` contains the weights that are to be judged."""

    table: Table
    splits: Splits
    model: Any
    tokenizer: Any
    checkpoint: str
    max_length: int
    config: TrainingConfig
    history: History


class Judgement(NamedTuple):
    """How good the model and its baselines are on the test part.

    probabilities: of the model, float32 (n, C). predictions: int64 (n,), of each by its name, the model's being `TUNED`.
    accuracy, macro_f1: of each, with intervals over blocks. gains: accuracy of the model minus that of each baseline.
    """

    probabilities: np.ndarray
    predictions: dict[str, np.ndarray]
    accuracy: dict[str, Interval]
    macro_f1: dict[str, Interval]
    gains: dict[str, Interval]

    @property
    def verdict(self) -> str:
        """A sentence: is fine-tuning worth it?"""
        if self.gains[MAJORITY].low <= 0:
            return USELESS
        return BETTER if self.gains[LINEAR].low > 0 else WORSE if self.gains[LINEAR].high < 0 else UNDECIDED

    def report(self) -> str:
        """Return the scores of the baselines and the model, one a line, the gains, and the verdict."""
        scores = [f"{name:28} accuracy {self.accuracy[name]}, macro F1 {self.macro_f1[name]}" for name in self.accuracy]
        gains = [f"gain over {name:28} {gain}" for name, gain in self.gains.items()]
        return "\n".join([*scores, *gains, self.verdict])


def macro_f1_interval(predictions: np.ndarray, part: Reviews, *, draws: int = 2_000, seed: int = 0) -> Interval:
    """Return macro F1 of predictions int (n,), with its 95 % interval from drawing whole blocks as `block_interval` does.

    A class that is neither in the labels nor in the predictions of a draw does not count there, as in scikit-learn.
    """
    truth, predicted = (np.eye(len(part.class_names))[labels] for labels in (part.labels, predictions))  # (n, C)
    _, block_of = np.unique(part.blocks, return_inverse=True)
    counts = np.zeros((block_of.max() + 1, 2, truth.shape[1]))  # 2 TP, and 2 TP + FP + FN, of each block and class
    np.add.at(counts, block_of, np.stack([2 * truth * predicted, truth + predicted], axis=1))
    rng, blocks = np.random.default_rng(seed), len(counts)
    drawn = [counts[rng.integers(blocks, size=blocks)].sum(axis=0) for _ in range(draws)]
    f1, *others = ((doubled[total > 0] / total[total > 0]).mean() for doubled, total in [counts.sum(axis=0), *drawn])
    return Interval(float(f1), *map(float, np.quantile(others, [0.025, 0.975])))


def judge(run: Run) -> Judgement:
    """Return how good the model of a run is on the test part, beside the baselines trained on the same training part."""
    test = run.splits.test
    probabilities = predict_proba(run.model, encode_wordpieces(test, run.tokenizer, max_length=run.max_length))
    predictions = predict_baselines(run.splits) | {TUNED: probabilities.argmax(axis=1)}
    correct = {name: predicted == test.labels for name, predicted in predictions.items()}
    accuracy = {name: block_interval(hits, test.blocks) for name, hits in correct.items()}
    macro_f1 = {name: macro_f1_interval(predicted, test) for name, predicted in predictions.items()}
    gains = {name: difference_interval(correct[TUNED], correct[name], test.blocks) for name in (MAJORITY, LINEAR)}
    return Judgement(probabilities, predictions, accuracy, macro_f1, gains)


def confident_mistakes(run: Run, judgement: Judgement) -> pd.DataFrame:
    """Return the mistakes on the test part, the most confident first: row, confidence, label, predicted, text."""
    test, names, predicted = run.splits.test, np.array(run.table.reviews.class_names), judgement.predictions[TUNED]
    cells = {"row": test.rows, "confidence": judgement.probabilities.max(axis=1), "label": names[test.labels]}
    frame = pd.DataFrame(cells | {"predicted": names[predicted], "text": test.texts})
    return frame[predicted != test.labels].sort_values("confidence", ascending=False, ignore_index=True)


def write_report(run: Run, judgement: Judgement, folder: Path, *, name: str) -> None:
    """Write what is known about the model called `name`: its card, report.json, a figure, its mistakes, unused rows."""
    mistakes = confident_mistakes(run, judgement)
    mistakes.to_csv(folder / "mistakes.csv", index=False)
    run.table.set_aside.to_csv(folder / "set_aside.csv", index=False)
    _draw_confusion(run.splits.test, judgement.predictions[TUNED], folder / "confusion.png")
    facts = _facts(run, judgement, name)
    report = json.dumps(facts, indent=2, ensure_ascii=False, default=asdict)  # intervals as low, estimate, high
    (folder / "report.json").write_text(report, encoding="utf-8")
    _write_card(facts, mistakes, folder / "README.md", embedded=run.checkpoint == "embedded")


def _draw_confusion(test: Reviews, predictions: np.ndarray, path: Path) -> None:
    from matplotlib.figure import Figure
    from sklearn.metrics import confusion_matrix

    classes = test.class_names
    figure = Figure(figsize=(3.5 + 0.5 * len(classes), 2.5 + 0.5 * len(classes)), layout="constrained")
    counts = confusion_matrix(test.labels, predictions, labels=range(len(classes)))
    plots.confusion_matrix(figure.subplots(), counts, classes)
    figure.savefig(path)


def _facts(run: Run, judgement: Judgement, name: str) -> dict[str, Any]:
    """Return all that the card states, as it is written to report.json."""
    table, test = run.table, run.splits.test
    origin = {"embedded": "sentence-transformers/all-MiniLM-L6-v2"}.get(run.checkpoint, run.checkpoint.partition("@")[0])
    return {
        "name": name,
        "origin": Path(origin).name if Path(origin).exists() else origin,  # the path of a folder is private
        "file": table.path.name, "sha256": table.sha256, "set_aside": len(table.set_aside),
        "classes": dict(zip(test.class_names, np.bincount(table.reviews.labels).tolist(), strict=True)),
        "parts": {part: len(reviews) for part, reviews in run.splits._asdict().items()},
        "blocks_in_test": len(set(test.blocks)), "faults": [fault._asdict() for fault in table.faults],
        "accuracy": judgement.accuracy, "macro_f1": judgement.macro_f1, "gains": judgement.gains,
        "verdict": judgement.verdict, "interrupted": run.history.interrupted,
        "config": asdict(run.config) | {"max_length": run.max_length, "best_epoch": run.history.best_epoch},
        "trained_parameters": count_parameters(run.model).trainable,
        "versions": {"course_utils": __version__} | {name: metadata.version(name) for name in ("torch", "transformers")},
    }  # fmt: skip


def _write_card(facts: dict[str, Any], mistakes: pd.DataFrame, path: Path, *, embedded: bool) -> None:
    from huggingface_hub import EvalResult, ModelCard, ModelCardData
    from jinja2 import Template

    results = [
        EvalResult(
            task_type="text-classification", dataset_type="table", dataset_name=facts["file"], dataset_split="test",
            metric_type=kind, metric_name=key.replace("_", " "), metric_value=facts[key][TUNED].estimate,
            metric_args={"interval_95": [facts[key][TUNED].low, facts[key][TUNED].high]},
        )
        for kind, key in (("accuracy", "accuracy"), ("f1", "macro_f1"))
    ]  # fmt: skip
    data = ModelCardData(
        library_name="transformers", pipeline_tag="text-classification", license="apache-2.0" if embedded else None,
        base_model=facts["origin"] if "/" in facts["origin"] else None, model_name=facts["name"], eval_results=results,
    )  # fmt: skip
    template = Template(Path(__file__).with_name("model_card.md").read_text(encoding="utf-8"), trim_blocks=True)
    body = template.render(facts, mistakes=mistakes[:5].to_dict("records"), tuned=TUNED)
    ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n").save(path)
