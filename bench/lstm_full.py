"""How far does an LSTM of this course get with all its training reviews and some minutes more? Five seeds.

    python -m bench.lstm_full             run the seeds that are missing and write the record
    python -m bench.lstm_full --seeds 0   only that seed; the record is made when five are there

Two directions, 400 words of each review, word vectors made from the training reviews, and a share of the words read as
unknown while training. Result: bench/results/lstm_full.json, with the accuracy on the test part and its 95 % interval,
and how far that is from word counts and pairs of words on whole reviews (notebook 03).
"""

from __future__ import annotations

import json
import time
from datetime import date
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from bench import records
from course_utils import data, models, prediction, text, training
from course_utils.device import hardware

RESULT = records.RESULTS / "lstm_full.json"
MAX_LENGTH, SIZE = 400, 64
NETWORK: dict[str, Any] = {"bidirectional": True, "dropout": 0.4, "word_dropout": 0.4}
CONFIG: dict[str, Any] = {"num_epochs": 8, "learning_rate": 2e-3, "batch_size": 64}
ASKED = {"max_tokens": MAX_LENGTH, "vector_size": SIZE, **NETWORK, **CONFIG}


def run(seed: int) -> dict:
    """Return the seconds of a training run, its validation accuracies, and which test reviews it gets right."""
    (train, validation, test), vocab_size = records.encoded_reviews(MAX_LENGTH)
    started = time.perf_counter()
    vectors = text.ppmi_vectors(train, vocab_size=vocab_size, size=SIZE, seed=seed)
    torch.manual_seed(seed)
    model = models.LSTMClassifier(vocab_size, embedding_size=SIZE, vectors=vectors, **NETWORK)
    history = training.fit(
        model, train, validation, training.TrainingConfig(seed=seed, **CONFIG), on_step=lambda history: None
    )
    seconds = time.perf_counter() - started
    correct = (prediction.evaluate(model, test).predictions == test.labels).astype(int)
    print(f"seed {seed}: {correct.mean():.4f} after {seconds:.0f} s", flush=True)
    validated = [round(record.validation_accuracy, 4) for record in history.records]
    return {"seconds": seconds, "validation": validated, "correct": correct.tolist()}


def word_counts(splits: data.Splits) -> np.ndarray:
    """Return 1 for each test review that TF-IDF with logistic regression gets right, else 0."""
    vectoriser = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    linear = LogisticRegression(C=4, max_iter=1000).fit(vectoriser.fit_transform(splits.train.texts), splits.train.labels)
    return (linear.predict(vectoriser.transform(splits.test.texts)) == splits.test.labels).astype(int)


def main() -> None:
    runs = records.finished_runs(__doc__, "lstm_full", ASKED, run)
    if not runs:
        return
    splits = data.load_splits("imdb")
    correct, blocks = np.mean([each["correct"] for each in runs], axis=0), splits.test.blocks  # (test reviews,)
    record = {
        "train_reviews": len(splits.train), "max_tokens": MAX_LENGTH, **NETWORK, **CONFIG, "seeds": len(runs),
        "accuracy": [round(float(np.mean(each["correct"])), 4) for each in runs],
        "mean": records.interval(correct, blocks),
        "over_word_counts": records.interval(correct - word_counts(splits), blocks),
        "validation": [each["validation"] for each in runs], "seconds": [round(each["seconds"]) for each in runs],
        "threads": torch.get_num_threads(), "date": date.today().isoformat(), "hardware": hardware(),
        "torch": torch.__version__,
    }  # fmt: skip
    records.write(RESULT, record)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
