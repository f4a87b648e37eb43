"""Do word vectors made from the training reviews help the LSTM? Five seeds with and without, on 4,000 reviews.

    python -m bench.word_vectors             run the seeds that are missing and write the record
    python -m bench.word_vectors --seeds 0   only that seed; the record is made when five are there

Result: bench/results/word_vectors.json, with the mean gain on the test part and its 95 % interval over blocks.
"""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import torch

from bench import records
from course_utils import data, models, prediction, text, training
from course_utils.device import hardware

RESULT = records.RESULTS / "word_vectors.json"
TRAIN_SIZE, MAX_LENGTH, SIZE, EPOCHS = 4_000, 200, 64, 3
ASKED = {"train_reviews": TRAIN_SIZE, "max_tokens": MAX_LENGTH, "vector_size": SIZE, "epochs": EPOCHS}


def run(seed: int) -> dict[str, list[int]]:
    """Return, with and without vectors, which test reviews a model trained with this seed gets right."""
    (train, validation, test), vocab_size = records.encoded_reviews(MAX_LENGTH)
    vectors = text.ppmi_vectors(train, vocab_size=vocab_size, size=SIZE, seed=seed)
    few = train.take(np.linspace(0, len(train) - 1, TRAIN_SIZE).round().astype(int))
    correct = {}
    for name, start in (("with vectors", vectors), ("without", None)):
        torch.manual_seed(seed)
        model = models.LSTMClassifier(vocab_size, embedding_size=SIZE, vectors=start)
        config = training.TrainingConfig(num_epochs=EPOCHS, learning_rate=3e-3, batch_size=64, seed=seed)
        training.fit(model, few, validation, config, on_step=lambda history: None)
        predictions = prediction.evaluate(model, test).predictions
        correct[name] = (predictions == test.labels).astype(int).tolist()
        print(f"seed {seed}, {name}: {np.mean(correct[name]):.4f}", flush=True)
    return correct


def main() -> None:
    runs = records.finished_runs(__doc__, "word_vectors", ASKED, run)
    if not runs:
        return
    blocks = data.load_splits("imdb").test.blocks
    gains = np.mean([np.subtract(run["with vectors"], run["without"]) for run in runs], axis=0)  # (test reviews,)
    gain = records.interval(gains, blocks)
    record = {
        **ASKED, "seeds": len(runs),
        "accuracy": {name: [round(float(np.mean(run[name])), 4) for run in runs] for name in runs[0]},
        "gain": {"mean": gain["estimate"], "low": gain["low"], "high": gain["high"]},
        "date": date.today().isoformat(), "hardware": hardware(),
        "torch": torch.__version__, "commit": records.commit(),
    }  # fmt: skip
    records.write(RESULT, record)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
