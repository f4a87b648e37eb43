"""What a fine-tuned model has to beat: the majority class, and a linear model trained on the same texts in seconds."""

from __future__ import annotations

import numpy as np

from ..data import Splits

MAJORITY, LINEAR = "majority class", "TF-IDF + logistic regression"
STRENGTHS = (1.0, 4.0, 16.0)  # of scikit-learn's C: the larger, the weaker the regularisation


def predict_baselines(splits: Splits) -> dict[str, np.ndarray]:
    """Return what each baseline, trained on the training part, predicts for the test part: int64 (n,) by its name.

    The features are TF-IDF of words and pairs of words, or of characters and pairs of characters if most training texts
    have no spaces, as in Chinese. As for the fine-tuned model, one choice is made on the validation part: C of the
    logistic regression is the one of `STRENGTHS` with the best accuracy there, the smallest of equals.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    train, validation, test = splits
    spaced = np.mean([" " in text for text in train.texts]) > 0.5
    unit = {"token_pattern": r"\w+|[^\w\s]+"} if spaced else {"analyzer": "char"}
    vectoriser = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **unit)
    features = vectoriser.fit_transform(train.texts)
    known = vectoriser.transform(validation.texts)
    trained = [LogisticRegression(C=strength, max_iter=1000).fit(features, train.labels) for strength in STRENGTHS]
    linear = max(trained, key=lambda model: model.score(known, validation.labels))
    majority = np.full(len(test), np.bincount(train.labels).argmax())
    return {MAJORITY: majority, LINEAR: linear.predict(vectoriser.transform(test.texts))}
