"""How good a model is on the test part, beside the baselines, and the sentence that says whether it is worth it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..data import Reviews, Splits
from ..evaluation import Interval, block_interval
from ..prediction import predict_logits
from ..text import PAIR, encode_wordpieces
from ..training import History, TrainingConfig
from .baselines import NAMES, predict_baselines
from .intake import Table
from .scores import (
    ClassScore,
    Reliability,
    abstention,
    class_scores,
    drawn_interval,
    macro_f1_gain,
    macro_f1_interval,
    mean_recall_gain,
    reliability,
    share_interval,
)  # fmt: skip
from .tasks import CLASSES, LABELS, NUMBERS, choose, confidence_in, names_of, shares, task_of, truths

TUNED = "fine-tuned"
BETTER = "Fine-tuning beats the linear model: the 95 % interval of its gain is above 0."
UNDECIDED = (
    "The test part is too small to say whether fine-tuning beats the linear model, which is cheaper. Label more rows."
)
WORSE = "The linear model beats fine-tuning: use it."
USELESS = "Fine-tuning does not beat the {}: the 95 % interval of its gain contains 0 or less. Do not use it."
FEW_TEXTS, FEW_OF_A_CLASS = 30, 5  # independent test texts, below which nothing is claimed


@dataclass(frozen=True)
class Run:
    """A training run with all that its card states; `model` contains the weights that are to be judged.

    temperature: what the logits were divided by after training, so that confidences fit the validation part.
    """

    table: Table
    splits: Splits
    model: Any
    tokenizer: Any
    checkpoint: str
    max_length: int
    config: TrainingConfig
    history: History
    temperature: float = 1.0
    class_weights: bool = False

    def predict(self, texts: Reviews | list[str]) -> np.ndarray:
        """Return probabilities of classes or labels float32 (n, C), or numbers float32 (n, 1)."""
        encoded = encode_wordpieces(texts, self.tokenizer, max_length=self.max_length)
        return shares(predict_logits(self.model, encoded).numpy(), task_of(self.splits.test))


class Sure(NamedTuple):
    """What happens to the test part if predictions with a confidence below `confidence` are left out."""

    confidence: float
    predicted: Interval
    right: Interval


class Judgement(NamedTuple):
    """How good the model and its baselines are on the test part.

    probabilities: of the model, float32 (n, C); its numbers (n, 1), if numbers are predicted. predictions: of each by its
    name, the model's being `TUNED`; see `tasks.choose`. scores: of each measure and model. gains: over the constant baseline
    in mean recall, over the linear one in macro F1; of numbers, by how much the mean absolute error is smaller.
    blocks: independent units of the test part.
    """

    probabilities: np.ndarray
    predictions: dict[str, np.ndarray]
    scores: dict[str, dict[str, Interval]]
    gains: dict[str, Interval]
    classes: list[ClassScore]
    reliability: Reliability | None
    sure: Sure | None
    blocks: int

    @property
    def accuracy(self) -> dict[str, Interval]:
        """The accuracy of each model: the share of texts whose class is right."""
        return self.scores["accuracy"]

    @property
    def macro_f1(self) -> dict[str, Interval]:
        """The macro F1 of each model."""
        return self.scores["macro F1"]

    @property
    def verdict(self) -> str:
        """A sentence: is fine-tuning worth it?"""
        (constant, over_constant), (_, over_linear) = self.gains.items()
        rarest = min(self.classes, key=lambda scores: scores.texts, default=None)
        if self.blocks < FEW_TEXTS or (rarest and rarest.texts < FEW_OF_A_CLASS):
            of_it = f", {rarest.texts} of them of {rarest.name}" if rarest else ""
            return f"Too few to tell: the test part has {self.blocks} independent texts{of_it}. Label more rows."
        if over_constant.low <= 0:
            return USELESS.format(constant)
        return BETTER if over_linear.low > 0 else WORSE if over_linear.high < 0 else UNDECIDED

    def report(self) -> str:
        """Return the scores of baselines, model and classes, the gains, how far to trust it, and the verdict, in lines."""
        models = next(iter(self.scores.values()))
        lines = [
            f"{name:28} " + ", ".join(f"{measure} {of[name]}" for measure, of in self.scores.items()) for name in models
        ]
        kinds = ("mean recall", "macro F1") if self.classes else ("mean absolute error", "mean absolute error")
        lines += [
            f"gain in {kind} over {name}: {gain}" for kind, (name, gain) in zip(kinds, self.gains.items(), strict=True)
        ]
        width = min(max((len(scores.name) for scores in self.classes), default=0), 30)
        for scores in self.classes:
            few = "; too few to tell" if scores.texts < FEW_OF_A_CLASS else ""
            lines.append(f"class {scores.name[:30]:{width}} ({scores.texts:,} texts) precision {scores.precision}, "
                         f"recall {scores.recall}, average precision {scores.average_precision:.3f}{few}")  # fmt: skip
        if self.reliability:
            lines.append(f"confidence is off by {self.reliability.error:.3f} on average (expected calibration error)")
        if self.sure and self.sure.confidence:
            lines.append(f"with --unsure-below {self.sure.confidence:.2f} it predicts {self.sure.predicted} of the texts, "
                         f"of which {self.sure.right} are right")  # fmt: skip
        return "\n".join([*lines, self.verdict])


def judge(run: Run) -> Judgement:
    """Return how good the model of a run is on the test part, beside the baselines trained on the same training part."""
    test, task = run.splits.test, task_of(run.splits.test)
    probabilities = run.predict(test)
    predictions = predict_baselines(run.splits) | {TUNED: choose(probabilities, task)}
    blocks = len(np.unique(test.blocks))
    if task == NUMBERS:
        return Judgement(probabilities, predictions, *_of_numbers(test, predictions), [], None, None, blocks)
    truth, (constant, linear) = truths(test), NAMES[task]
    said = {name: _matrix(predicted, truth.shape[1]) for name, predicted in predictions.items()}
    hits = {name: (matrix == truth).all(axis=1) if task == CLASSES else (matrix == truth).mean(axis=1)
            for name, matrix in said.items()}  # fmt: skip
    scores = {
        "accuracy" if task == CLASSES else "labels right": {n: share_interval(h, test.blocks) for n, h in hits.items()},
        "macro F1": {name: macro_f1_interval(matrix, truth, test.blocks) for name, matrix in said.items()},
    }
    gains = {constant: mean_recall_gain(said[TUNED], said[constant], truth, test.blocks),
             linear: macro_f1_gain(said[TUNED], said[linear], truth, test.blocks)}  # fmt: skip
    classes = class_scores(truth, said[TUNED], probabilities, test.class_names)
    believed = reliability(*_confidence(probabilities, truth, task))
    return Judgement(probabilities, predictions, scores, gains, classes, believed, _sure(run, probabilities), blocks)


def _matrix(predicted: np.ndarray, num_classes: int) -> np.ndarray:
    return np.eye(num_classes)[predicted] if predicted.ndim == 1 else predicted.astype(float)


def _confidence(probabilities: np.ndarray, truth: np.ndarray, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidence of each prediction, and whether it is right: of each text, or of each label of each text."""
    if task == CLASSES:
        return confidence_in(probabilities, task), truth[np.arange(len(truth)), probabilities.argmax(axis=1)] > 0
    return np.maximum(probabilities, 1 - probabilities).ravel(), ((probabilities >= 0.5) == truth).ravel()


def _sure(run: Run, probabilities: np.ndarray) -> Sure | None:
    """Return the confidence below which not to predict, chosen on the validation part, and what it does on the test part."""
    validation, test = run.splits.validation, run.splits.test
    if task_of(test) == LABELS:
        return None
    limit = abstention(*_confidence(run.predict(validation), truths(validation), CLASSES))
    if limit is None:
        return None
    confidence, right = _confidence(probabilities, truths(test), CLASSES)
    limit = np.ceil(limit * 100) / 100  # as it is printed and typed
    kept = confidence >= limit
    told = share_interval(right[kept], test.blocks[kept]) if kept.any() else Interval(float("nan"), 0.0, 1.0)
    return Sure(float(limit), share_interval(kept, test.blocks), told)


def _of_numbers(
    test: Reviews, predictions: dict[str, np.ndarray]
) -> tuple[dict[str, dict[str, Interval]], dict[str, Interval]]:
    """Return mean absolute error and R² of each model, and by how much the error of ours is smaller than the others'."""
    truth = test.labels[:, 0].astype(float)
    errors = {name: np.abs(predicted[:, 0] - truth) for name, predicted in predictions.items()}

    def r2(sums: np.ndarray) -> float:
        total, squares, missed, count = sums
        return float(1 - missed / max(squares - total**2 / count, 1e-12))

    scores = {
        "mean absolute error": {name: block_interval(error, test.blocks) for name, error in errors.items()},
        "R²": {name: drawn_interval(np.stack([truth, truth**2, error**2, np.ones(len(truth))], axis=1), test.blocks, r2)
               for name, error in errors.items()},
    }  # fmt: skip
    return scores, {name: block_interval(errors[name] - errors[TUNED], test.blocks) for name in NAMES[NUMBERS]}


def tested(run: Run, judgement: Judgement) -> pd.DataFrame:
    """Return the test part with all that scores are made of: row, text, label, predicted, confidence and probabilities."""
    test, task = run.splits.test, task_of(run.splits.test)
    names = test.class_names
    said = {name: names_of(predicted, names, task) for name, predicted in judgement.predictions.items()}
    texts, labels = [text.replace(PAIR, " | ") for text in test.texts], names_of(test.labels, names, task)
    frame = pd.DataFrame({"row": test.rows, "text": texts, "label": labels, "predicted": said.pop(TUNED)})
    if task != NUMBERS:
        frame["right"] = frame["label"] == frame["predicted"]
        frame["confidence"] = confidence_in(judgement.probabilities, task)
        frame[[f"p({name})" for name in names]] = judgement.probabilities
    return frame.assign(**{f"predicted by {name}": values for name, values in said.items()})


def confident_mistakes(run: Run, judgement: Judgement) -> pd.DataFrame:
    """Return the mistakes on the test part, the most confident first: row, confidence, label, predicted, text.

    Of numbers, all texts from the largest error on, with the error in place of the confidence.
    """
    frame = tested(run, judgement)
    if task_of(run.splits.test) == NUMBERS:
        frame["error"] = np.abs(judgement.predictions[TUNED] - run.splits.test.labels)[:, 0]
        return frame.sort_values("error", ascending=False, ignore_index=True)[["row", "error", "label", "predicted", "text"]]
    wrong = frame[~frame["right"]].sort_values("confidence", ascending=False, ignore_index=True)
    return wrong[["row", "confidence", "label", "predicted", "text"]]


def words_that_mattered(run: Run, text: str, *, most: int = 40) -> list[tuple[str, float]]:
    """Return the first `most` words of a text, each with how much leaving it out lowers the probability of the prediction.

    The words are letters if the text has no spaces. Of numbers, it is how far the number moves.
    """
    glue = " " if " " in text else ""
    words = (text.replace(PAIR, " | ").split() if glue else list(text))[:most]
    without = [glue.join(words[:i] + words[i + 1 :]) or run.tokenizer.unk_token or "." for i in range(len(words))]
    whole, *others = run.predict([glue.join(words), *without])
    chosen = int(whole.argmax())
    return [(word, float(whole[chosen] - other[chosen])) for word, other in zip(words, others, strict=True)]
