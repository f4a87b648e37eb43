"""What `course bench` times of the course: fine-tuning by `training.fit` with each of its choices, the LSTM, prediction."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from bench.jobs import BATCH_SIZE, LEARNING_RATE, Job, Prepare, padded_tokens
from course_utils import batching, cost, data, device, layers, models, prediction, pretrained, text, training
from course_utils.batching import TokenDataset


@contextmanager
def plain_models() -> Iterator[None]:
    """Load models as transformers makes them: `device.prepare_for_bfloat16` is switched off."""
    before = os.environ.get("COURSE_PLAIN_MODELS")
    os.environ["COURSE_PLAIN_MODELS"] = "1"
    try:
        yield
    finally:
        del os.environ["COURSE_PLAIN_MODELS"]
        if before is not None:
            os.environ["COURSE_PLAIN_MODELS"] = before


def fine_tuning_config(seed: int, mixed_precision: str | None = None) -> training.TrainingConfig:
    """Return what all fine-tuning runs by the course have in common."""
    shared = {"num_epochs": 1, "batch_size": BATCH_SIZE}
    return training.TrainingConfig(**shared, learning_rate=LEARNING_RATE, mixed_precision=mixed_precision, seed=seed)


def training_batches(dataset: TokenDataset, batch_size: int, seed: int) -> list[np.ndarray]:
    """Return the batches of the first epoch of `training.fit`."""
    sampler = batching.LengthBucketSampler(dataset.lengths, batch_size=batch_size, seed=seed)
    return [np.array(batch) for batch in sampler]


def course_run(
    dataset: TokenDataset, *, dropout: float = 0.0, frozen: int | None = None, plain: bool = False,
    mixed_precision: str | None = None,
) -> Prepare:  # fmt: skip
    """Return one epoch by `training.fit`, validated on a single text.

    Args:
        frozen: freeze the embeddings and so many layers; None trains everything.
        plain: load the model without `device.prepare_for_bfloat16`.
    """

    def prepare(seed: int) -> Job:
        with plain_models() if plain else nullcontext():
            model = pretrained.load_classifier(dropout=dropout, seed=seed).to(device.choose_device())
        if frozen is not None:
            layers.freeze_below(model, frozen)
        config = fine_tuning_config(seed, mixed_precision)
        batches = training_batches(dataset, BATCH_SIZE, seed)

        def run() -> int:
            training.fit(model, dataset, dataset.take(np.array([0])), config, on_step=lambda history: None)
            return padded_tokens(dataset.lengths, batches)

        return Job(run, model, cost.count_flops(model, dataset.lengths, batches, trains=True))

    return prepare


def cached_run(dataset: TokenDataset, *, frozen: int, first_epoch: bool) -> Prepare:
    """Return one epoch over the cached states of `frozen` layers; in the first epoch caching them is timed too."""

    def prepare(seed: int) -> Job:
        model = pretrained.load_classifier(seed=seed).to(device.choose_device())
        layers.freeze_below(model, frozen)
        cached = None if first_epoch else layers.hidden_states(model, dataset, layer=frozen)
        batches = training_batches(dataset, BATCH_SIZE, seed)

        def run() -> int:
            states = cached or layers.hidden_states(model, dataset, layer=frozen)
            upper, one = layers.UpperLayers(model, frozen), states.take(np.array([0]))
            training.fit(upper, states, one, fine_tuning_config(seed), on_step=lambda history: None)
            return padded_tokens(dataset.lengths, batches)

        return Job(run, model)

    return prepare


def train_on_batches(model: nn.Module, loader: DataLoader, config: training.TrainingConfig) -> int:
    """Train one epoch on the batches of `loader` and return the tokens computed, padding included.

    This is the loop of `training.fit`, which chooses its batches itself; it leaves out validation and best weights.
    """
    torch.manual_seed(config.seed)
    accelerator, tokens = device.make_accelerator(mixed_precision=config.mixed_precision), 0
    optimizer = training.make_optimizer(model, config)
    schedule = training.linear_schedule(optimizer, num_steps=len(loader), warmup_ratio=config.warmup_ratio)
    model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    model.train()
    for batch in loader:
        labels = batch.pop("labels")
        output = model(**batch)
        loss = nn.functional.cross_entropy(getattr(output, "logits", output), labels)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        loss.item()
        tokens += batch["attention_mask"].numel()
    device.release(accelerator, model).eval()
    return tokens


def shuffled_run(dataset: TokenDataset) -> Prepare:
    """Return one epoch as by `training.fit`, but on a plain shuffled `DataLoader`."""

    def prepare(seed: int) -> Job:
        model, generator = pretrained.load_classifier(seed=seed), torch.Generator().manual_seed(seed)
        loader: DataLoader = DataLoader(
            dataset,
            batch_size=BATCH_SIZE,
            shuffle=True,
            generator=generator,
            collate_fn=batching.collate,
            pin_memory=torch.cuda.is_available(),
        )
        model = model.to(device.choose_device())
        return Job(lambda: train_on_batches(model, loader, fine_tuning_config(seed)), model)

    return prepare


def course_lstm_run(dataset: TokenDataset, vocab_size: int) -> Prepare:
    """Return an epoch of notebook 03: `training.fit` with its configuration, validated on a single text."""

    def prepare(seed: int) -> Job:
        torch.manual_seed(seed)
        model = models.LSTMClassifier(vocab_size).to(device.choose_device())
        config = training.TrainingConfig(num_epochs=1, learning_rate=3e-3, batch_size=64, seed=seed)
        batches = training_batches(dataset, 64, seed)

        def run() -> int:
            training.fit(model, dataset, dataset.take(np.array([0])), config, on_step=lambda history: None)
            return padded_tokens(dataset.lengths, batches)

        return Job(run, model)

    return prepare


def course_prediction(
    reviews: data.Reviews, max_length: int, *, batch_size: int = 256, max_batch_tokens: int | None = None
) -> Prepare:
    """Return tokenising and `prediction.predict_proba`, with its limits of a batch."""
    tokenizer = pretrained.load_tokenizer()

    def prepare(seed: int) -> Job:
        model, tokens = pretrained.load_classifier(seed=seed).to(device.choose_device()).eval(), 0

        def count(module: nn.Module, positional: tuple, batch: dict[str, torch.Tensor]) -> None:
            nonlocal tokens
            tokens += batch["input_ids"].numel()

        model.register_forward_pre_hook(count, with_kwargs=True)

        def run() -> int:
            encoded = text.encode_wordpieces(reviews, tokenizer, max_length=max_length)
            prediction.predict_proba(model, encoded, batch_size=batch_size, max_batch_tokens=max_batch_tokens)
            return tokens

        return Job(run)

    return prepare
