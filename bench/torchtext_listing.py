"""Compare the repaired listing of notebook 03b, as its author meant it, with the LSTM of notebook 03.

    python -m bench.torchtext_listing time       seconds of an epoch, both sides in turn (five minutes or so)
    python -m bench.torchtext_listing accuracy   test accuracy after equal epochs on equal reviews (ten minutes or so)

Both sides train on the same reviews, with the same step, on the CPU. The listing runs in the torchtext kernel: batches of 64
whole reviews of similar length, two layers, hidden size 256, Adam at 0.001, fixed only where it cannot run, reads
padding or leaves its vectors unused. The course's side is notebook 03. Both start from word vectors made from the
training reviews, of 100 numbers (in place of glove.6B.100d) and of 64. Results: bench/results/torchtext_listing.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench import records
from course_utils import batching, data, device, models, prediction, text, training
from course_utils.doctor import torchtext_python
from course_utils.evaluation import block_interval, difference_interval

RESULT = records.RESULTS / "torchtext_listing.json"
EPOCHS, COURSE_LENGTH = 2, 200  # as notebook 03 in the workshop profile
ACCURACY_REVIEWS = 4_000  # both sides learn from these, so that the listing is done in minutes
COURSE_CONFIG = training.TrainingConfig(num_epochs=EPOCHS, learning_rate=3e-3, batch_size=64)
SIDES = ("listing", "course")
TIMED = {"listing": 11, "course": 55}  # batches of an epoch that are timed, spread evenly over the lengths


class Listing(nn.Module):
    """The listing's network with what it needs to run: batch first, two outputs, the state after the last word."""

    def __init__(self, vectors: torch.Tensor) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=False)
        self.rnn = nn.LSTM(vectors.shape[1], 256, 2, dropout=0.5, batch_first=True)
        self.fc = nn.Linear(256, 2)
        self.dropout = nn.Dropout(0.5)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states, _ = self.rnn(self.dropout(self.embedding(input_ids)))  # (B, T, H)
        last = states[torch.arange(len(states)), attention_mask.sum(dim=1) - 1]
        return self.fc(self.dropout(last))


@dataclass
class Side:
    """One of the two programs, ready to train."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    train: batching.TokenDataset
    test: batching.TokenDataset
    blocks: np.ndarray  # of the test reviews
    batch_size: int


def prepare(name: str) -> Side:
    """Return the listing, with torchtext's tokeniser and vocabulary, or the course's LSTM."""
    splits = data.load_splits("imdb")
    torch.manual_seed(0)
    if name == "course":
        words = text.Vocabulary.from_tokens(text.basic_english(review) for review in splits.train.texts)
        train, test = (
            text.encode_words(part, words, max_length=COURSE_LENGTH, keep="last") for part in (splits.train, splits.test)
        )
        vectors = text.ppmi_vectors(train, vocab_size=len(words), size=64)
        model: nn.Module = models.LSTMClassifier(len(words), vectors=vectors)
        optimizer = training.make_optimizer(model, COURSE_CONFIG)
        return Side(model, optimizer, train, test, splits.test.blocks, COURSE_CONFIG.batch_size)
    from torchtext.data import get_tokenizer
    from torchtext.vocab import build_vocab_from_iterator

    tokenizer = get_tokenizer("basic_english")
    train_tokens = [tokenizer(review) for review in splits.train.texts]
    vocabulary = build_vocab_from_iterator(train_tokens, specials=["<pad>", "<unk>"], max_tokens=20_000)
    vocabulary.set_default_index(1)
    train, test = (
        batching.TokenDataset(tuple(np.array(vocabulary(tokenizer(review))) for review in part.texts), part.labels)
        for part in (splits.train, splits.test)
    )
    model = Listing(text.ppmi_vectors(train, vocab_size=len(vocabulary), size=100))
    return Side(model, torch.optim.Adam(model.parameters(), lr=0.001), train, test, splits.test.blocks, 64)


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), "torch": torch.__version__, "threads": str(torch.get_num_threads())}


def train_step(side: Side, train: batching.TokenDataset, indices: np.ndarray) -> None:
    """Train a side on one batch, as `training.fit` does: Accelerate is not in the torchtext kernel."""
    side.model.train()
    batch = batching.collate([train[index] for index in indices])
    with device.autocast(torch.device("cpu")):
        logits = side.model(batch["input_ids"], batch["attention_mask"])
    loss = nn.functional.cross_entropy(logits.float(), batch["labels"])
    loss.backward()
    nn.utils.clip_grad_norm_(side.model.parameters(), COURSE_CONFIG.max_grad_norm)
    side.optimizer.step()
    side.optimizer.zero_grad()


def time_worker(name: str) -> int:
    """Prepare a side; then, for each line of input, train on the timed batches and print their seconds."""
    side = prepare(name)
    batches = batching.make_batches(side.train.lengths, batch_size=side.batch_size)
    chosen = [batches[i] for i in np.linspace(0, len(batches) - 1, TIMED[name]).round().astype(int)]
    tokens = [sum(len(b) * int(side.train.lengths[b].max()) for b in group) for group in (batches, chosen)]
    print(json.dumps({"batches": len(batches), "tokens": tokens, **versions()}), flush=True)
    for _ in sys.stdin:
        seconds = []
        for batch in chosen:
            started = time.perf_counter()
            train_step(side, side.train, batch)
            seconds.append(time.perf_counter() - started)
        print(json.dumps(seconds), flush=True)
    return 0


def train_worker(name: str) -> int:
    """Train a side on the same part of the training reviews and print which test reviews it gets right."""
    side = prepare(name)
    some = np.linspace(0, len(side.train) - 1, ACCURACY_REVIEWS).round().astype(int)
    train, generator = side.train.take(some), torch.Generator().manual_seed(0)
    batches = [
        batch
        for _ in range(EPOCHS)
        for batch in batching.make_batches(train.lengths, batch_size=side.batch_size, generator=generator)
    ]
    schedule = None
    if name == "course":  # as training.fit has it; the listing keeps its learning rate
        ratio = COURSE_CONFIG.warmup_ratio
        schedule = training.linear_schedule(side.optimizer, num_steps=len(batches), warmup_ratio=ratio)
    started = time.perf_counter()
    for batch in batches:
        train_step(side, train, batch)
        if schedule:
            schedule.step()
    seconds = time.perf_counter() - started
    answers = prediction.predict_logits(side.model, side.test).argmax(dim=1).numpy()
    correct = (answers == side.test.labels).astype(int)
    print(
        json.dumps({"correct": correct.tolist(), "blocks": side.blocks.tolist(), "seconds": round(seconds, 1), **versions()})
    )
    return 0


def python_of(name: str) -> str:
    """Return the Python that runs a side."""
    python = torchtext_python() if name == "listing" else sys.executable
    if python is None:
        sys.exit("The kernel torchtext is not here. Type: python3 start.py torchtext")
    return str(python)


def command(name: str, *arguments: str) -> list[str]:
    return [python_of(name), "-W", "ignore", "-m", "bench.torchtext_listing", *arguments, "--side", name]


def measure_time(rounds: int) -> dict:
    """Return seconds of an epoch of both sides, from timed batches in turn."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": records.ROOT}
    workers = {name: subprocess.Popen(command(name, "time"), **pipes) for name in SIDES}  # type: ignore[call-overload]
    facts = {name: json.loads(worker.stdout.readline()) for name, worker in workers.items()}
    totals: dict[str, list[float]] = {name: [] for name in SIDES}
    for number in range(rounds + 1):
        for name in SIDES if number % 2 else SIDES[::-1]:
            workers[name].stdin.write("go\n")
            workers[name].stdin.flush()
            seconds = json.loads(workers[name].stdout.readline())
            if number:  # the first round warms up
                totals[name].append(sum(seconds))
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    record: dict = {}
    for name in SIDES:
        every, timed = facts[name].pop("tokens")
        epochs = [
            total * every / timed for total in totals[name]
        ]  # the time of a step grows with its tokens, padding included
        record[name] = {**facts[name], "timed_batches": TIMED[name], "places_an_epoch": every,
                        "epoch_seconds": round(statistics.median(epochs), 1),
                        "epoch_seconds_of_rounds": [round(epoch, 1) for epoch in epochs]}  # fmt: skip
    ratios = [a / b for a, b in zip(*(record[name]["epoch_seconds_of_rounds"] for name in SIDES), strict=True)]
    record["times_faster"] = {"median": round(statistics.median(ratios), 1), "lowest": round(min(ratios), 1)}
    return record


def measure_accuracy() -> dict:
    """Return test accuracy of both sides after equal epochs on equal reviews, with intervals over blocks."""
    asked = {"stdout": subprocess.PIPE, "check": True, "cwd": records.ROOT}
    found = {name: json.loads(subprocess.run(command(name, "accuracy"), **asked).stdout) for name in SIDES}  # type: ignore[call-overload]
    record: dict = {"epochs": EPOCHS, "train_reviews": ACCURACY_REVIEWS, "test_reviews": len(found["course"]["correct"])}
    blocks = np.array(found["course"]["blocks"])
    for name, result in found.items():
        interval = block_interval(np.array(result["correct"]), blocks)
        record[name] = {"accuracy": interval.estimate, "low": interval.low, "high": interval.high}
        record[name]["train_seconds"] = result["seconds"]
    gain = difference_interval(found["course"]["correct"], found["listing"]["correct"], blocks)
    record["course_minus_listing"] = {"difference": gain.estimate, "low": gain.low, "high": gain.high}
    return json.loads(json.dumps(record), parse_float=lambda number: round(float(number), 4))


def processor() -> str:
    """Return the name of the processor, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("time", "accuracy"))
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is timed (time)")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        return train_worker(options.side) if options.what == "accuracy" else time_worker(options.side)
    measured = measure_time(options.rounds) if options.what == "time" else measure_accuracy()
    measured |= {"date": date.today().isoformat(), "hardware": f"{processor()}, {os.cpu_count()} cores"}
    measured |= {"commit": records.commit()}
    record = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    records.write(RESULT, record | {options.what: measured})
    print(json.dumps(measured, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
