"""Do word vectors made from the training reviews help the LSTM? Five seeds with and without, on 4,000 reviews.

    python bench/word_vectors.py             run the seeds that are missing and write the record
    python bench/word_vectors.py --seeds 0   only that seed; the record is made when five are there

Result: bench/results/word_vectors.json, with the mean gain on the test part and its 95 % interval over blocks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from datetime import date
from pathlib import Path

import numpy as np
import torch

from course_utils import data, models, text, training
from course_utils.evaluation import block_interval
from course_utils.runtime import hardware

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench" / "results" / "word_vectors.json"
RUNS = ROOT / "outputs" / "word_vectors"
TRAIN_SIZE, MAX_TOKENS, SIZE, EPOCHS = 4_000, 200, 64, 3


def run(seed: int) -> dict[str, list[int]]:
    """Return, with and without vectors, which test reviews a model trained with this seed gets right."""
    splits = data.load_splits("imdb")
    words = text.Vocabulary.from_tokens(text.basic_english(review) for review in splits.train.texts)
    train, validation, test = (text.encode_words(part, words, max_tokens=MAX_TOKENS, keep="last") for part in splits)
    vectors = text.ppmi_vectors(train, vocab_size=len(words), size=SIZE, seed=seed)
    few = train.take(np.linspace(0, len(train) - 1, TRAIN_SIZE).round().astype(int))
    correct = {}
    for name, start in (("with vectors", vectors), ("without", None)):
        torch.manual_seed(seed)
        model = models.LSTMClassifier(len(words), embedding_size=SIZE, vectors=start)
        settings = training.Settings(num_epochs=EPOCHS, learning_rate=3e-3, batch_size=64, seed=seed)
        training.fit(model, few, validation, settings, on_progress=lambda progress: None)
        predictions = training.evaluate(model, test).predictions
        correct[name] = (predictions == test.labels).astype(int).tolist()
        print(f"seed {seed}, {name}: {np.mean(correct[name]):.4f}", flush=True)
    return correct


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    RUNS.mkdir(parents=True, exist_ok=True)
    for seed in parser.parse_args().seeds:
        file = RUNS / f"{seed}.json"
        if not file.exists():
            file.write_text(json.dumps(run(seed)))
    runs = [json.loads(file.read_text()) for file in sorted(RUNS.glob("*.json"))]
    if len(runs) < 5:
        return
    blocks = data.load_splits("imdb").test.blocks
    gains = np.mean([np.subtract(run["with vectors"], run["without"]) for run in runs], axis=0)  # (test reviews,)
    gain = block_interval(gains, blocks)
    record = {
        "train_reviews": TRAIN_SIZE, "max_tokens": MAX_TOKENS, "vector_size": SIZE, "epochs": EPOCHS, "seeds": len(runs),
        "accuracy": {name: [round(float(np.mean(run[name])), 4) for run in runs] for name in runs[0]},
        "gain": {"mean": round(gain.estimate, 4), "low": round(gain.low, 4), "high": round(gain.high, 4)},
        "date": date.today().isoformat(), "hardware": hardware(),
        "torch": torch.__version__,
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip(),
    }  # fmt: skip
    RESULT.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
