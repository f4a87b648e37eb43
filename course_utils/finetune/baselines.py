"""What a fine-tuned model has to beat: the majority class, and a linear model trained on the same texts in seconds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from ..data import Splits
from .tasks import CLASSES, LABELS, NUMBERS, task_of

MAJORITY, LINEAR = "majority class", "TF-IDF + logistic regression"
ALWAYS, MEDIAN, RIDGE = "most frequent labels", "median of all", "TF-IDF + ridge regression"
NAMES = {CLASSES: (MAJORITY, LINEAR), LABELS: (ALWAYS, LINEAR), NUMBERS: (MEDIAN, RIDGE)}  # the constant, the linear model
STRENGTHS = (1.0, 4.0, 16.0)  # of scikit-learn's C: the larger, the weaker the regularisation
WEIGHTS = (None, "balanced")


def predict_baselines(splits: Splits) -> dict[str, np.ndarray]:
    """Return what each baseline, trained on the training part, predicts for the test part, by its name; see `tasks.choose`.

    The features are TF-IDF of words and pairs of words, or of characters and pairs of characters if most training texts
    have no spaces, as in Chinese. As for the fine-tuned model, one choice is made on the validation part: strength of the
    regularisation (`STRENGTHS`) and weights of the classes (`WEIGHTS`) are those with the best macro F1 there, or for
    numbers the smallest mean absolute error; the first of equals.
    """
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.feature_extraction.text import TfidfVectorizer

    train, validation, test = splits
    task = task_of(train)
    spaced = np.mean([" " in text for text in train.texts]) > 0.5
    unit = {"token_pattern": r"\w+|[^\w\s]+"} if spaced else {"analyzer": "char"}
    vectoriser = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **unit)
    features = vectoriser.fit_transform(train.texts)
    known, unseen = vectoriser.transform(validation.texts), vectoriser.transform(test.texts)
    trained = [model.fit(features, _flat(train.labels)) for model in _candidates(task)]
    best = max(trained, key=lambda model: _score(model.predict(known), validation))
    constant = DummyRegressor(strategy="median") if task == NUMBERS else DummyClassifier(strategy="most_frequent")
    predicted = [model.predict(unseen) for model in (constant.fit(features, train.labels), best)]
    shaped = [np.reshape(values, test.labels.shape).astype(test.labels.dtype) for values in predicted]
    return dict(zip(NAMES[task], shaped, strict=True))


def _flat(labels: np.ndarray) -> np.ndarray:
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _candidates(task: str) -> list[Any]:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    if task == NUMBERS:
        return [Ridge(alpha=1 / strength) for strength in STRENGTHS]
    wrap: Callable = OneVsRestClassifier if task == LABELS else lambda model: model
    options = product(STRENGTHS, WEIGHTS)
    return [wrap(LogisticRegression(C=strength, class_weight=weight, max_iter=1000)) for strength, weight in options]


def _score(predicted: np.ndarray, validation: Any) -> float:
    from sklearn.metrics import f1_score

    if task_of(validation) == NUMBERS:
        return -float(np.abs(predicted - validation.labels[:, 0]).mean())
    return float(f1_score(validation.labels, predicted, average="macro", zero_division=0))
