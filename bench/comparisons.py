"""The comparisons of `course bench`: what is asked, which sides do the same, and how many texts they get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from bench import course_runs, language_runs, other_runs
from bench.jobs import BATCH_SIZE, LEARNING_RATE, Prepare
from course_utils import data, device, prediction, pretrained, text
from course_utils.batching import TokenDataset

PAID_BY_ACCURACY = "Dropout is left out: the rows with accuracies (`course bench accuracy`) say whether that costs any."
LSTM_SHARED = "reviews, network, one epoch, batch 64, learning rate 0.003"
PLAIN_LOOP = "random batches, padded to their longest, Adam, no clipping"


@dataclass(frozen=True)
class Side:
    """One way of doing it. `prepare(seed)` is not timed."""

    name: str
    differs: str
    prepare: Prepare


@dataclass(frozen=True)
class Scoring:
    """Texts to score each trained model on: which of them it gets right, bool (n,), and their blocks (n,)."""

    correct: Callable[[nn.Module], np.ndarray]
    blocks: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """Ways of doing the same; ratios are seconds of each side over seconds of the first."""

    question: str
    equal: str
    sides: list[Side]
    tokens: int  # real tokens that one run reads
    texts: int
    trades: str = "Nothing: every side computes the same, up to rounding."
    test: Scoring | None = None


@dataclass(frozen=True)
class Sizes:
    """How many texts each comparison takes."""

    sentences: int = 640
    reviews: int = 128
    review_length: int = 256  # tokens
    ablation: int = 160
    lstm: int = 1_280
    predicted: int = 512
    predicted_reviews: int = 64
    accuracy: int = 2_000  # to train on; the test part is whole
    tested: int | None = None
    asked: int = 300  # sentences that the language model is trained on
    answered: int = 400  # and tested on


QUICK = Sizes(8, 4, 16, 8, lstm=12, predicted=6, predicted_reviews=4, accuracy=8, tested=8, asked=4, answered=4)


def wordpieces(source: str, size: int | None, max_length: int, *, part: str = "train") -> tuple[TokenDataset, data.Reviews]:
    """Return `size` texts of a source, spread evenly over it, as WordPieces and as they are."""
    reviews = data.evenly(getattr(data.load_splits(source), part), size)
    return text.encode_wordpieces(reviews, pretrained.load_tokenizer(), max_length=max_length), reviews


def multiplies_bfloat16() -> bool:
    """Return whether runs here are in bfloat16 unless they are told otherwise."""
    return device.choose_precision(device.choose_device()) == torch.bfloat16


def _trainer_sides(dataset: TokenDataset) -> list[Side]:
    fast = "bfloat16" if multiplies_bfloat16() else "float32"
    grouped, plain = (other_runs.trainer_run(dataset, strategy=strategy) for strategy in ("group_by_length", "random"))
    return [
        Side("Trainer, group_by_length", f"groups of similar length, dropout 0.1, {fast}", grouped),
        Side("Trainer, defaults", "random batches, dropout 0.1, float32", plain),
    ]


def _against_trainer(
    source: str, size: int, max_length: int, ours: Callable[[TokenDataset], list[Side]],
    test: Scoring | None = None,
) -> Comparison:  # fmt: skip
    dataset, _ = wordpieces(source, size, max_length)
    return Comparison(
        f"How long is an epoch of fine-tuning on {len(dataset):,} texts of {source}, up to {max_length} tokens?",
        f"texts, tokens, one epoch, batch {BATCH_SIZE}, fused AdamW at {LEARNING_RATE:g}, clipping; "
        "all weights trained unless it says so",
        [*ours(dataset), *_trainer_sides(dataset)],
        int(dataset.lengths.sum()),
        len(dataset),
        trades=PAID_BY_ACCURACY,
        test=test,
    )


def _fit_alone(dataset: TokenDataset) -> list[Side]:
    fast = "bfloat16" if multiplies_bfloat16() else "float32"
    return [Side("training.fit", f"batches of similar length, no dropout, {fast}", course_runs.course_run(dataset))]


def sentences(sizes: Sizes) -> Comparison:
    return _against_trainer("rotten_tomatoes", sizes.sentences, 48, _fit_alone)


def reviews(sizes: Sizes) -> Comparison:
    return _against_trainer("imdb", sizes.reviews, sizes.review_length, _fit_alone)


def accuracy(sizes: Sizes) -> Comparison:
    test, parts = wordpieces("rotten_tomatoes", sizes.tested, 48, part="test")

    def correct(model: nn.Module) -> np.ndarray:
        return prediction.evaluate(model, test).predictions == test.labels

    def ours(dataset: TokenDataset) -> list[Side]:
        run = course_runs.course_run
        return [
            Side("training.fit as in notebook 06", "the WordPiece table is not trained", run(dataset, frozen=0)),
            Side("training.fit, all weights", "the table is trained too", run(dataset)),
            Side("training.fit, dropout 0.1", "and with dropout", run(dataset, dropout=0.1)),
        ]

    return _against_trainer("rotten_tomatoes", sizes.accuracy, 48, ours, Scoring(correct, parts.blocks))


def _in_float32(dataset: TokenDataset) -> list[Side]:
    """Return what switches off the two choices that only bfloat16 has."""
    run, plain = course_runs.course_run, "attention and the states between layers as transformers computes them"
    return [
        Side('mixed_precision="no"', "matrix products in float32", run(dataset, mixed_precision="no")),
        Side("COURSE_PLAIN_MODELS=1", plain, run(dataset, plain=True)),
    ]


def ablation(sizes: Sizes) -> Comparison:
    dataset, _ = wordpieces("rotten_tomatoes", sizes.ablation, 48)
    run, cached = course_runs.course_run, course_runs.cached_run
    sides = [
        Side("training.fit", "every choice as it is by default", run(dataset)),
        Side("dropout=0.1", "masks are drawn in every layer", run(dataset, dropout=0.1)),
        Side("no length buckets", "random batches", course_runs.shuffled_run(dataset)),
        *(_in_float32(dataset) if multiplies_bfloat16() else []),
        Side("embeddings frozen", "the WordPiece table is not trained", run(dataset, frozen=0)),
        Side("4 layers frozen", "and neither are the lower 4 of 6 layers", run(dataset, frozen=4)),
        Side(
            "4 layers frozen, cached, first epoch",
            "their states are computed once, within the time",
            cached(dataset, frozen=4, first_epoch=True),
        ),
        Side(
            "4 layers frozen, cached, later epochs",
            "their states are there already",
            cached(dataset, frozen=4, first_epoch=False),
        ),
    ]
    return Comparison(
        f"What is each choice worth, on {len(dataset):,} sentences?",
        f"texts, one epoch, batch {BATCH_SIZE}, learning rate {LEARNING_RATE:g}",
        sides,
        int(dataset.lengths.sum()),
        len(dataset),
        trades="Dropout, random batches and frozen layers change what is learned; the other rows compute the same.",
    )


def _lstm_texts(sizes: Sizes) -> tuple[TokenDataset, TokenDataset, int]:
    """Return reviews truncated to their last 200 words, the same reviews whole, and the size of their vocabulary."""
    some = data.evenly(data.load_splits("imdb").train, sizes.lstm)
    words = text.Vocabulary.from_tokens(text.basic_english(review) for review in some.texts)
    truncated = text.encode_words(some, words, max_length=200, keep="last")
    return truncated, text.encode_words(some, words, max_length=10_000), len(words)


def lstm(sizes: Sizes) -> Comparison:
    truncated, whole, vocab_size = _lstm_texts(sizes)
    ours, theirs = course_runs.course_lstm_run, other_runs.plain_lstm_run
    return Comparison(
        f"How long does an epoch of the LSTM take on {len(truncated):,} reviews?",
        LSTM_SHARED,
        [
            Side("notebook 03", "the last 200 words, batches of similar length", ours(truncated, vocab_size)),
            Side("plain loop, 200 words", PLAIN_LOOP, theirs(truncated, vocab_size)),
            Side("plain loop, whole reviews", "the same on all words of each review", theirs(whole, vocab_size)),
        ],
        int(truncated.lengths.sum()),
        len(truncated),
        trades="The first two sides read the last 200 words of a review only; notebook 03 measures with them.",
    )


def lstm_whole(sizes: Sizes) -> Comparison:
    _, whole, vocab_size = _lstm_texts(sizes)
    return Comparison(
        f"And on {len(whole):,} whole reviews, none truncated?",
        LSTM_SHARED,
        [
            Side("training.fit", "batches of similar length", course_runs.course_lstm_run(whole, vocab_size)),
            Side("plain loop", PLAIN_LOOP, other_runs.plain_lstm_run(whole, vocab_size)),
        ],
        int(whole.lengths.sum()),
        len(whole),
        trades="Batches of similar length are less mixed; the words read are the same.",
    )


def _prediction(source: str, size: int, max_length: int) -> Comparison:
    dataset, texts = wordpieces(source, size, max_length, part="test")
    ours, fixed = course_runs.course_prediction, {"batch_size": 32, "max_batch_tokens": 10**6}
    return Comparison(
        f"How long do predictions for {len(texts):,} texts of {source} take, from text to probability?",
        f"texts, model, tokens (up to {max_length}), probabilities",
        [
            Side("predict_proba", "sorted by length, batches by tokens", ours(texts, max_length)),
            Side("predict_proba, batch_size=32", "sorted by length, batches of 32", ours(texts, max_length, **fixed)),
            Side("pipeline(batch_size=32)", "in the order of the data", other_runs.pipeline_prediction(texts, max_length)),
        ],
        int(dataset.lengths.sum()),
        len(texts),
    )


def prediction_sentences(sizes: Sizes) -> Comparison:
    return _prediction("rotten_tomatoes", sizes.predicted, 48)


def prediction_reviews(sizes: Sizes) -> Comparison:
    return _prediction("imdb", sizes.predicted_reviews, sizes.review_length)


def language(sizes: Sizes) -> Comparison:
    splits = data.load_splits("rotten_tomatoes")
    train, test = data.evenly(splits.train, sizes.asked), data.evenly(splits.test, sizes.answered)
    rows, precision = language_runs.encode(train), "bfloat16" if multiplies_bfloat16() else "float32"
    grouped, plain = (language_runs.trainer_lora_run(rows, strategy=how) for how in ("group_by_length", "random"))
    logits = "logits of all positions, attention as transformers loads it"
    return Comparison(
        f"How long is an epoch of LoRA on the language model, on {len(train):,} sentences with their labels as answers?",
        f"conversations, adapter, batch {language_runs.BATCH_SIZE}, AdamW at {language_runs.LEARNING_RATE:g}, clipping, "
        f"{precision}",
        [
            Side("chat.fine_tune", "batches of similar length, logits of the answers", language_runs.course_lora_run(rows)),
            Side("Trainer, group_by_length", f"groups of similar length, {logits}", grouped),
            Side("Trainer, defaults", f"random batches, {logits}", plain),
        ],
        sum(len(ids) for ids, _ in rows),
        len(rows),
        trades="Which sentences share a batch, and so the luck of a seed; labels, loss and schedule are the same.",
        test=Scoring(lambda model: language_runs.correct_answers(model, test), test.blocks),
    )


COMPARISONS: dict[str, tuple[Callable[[Sizes], Comparison], str]] = {
    "sentences": (sentences, "an epoch of fine-tuning on sentences, against Hugging Face's Trainer"),
    "reviews": (reviews, "the same on long reviews"),
    "ablation": (ablation, "what each choice of the course is worth"),
    "lstm": (lstm, "an epoch of the LSTM of notebook 03, against a plain loop"),
    "lstm-whole": (lstm_whole, "the same on whole reviews of every length"),
    "prediction": (prediction_sentences, "bulk prediction of sentences, against transformers.pipeline"),
    "prediction-reviews": (prediction_reviews, "the same on long reviews"),
    "language": (language, "LoRA on the language model of notebook 14, against the Trainer (if the model was fetched)"),
    "accuracy": (accuracy, "test accuracy with each choice, and the Trainer's (20 minutes; only if named)"),
}
ONLY_IF_NAMED = {"accuracy", "language"}
