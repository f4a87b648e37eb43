"""Time the course's ways side by side with others, and write bench/results/speed_DEVICE_PRECISION.json.

    course bench                     every comparison but the long ones
    course bench --list              what there is, and what each answers
    course bench sentences lstm      these only; the record of the others is kept
    course bench --rounds 5          more rounds, narrower medians
    course bench --quick             tiny sizes: does it run? (writes outputs/speed_quick.json)

In each round every side trains or predicts once, on the same texts with the same seed, and the order turns round
from one round to the next. Loading a model is not timed. Of each side the median of the rounds is kept with its
range; ratios are taken within rounds. What a side computes is counted too, in token places, padding included.
The results hold for an idle machine: close other programs first.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench import records
from course_utils import batching, cost, data, device, layers, models, prediction, pretrained, text, training
from course_utils.evaluation import block_interval
from course_utils.text import EncodedTexts

QUICK_RESULT = records.ROOT / "outputs" / "speed_quick.json"
BATCH_SIZE, LEARNING_RATE = 32, 1e-4
PAID_BY_ACCURACY = "Dropout is left out: the rows with accuracies (`course bench accuracy`) say whether that costs any."


@dataclass
class Job:
    """One run, ready to start. Running it returns the token places it computed, or 0 where nobody counts them."""

    run: Callable[[], int]
    model: nn.Module | None = None  # after the run: trained
    flops: float = 0.0  # of its matrix products, for the sides that the cost model foretells


@dataclass(frozen=True)
class Side:
    """One way of doing it. `prepare(seed)` is not timed."""

    name: str
    differs: str
    prepare: Callable[[int], Job]


@dataclass(frozen=True)
class Comparison:
    """Ways of doing the same; ratios are seconds of each side over seconds of the first."""

    question: str
    equal: str
    sides: list[Side]
    tokens: int  # real tokens that one run reads
    texts: int
    trades: str = "Nothing: every side computes the same, up to rounding."
    test: tuple[EncodedTexts, np.ndarray] | None = None  # texts to score each trained model on, with their blocks


@dataclass
class Measured:
    """What the rounds of one side gave."""

    seconds: list[float] = field(default_factory=list)
    places: int = 0
    flops: float = 0.0
    correct: list[np.ndarray] = field(default_factory=list)
    step_rates: list[float] = field(default_factory=list)  # FLOP/s of training steps, before each run


# --- the texts


@dataclass(frozen=True)
class Sizes:
    """How many texts each comparison takes."""

    sentences: int = 640
    reviews: int = 128
    review_tokens: int = 256
    ablation: int = 160
    pieces: int = 32
    lstm: int = 1_280
    predicted: int = 512
    predicted_reviews: int = 64
    accuracy: int = 2_000  # to train on; the test part is whole
    tested: int | None = None


QUICK = Sizes(8, 4, 16, 8, 4, 12, 6, 4, 8, 8)


def wordpieces(source: str, size: int | None, max_tokens: int, *, part: str = "train") -> tuple[EncodedTexts, data.Reviews]:
    """Return `size` texts of a source, spread evenly over it, as word pieces and as they are."""
    reviews = data.evenly(getattr(data.load_splits(source), part), size)
    return text.encode_wordpieces(reviews, pretrained.load_tokenizer(), max_length=max_tokens), reviews


def places_of(lengths: np.ndarray, batches: list[np.ndarray]) -> int:
    return sum(len(batch) * int(lengths[batch].max()) for batch in batches)


# --- the ways


def course_run(encoded: EncodedTexts, *, dropout: float = 0.0, frozen: int | None = None, cached: bool = False,
               cache_timed: bool = True, **choices: Any) -> Callable[[int], Job]:  # fmt: skip
    """Return one epoch by `training.fit`, validated on a single text; each choice is an argument of the course."""
    one = encoded.take(np.array([0]))

    def prepare(seed: int) -> Job:
        model = pretrained.load_classifier(dropout=dropout, seed=seed)
        if frozen is not None:
            layers.freeze_below(model, frozen)
        settings = training.TrainingConfig(
            num_epochs=1, learning_rate=LEARNING_RATE, batch_size=BATCH_SIZE, seed=seed, **choices
        )
        generator = torch.Generator().manual_seed(seed)  # as fit makes its batches
        batches = batching.make_batches(
            encoded.lengths, batch_size=BATCH_SIZE, generator=generator, bucketed=settings.bucketed
        )
        states = layers.hidden_states(model, encoded, layer=frozen or 0) if cached and not cache_timed else None

        def run() -> int:
            texts, trained = encoded, model
            if cached:
                texts = states or layers.hidden_states(model, encoded, layer=frozen or 0)
                trained = layers.UpperLayers(model, frozen or 0)
            validation = texts.take(np.array([0])) if cached else one
            training.fit(trained, texts, validation, settings, on_progress=lambda progress: None)
            return places_of(encoded.lengths, batches)

        every = choices.get("every_token", False)
        flops = 0.0 if cached else cost.count_flops(model, encoded.lengths, batches, trains=True, every_token=every)
        return Job(run, model, flops)

    return prepare


def trainer_run(encoded: EncodedTexts, *, strategy: str) -> Callable[[int], Job]:
    """Return one epoch by Hugging Face's Trainer as its course sets it up: dynamic padding, the model's own dropout.

    Grouped by length it also gets bfloat16, where the processor has it: what a user in the know would set.
    """

    def prepare(seed: int) -> Job:
        from transformers import (
            AutoModelForSequenceClassification,
            DataCollatorWithPadding,
            PrinterCallback,
            Trainer,
            TrainingArguments,
            set_seed,
        )

        set_seed(seed)
        with device.quiet_loading():
            model = AutoModelForSequenceClassification.from_pretrained(pretrained.checkpoint_path(), num_labels=2)
        pad, places = DataCollatorWithPadding(pretrained.load_tokenizer()), 0

        def collate(rows: list[dict]) -> dict:
            nonlocal places
            batch = pad(rows)
            places += batch["input_ids"].numel()
            return batch

        rows = [
            {"input_ids": ids.tolist(), "attention_mask": [1] * len(ids), "labels": int(label)}
            for ids, label in zip(encoded.input_ids, encoded.labels, strict=True)
        ]
        arguments = TrainingArguments(
            output_dir=str(records.ROOT / "outputs" / "trainer"), num_train_epochs=1, per_device_train_batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE, seed=seed, train_sampling_strategy=strategy,
            bf16=strategy == "group_by_length" and device.has_fast_bfloat16(), use_cpu=not torch.cuda.is_available(),
            report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(model, arguments, train_dataset=rows, data_collator=collate)
        trainer.remove_callback(PrinterCallback)

        def run() -> int:
            trainer.train()
            return places

        return Job(run, model)

    return prepare


def plain_lstm_run(encoded: EncodedTexts, vocab_size: int) -> Callable[[int], Job]:
    """Return an epoch of notebook 03's network by the loop of most tutorials: random batches, pad_sequence, Adam."""

    def prepare(seed: int) -> Job:
        torch.manual_seed(seed)
        model = models.LSTMClassifier(vocab_size).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        texts, labels = [torch.from_numpy(ids) for ids in encoded.input_ids], torch.from_numpy(encoded.labels)

        def run() -> int:
            places = 0
            for indices in torch.randperm(len(texts)).split(64):
                input_ids = nn.utils.rnn.pad_sequence([texts[i] for i in indices], batch_first=True)
                loss = nn.functional.cross_entropy(model(input_ids, (input_ids != 0).long()), labels[indices])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                places += input_ids.numel()
            return places

        return Job(run, model)

    return prepare


def course_lstm_run(encoded: EncodedTexts, vocab_size: int) -> Callable[[int], Job]:
    """Return an epoch of notebook 03: `training.fit` in its settings, validated on a single text."""

    def prepare(seed: int) -> Job:
        torch.manual_seed(seed)
        model = models.LSTMClassifier(vocab_size)
        settings = training.TrainingConfig(num_epochs=1, learning_rate=3e-3, batch_size=64, seed=seed)
        batches = batching.make_batches(encoded.lengths, batch_size=64, generator=torch.Generator().manual_seed(seed))

        def run() -> int:
            training.fit(model, encoded, encoded.take(np.array([0])), settings, on_progress=lambda progress: None)
            return places_of(encoded.lengths, batches)

        return Job(run, model)

    return prepare


def course_prediction(reviews: data.Reviews, cut_at: int, **options: Any) -> Callable[[int], Job]:
    """Return tokenising and `prediction.predict_proba`."""
    tokenizer = pretrained.load_tokenizer()

    def prepare(seed: int) -> Job:
        model, places = pretrained.load_classifier(seed=seed).eval(), 0

        def count(module: nn.Module, positional: tuple, batch: dict[str, torch.Tensor]) -> None:
            nonlocal places
            places += batch["input_ids"].numel()

        model.register_forward_pre_hook(count, with_kwargs=True)

        def run() -> int:
            prediction.predict_proba(model, text.encode_wordpieces(reviews, tokenizer, max_length=cut_at), **options)
            return places

        return Job(run)

    return prepare


def pipeline_prediction(reviews: data.Reviews, max_tokens: int) -> Callable[[int], Job]:
    """Return the same by `transformers.pipeline(batch_size=32)`, which takes the texts in the order of the data."""

    def prepare(seed: int) -> Job:
        from transformers import pipeline

        model, tokenizer = pretrained.load_classifier(seed=seed), pretrained.load_tokenizer()
        classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu", batch_size=32)
        lengths = text.encode_wordpieces(reviews, tokenizer, max_length=max_tokens).lengths
        batches = batching.make_batches(lengths, batch_size=32, bucketed=False)

        def run() -> int:
            classify(list(reviews.texts), top_k=None, truncation=True, max_length=max_tokens)
            return places_of(lengths, batches)

        return Job(run)

    return prepare


# --- the comparisons


def _against_trainer(source: str, size: int | None, max_tokens: int, **more: Any) -> Comparison:
    encoded, _ = wordpieces(source, size, max_tokens)
    fast = "bfloat16" if device.has_fast_bfloat16() else "float32"
    grouped, plain = (trainer_run(encoded, strategy=strategy) for strategy in ("group_by_length", "random"))
    return Comparison(
        f"How long is an epoch of fine-tuning on {len(encoded):,} texts of {source}, up to {max_tokens} tokens?",
        f"texts, tokens, one epoch, batch {BATCH_SIZE}, fused AdamW at {LEARNING_RATE:g}, clipping; "
        "all weights trained unless it says so",
        [
            Side("training.fit", f"batches of like length, no dropout, {fast}", course_run(encoded)),
            Side("Trainer, group_by_length", f"groups of like length, dropout 0.1, {fast}", grouped),
            Side("Trainer, defaults", "random batches, dropout 0.1, float32", plain),
        ],
        int(encoded.lengths.sum()),
        len(encoded),
        trades=PAID_BY_ACCURACY,
        **more,
    )


def sentences(sizes: Sizes) -> Comparison:
    return _against_trainer("rotten_tomatoes", sizes.sentences, 48)


def reviews(sizes: Sizes) -> Comparison:
    return _against_trainer("imdb", sizes.reviews, sizes.review_tokens)


def accuracy(sizes: Sizes) -> Comparison:
    test, parts = wordpieces("rotten_tomatoes", sizes.tested, 48, part="test")
    comparison = _against_trainer("rotten_tomatoes", sizes.accuracy, 48, test=(test, parts.blocks))
    encoded, _ = wordpieces("rotten_tomatoes", sizes.accuracy, 48)
    comparison.sides[:1] = [
        Side("training.fit as in notebook 06", "the table of word pieces is not trained", course_run(encoded, frozen=0)),
        Side("training.fit, all weights", "the table is trained too", comparison.sides[0].prepare),
        Side("training.fit, dropout 0.1", "and with dropout", course_run(encoded, dropout=0.1)),
    ]
    return comparison


def ablation(sizes: Sizes) -> Comparison:
    encoded, _ = wordpieces("rotten_tomatoes", sizes.ablation, 48)
    other = "float32" if device.has_fast_bfloat16() else None
    sides = [
        Side("training.fit", "every choice as it is by default", course_run(encoded)),
        Side("dropout=0.1", "masks are drawn in every layer", course_run(encoded, dropout=0.1)),
        Side("bucketed=False", "random batches", course_run(encoded, bucketed=False)),
        Side("fused=False", "AdamW in many small kernels", course_run(encoded, fused=False)),
        *(
            [Side(f"precision={other!r}", "matrix products in float32", course_run(encoded, precision=other))]
            if other
            else []
        ),
        Side("every_token=True", "the last layer computes what no head reads", course_run(encoded, every_token=True)),
        Side("embeddings frozen", "the table of word pieces is not trained", course_run(encoded, frozen=0)),
        Side("4 layers frozen", "and neither are the lower 4 of 6 layers", course_run(encoded, frozen=4)),
        Side(
            "4 layers frozen, cached, first epoch",
            "their states are computed once, within the time",
            course_run(encoded, frozen=4, cached=True),
        ),
        Side(
            "4 layers frozen, cached, later epochs",
            "their states are there already",
            course_run(encoded, frozen=4, cached=True, cache_timed=False),
        ),
    ]
    return Comparison(
        f"What is each choice worth, on {len(encoded):,} sentences?",
        f"texts, one epoch, batch {BATCH_SIZE}, rate {LEARNING_RATE:g}",
        sides,
        int(encoded.lengths.sum()),
        len(encoded),
        trades="Dropout, random batches and frozen layers change what is learned; the other rows compute the same.",
    )


def pieces(sizes: Sizes) -> Comparison:
    encoded, _ = wordpieces("imdb", sizes.pieces, sizes.review_tokens)
    sides = [Side("whole batches", "max_tokens=None", course_run(encoded))]
    for budget in (2_048, 1_024):
        sides.append(Side(f"max_tokens={budget:,}", "pieces whose gradients add up", course_run(encoded, max_tokens=budget)))
    return Comparison(
        f"Are batches of {BATCH_SIZE} x {sizes.review_tokens} tokens faster in pieces that fit the cache?",
        "reviews, one epoch, the same gradient in every step",
        sides,
        int(encoded.lengths.sum()),
        len(encoded),
    )


def _lstm_texts(sizes: Sizes) -> tuple[EncodedTexts, EncodedTexts, int]:
    """Return reviews cut to their last 200 words, the same reviews whole, and the size of their vocabulary."""
    reviews = data.evenly(data.load_splits("imdb").train, sizes.lstm)
    words = text.Vocabulary.from_tokens(text.basic_english(review) for review in reviews.texts)
    cut = text.encode_words(reviews, words, max_length=200, keep="last")
    return cut, text.encode_words(reviews, words, max_length=10_000), len(words)


LSTM_ALIKE = "reviews, network, one epoch, batch 64, rate 0.003"
PLAIN_LOOP = "random batches, padded to their longest, Adam, no clipping"


def lstm(sizes: Sizes) -> Comparison:
    cut, whole, vocab_size = _lstm_texts(sizes)
    return Comparison(
        f"How long does an epoch of the LSTM take on {len(cut):,} reviews?",
        LSTM_ALIKE,
        [
            Side("notebook 03", "the last 200 words, batches of like length", course_lstm_run(cut, vocab_size)),
            Side("plain loop, 200 words", PLAIN_LOOP, plain_lstm_run(cut, vocab_size)),
            Side("plain loop, whole reviews", "the same on all words of each review", plain_lstm_run(whole, vocab_size)),
        ],
        int(cut.lengths.sum()),
        len(cut),
        trades="The first two sides read the last 200 words of a review only; notebook 03 measures with them.",
    )


def lstm_whole(sizes: Sizes) -> Comparison:
    _, whole, vocab_size = _lstm_texts(sizes)
    return Comparison(
        f"And on {len(whole):,} whole reviews, none cut?",
        LSTM_ALIKE,
        [
            Side("training.fit", "batches of like length", course_lstm_run(whole, vocab_size)),
            Side("plain loop", PLAIN_LOOP, plain_lstm_run(whole, vocab_size)),
        ],
        int(whole.lengths.sum()),
        len(whole),
        trades="Batches of like length are less mixed; the words read are the same.",
    )


def _prediction(source: str, size: int, max_tokens: int) -> Comparison:
    encoded, texts = wordpieces(source, size, max_tokens, part="test")
    sides = [
        Side("predict_proba", "sorted by length, batches by tokens", course_prediction(texts, max_tokens)),
        Side(
            "predict_proba, batch_size=32",
            "sorted by length, batches of fixed size",
            course_prediction(texts, max_tokens, batch_size=32, max_tokens=10**6),
        ),
        Side("pipeline(batch_size=32)", "in the order of the data", pipeline_prediction(texts, max_tokens)),
    ]
    return Comparison(
        f"How long do predictions for {len(texts):,} texts of {source} take, from text to probability?",
        f"texts, model, tokens (up to {max_tokens}), probabilities",
        sides,
        int(encoded.lengths.sum()),
        len(texts),
    )


def prediction_sentences(sizes: Sizes) -> Comparison:
    return _prediction("rotten_tomatoes", sizes.predicted, 48)


def prediction_reviews(sizes: Sizes) -> Comparison:
    return _prediction("imdb", sizes.predicted_reviews, sizes.review_tokens)


COMPARISONS: dict[str, tuple[Callable[[Sizes], Comparison], str]] = {
    "sentences": (sentences, "an epoch of fine-tuning on sentences, against Hugging Face's Trainer"),
    "reviews": (reviews, "the same on long reviews"),
    "ablation": (ablation, "what each choice of the course is worth"),
    "pieces": (pieces, "long batches whole or in pieces"),
    "lstm": (lstm, "an epoch of the LSTM of notebook 03, against a plain loop"),
    "lstm-whole": (lstm_whole, "the same on whole reviews of every length"),
    "prediction": (prediction_sentences, "bulk prediction of sentences, against transformers.pipeline"),
    "prediction-reviews": (prediction_reviews, "the same on long reviews"),
    "accuracy": (
        accuracy,
        "test accuracy with each choice, and the Trainer's (20 minutes; only if named)",
    ),
}
ONLY_IF_NAMED = {"accuracy"}


# --- measuring


def measure(comparison: Comparison, rounds: int) -> tuple[dict[str, Measured], list[float]]:
    """Return what each side gave, and the GEMM rate (FLOP/s) measured before each round."""
    measured = {side.name: Measured() for side in comparison.sides}
    rates = []
    for number in range(rounds):
        rates.append(cost.gemm_rate())
        for side in comparison.sides if number % 2 == 0 else reversed(comparison.sides):
            job, into = side.prepare(number), measured[side.name]
            if job.flops and side is comparison.sides[0]:
                into.step_rates.append(cost.step_rate(job.model))
            gc.collect()
            started = time.perf_counter()
            into.places = job.run()
            into.seconds.append(time.perf_counter() - started)
            into.flops = job.flops
            if comparison.test and job.model is not None:
                texts, _ = comparison.test
                into.correct.append(prediction.evaluate(job.model, texts).predictions == texts.labels)
            print(f"  round {number + 1}, {side.name}: {into.seconds[-1]:.2f} s", flush=True)
    return measured, rates


def spread(values: Iterable[float], digits: int = 3) -> dict[str, float]:
    """Return median, lowest and highest."""
    values = list(values)
    return {name: round(f(values), digits) for name, f in (("median", statistics.median), ("low", min), ("high", max))}


def record(comparison: Comparison, measured: dict[str, Measured], rates: list[float]) -> dict[str, Any]:
    """Return one comparison as it is kept in the file."""
    first = measured[comparison.sides[0].name]
    sides = []
    for side in comparison.sides:
        got = measured[side.name]
        row: dict[str, Any] = {"name": side.name, "differs": side.differs, "seconds": spread(got.seconds)}
        row["times_first"] = spread(a / b for a, b in zip(got.seconds, first.seconds, strict=True))
        row["tokens_per_second"] = round(comparison.tokens / statistics.median(got.seconds))
        row["texts_per_second"] = round(comparison.texts / statistics.median(got.seconds), 1)
        row["places"] = got.places
        if got.flops:
            row["share_of_gemm"] = spread(got.flops / s / r for s, r in zip(got.seconds, rates, strict=True))
        if got.step_rates:
            foretold = [got.flops / rate for rate in got.step_rates]
            row["foretold_over_measured"] = spread(f / s for f, s in zip(foretold, got.seconds, strict=True))
        if got.correct and comparison.test:
            mean = np.mean(got.correct, axis=0)  # (n,), over seeds
            row["accuracy"] = asdict(block_interval(mean, comparison.test[1]))
            gain = mean - np.mean(first.correct, axis=0)
            row["accuracy_over_first"] = asdict(block_interval(gain, comparison.test[1]))
        sides.append(row)
    return {
        "question": comparison.question, "equal": comparison.equal, "trades": comparison.trades, "rounds": len(rates),
        "tokens": comparison.tokens, "texts": comparison.texts, "gemm_gflops": spread((r / 1e9 for r in rates), 1),
        "sides": sides, "measured": surroundings(),
    }  # fmt: skip


def surroundings() -> dict[str, str]:
    """Return where and with what a comparison was measured."""
    here = device.choose_device()
    return {
        "hardware": f"{device.hardware()}, {here.type}",
        "threads": str(torch.get_num_threads()),
        "precision": str(device.choose_precision(here)).removeprefix("torch."),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "transformers", "accelerate")},
        "commit": records.commit(short=True),
        "date": date.today().isoformat(),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="course bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which comparisons (default: all but the long ones)")
    parser.add_argument("--list", action="store_true", help="list the comparisons and stop")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round: only to see that it runs")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs (default: 3)")
    parser.add_argument("--out", type=Path, help="where to write (default: as above)")
    options = parser.parse_args(arguments)
    if options.list:
        for name, (_, says) in COMPARISONS.items():
            print(f"{name:<19} {says}")
        return 0
    if unknown := set(options.names) - set(COMPARISONS):
        parser.error(f"There is no comparison {', '.join(sorted(unknown))}. Choose from: {', '.join(COMPARISONS)}.")
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more.")
    sizes, rounds = (QUICK, 1) if options.quick else (Sizes(), options.rounds)
    out = options.out or (QUICK_RESULT if options.quick else records.RESULTS / f"speed_{device.machine_kind()}.json")
    kept = json.loads(out.read_text())["comparisons"] if out.exists() else {}
    for name in options.names or [name for name in COMPARISONS if name not in ONLY_IF_NAMED]:
        comparison = COMPARISONS[name][0](sizes)
        print(f"{name}: {comparison.question}", flush=True)
        kept[name] = record(comparison, *measure(comparison, rounds))
        ordered = {each: kept[each] for each in COMPARISONS if each in kept}
        records.write(out, {"comparisons": ordered})
    print(f"written: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
