"""How far does an LSTM of this course get with all its training reviews and some minutes more? Five seeds.

    python bench/lstm_full.py             run the seeds that are missing and write the record
    python bench/lstm_full.py --seeds 0   only that seed; the record is made when five are there

Two directions, 400 words of each review, word vectors made from the training reviews, and a share of the words read as
unknown while training. Result: bench/results/lstm_full.json, with the accuracy on the test part and its 95 % interval,
and how far that is from word counts and pairs of words on whole reviews (notebook 03).
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from course_utils import data, models, text, training
from course_utils.evaluation import block_interval
from course_utils.runtime import hardware

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench" / "results" / "lstm_full.json"
RUNS = ROOT / "outputs" / "lstm_full"
MAX_TOKENS, SIZE = 400, 64
NETWORK: dict[str, Any] = {"bidirectional": True, "dropout": 0.4, "word_dropout": 0.4}
SETTINGS: dict[str, Any] = {"num_epochs": 8, "learning_rate": 2e-3, "batch_size": 64}
ASKED = {"max_tokens": MAX_TOKENS, "size": SIZE, **NETWORK, **SETTINGS}  # kept with each run: others are not reused


def run(seed: int) -> dict:
    """Return the seconds of a training run, its validation accuracies, and which test reviews it gets right."""
    splits = data.load_splits("imdb")
    words = text.Vocabulary.from_tokens(text.basic_english(review) for review in splits.train.texts)
    train, validation, test = (text.encode_words(part, words, max_tokens=MAX_TOKENS, keep="last") for part in splits)
    started = time.perf_counter()
    vectors = text.ppmi_vectors(train, vocab_size=len(words), size=SIZE, seed=seed)
    torch.manual_seed(seed)
    model = models.LSTMClassifier(len(words), embedding_size=SIZE, vectors=vectors, **NETWORK)
    history = training.fit(model, train, validation, training.Settings(seed=seed, **SETTINGS), on_progress=lambda _: None)
    seconds = time.perf_counter() - started
    correct = (training.evaluate(model, test).predictions == test.labels).astype(int)
    print(f"seed {seed}: {correct.mean():.4f} after {seconds:.0f} s", flush=True)
    validated = [round(record.validation_accuracy, 4) for record in history.records]
    return {"asked": ASKED, "seconds": seconds, "validation": validated, "correct": correct.tolist()}


def interval(values: np.ndarray, blocks: np.ndarray) -> dict[str, float]:
    """Return the mean and its 95 % interval over blocks, as they are kept."""
    score = block_interval(values, blocks)
    return {"estimate": round(score.estimate, 4), "low": round(score.low, 4), "high": round(score.high, 4)}


def word_counts(splits: data.Splits) -> np.ndarray:
    """Return 1 for each test review that TF-IDF with logistic regression gets right, else 0."""
    vectoriser = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    linear = LogisticRegression(C=4, max_iter=1000).fit(vectoriser.fit_transform(splits.train.texts), splits.train.labels)
    return (linear.predict(vectoriser.transform(splits.test.texts)) == splits.test.labels).astype(int)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    RUNS.mkdir(parents=True, exist_ok=True)
    for seed in parser.parse_args().seeds:
        file = RUNS / f"{seed}.json"
        if not file.exists() or json.loads(file.read_text()).get("asked") != ASKED:
            file.write_text(json.dumps(run(seed)))
    kept = [json.loads(file.read_text()) for file in sorted(RUNS.glob("*.json"))]
    runs = [each for each in kept if each.get("asked") == ASKED]
    if len(runs) < 5:
        return
    splits = data.load_splits("imdb")
    correct, blocks = np.mean([each["correct"] for each in runs], axis=0), splits.test.blocks  # (test reviews,)
    record = {
        "train_reviews": len(splits.train), "max_tokens": MAX_TOKENS, **NETWORK, **SETTINGS, "seeds": len(runs),
        "accuracy": [round(float(np.mean(each["correct"])), 4) for each in runs],
        "mean": interval(correct, blocks), "over_word_counts": interval(correct - word_counts(splits), blocks),
        "validation": [each["validation"] for each in runs], "seconds": [round(each["seconds"]) for each in runs],
        "threads": torch.get_num_threads(), "date": date.today().isoformat(), "hardware": hardware(),
        "torch": torch.__version__,
    }  # fmt: skip
    RESULT.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
