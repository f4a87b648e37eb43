"""The training loop of the course: the one of notebook 03, on `DataLoader`, `torch.optim` and `accelerate.Accelerator`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from .batching import SequenceDataset, make_loader
from .device import DTYPES, make_accelerator, release
from .prediction import Evaluation, evaluate


@dataclass(frozen=True)
class TrainingConfig:
    """What decides a training run.

    batch_size: texts in a batch. A step of the optimiser sees `gradient_accumulation_steps` batches.
    learning_rate: the highest; it warms up over `warmup_ratio` of all steps, then falls linearly to 0.
    patience: stop after so many epochs without a better validation accuracy; None: never.
    mixed_precision: "no", "bf16" or "fp16" for matrix products, Accelerate's names; None takes what the device does well.
    """

    num_epochs: int = 2
    learning_rate: float = 1e-3
    batch_size: int = 32
    weight_decay: float = 0.01
    warmup_ratio: float = 0.1
    max_grad_norm: float = 1.0
    gradient_accumulation_steps: int = 1
    patience: int | None = None
    mixed_precision: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        counts = self.num_epochs, self.batch_size, self.gradient_accumulation_steps
        if min(counts) < 1 or not self.learning_rate > 0 or (self.patience is not None and self.patience < 1):
            raise ValueError(
                "num_epochs, batch_size, gradient_accumulation_steps and patience must be 1 or more (patience may be None), "
                "and learning_rate above 0."
            )
        if self.mixed_precision not in (None, *DTYPES):
            raise ValueError(f"mixed_precision must be one of {', '.join(DTYPES)} or None, not {self.mixed_precision!r}.")


@dataclass(frozen=True)
class EpochRecord:
    """What was measured in one epoch, counted from 1.

    Losses are cross-entropies, mean over examples; accuracy 0 to 1; seconds include validation; tokens exclude padding.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float
    tokens: int
    step: int  # batches of the run so far


@dataclass
class History:
    """All that `fit` measured so far; after the run the model contains the weights of `best_epoch`.

    num_steps: batches of the whole run. step_losses: the training loss of each batch so far. interrupted: the run was
    stopped before its last epoch; `best_epoch` is None if no epoch was complete.
    """

    num_epochs: int
    num_steps: int
    records: list[EpochRecord] = field(default_factory=list)
    step_losses: list[float] = field(default_factory=list)
    step_sizes: list[int] = field(default_factory=list)  # texts of each batch
    tokens: int = 0  # real tokens read while training
    best_epoch: int | None = None
    interrupted: bool = False
    started: float = field(default_factory=time.perf_counter, repr=False)

    @property
    def step(self) -> int:
        """Batches so far."""
        return len(self.step_losses)

    @property
    def elapsed(self) -> float:
        """Seconds since the run started."""
        return time.perf_counter() - self.started

    @property
    def seconds(self) -> float:
        """Seconds of all complete epochs, validation included."""
        return sum(record.seconds for record in self.records)

    def add_step(self, loss: float, *, size: int, tokens: int) -> None:
        """Note the loss of a batch of `size` texts with `tokens` real tokens.

        Raises:
            FloatingPointError: the loss is NaN or infinite.
        """
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss became {loss} at step {self.step + 1}. Load a fresh model and take a smaller learning_rate."
            )
        self.step_losses.append(loss)
        self.step_sizes.append(size)
        self.tokens += tokens

    def add_epoch(self, validation: Evaluation) -> bool:
        """Note an epoch, with what `validation` measured after it, and return whether it is the best so far."""
        before = self.records[-1] if self.records else None
        first = before.step if before else 0
        loss = float(np.average(self.step_losses[first:], weights=self.step_sizes[first:]))
        seconds, tokens = self.elapsed - self.seconds, self.tokens - sum(record.tokens for record in self.records)
        best = max((record.validation_accuracy for record in self.records), default=-1.0)
        epoch = len(self.records) + 1
        self.records.append(EpochRecord(epoch, loss, validation.loss, validation.accuracy, seconds, tokens, self.step))
        if validation.accuracy > best:
            self.best_epoch = epoch
        return self.best_epoch == epoch


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return AdamW over the trainable parameters; biases and norms get no weight decay.

    Source: Loshchilov and Hutter, 2019, algorithm 2.

    Raises:
        ValueError: every parameter is frozen.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise ValueError("Every parameter is frozen, so there is nothing to train. Unfreeze the head at least.")
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def linear_schedule(optimizer: torch.optim.Optimizer, *, num_steps: int, warmup_ratio: float = 0.1):
    """Return transformers' schedule: the learning rate rises linearly from 0 to its value, then falls linearly to 0.

    Args:
        num_steps: optimiser steps of the whole run.
        warmup_ratio: the share of them over which it rises.
    """
    from transformers import get_linear_schedule_with_warmup

    return get_linear_schedule_with_warmup(optimizer, int(warmup_ratio * num_steps), num_steps)


@contextmanager
def _shown(on_step: Callable[[History], None] | None, total: int) -> Iterator[Callable[[History], None]]:
    """Yield what to call after each batch: `on_step`, or if it is None a progress bar."""
    if on_step:
        yield on_step
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc="training", unit="step") as bar:

        def show(history: History) -> None:
            bar.set_postfix(loss=f"{history.step_losses[-1]:.3f}", refresh=False)
            bar.update()

        yield show


def _copy_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of what training changes: trainable parameters and buffers."""
    changing = {name: p for name, p in model.named_parameters() if p.requires_grad} | dict(model.named_buffers())
    return {name: value.detach().clone() for name, value in changing.items()}


def fit(
    model: nn.Module, train: SequenceDataset, validation: SequenceDataset, config: TrainingConfig, *,
    optimizer: torch.optim.Optimizer | None = None,
    on_step: Callable[[History], None] | None = None, on_epoch: Callable[[History], None] = lambda history: None,
) -> History:  # fmt: skip
    """Train `model` in place, keep the weights that were best on validation, and return what was measured.

    `on_step` is called after each batch (None shows a progress bar), `on_epoch` after each epoch. The stop button
    (KeyboardInterrupt) ends the run: the best weights are kept, or the present ones if no epoch is complete.

    Raises:
        ValueError: nothing to train on, no labels, or every parameter is frozen.
        FloatingPointError: the loss became NaN or infinite; the message says what to lower.
    """
    if not (len(train) and len(validation)):
        raise ValueError("fit needs at least one training text and one validation text.")
    if train.labels is None or validation.labels is None:
        raise ValueError("These texts have no labels to learn from. Give reviews, or a dataset with labels.")
    torch.manual_seed(config.seed)
    accumulated = config.gradient_accumulation_steps
    accelerator = make_accelerator(mixed_precision=config.mixed_precision, gradient_accumulation_steps=accumulated)
    optimizer = optimizer or make_optimizer(model, config)
    optimizer.zero_grad()  # a run that was stopped may have left gradients
    loader = make_loader(train, batch_size=config.batch_size, seed=config.seed)
    num_updates = config.num_epochs * math.ceil(len(loader) / accumulated)
    schedule = linear_schedule(optimizer, num_steps=num_updates, warmup_ratio=config.warmup_ratio)
    model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    history, best_weights = History(config.num_epochs, config.num_epochs * len(loader)), {}
    try:
        with _shown(on_step, history.num_steps) as show:
            for epoch in range(1, config.num_epochs + 1):
                model.train()
                for batch in loader:
                    with accelerator.accumulate(model):
                        labels = batch.pop("labels")
                        output = model(**batch)
                        logits = getattr(output, "logits", output)  # (B, C)
                        loss = nn.functional.cross_entropy(logits, labels)
                        accelerator.backward(loss)
                        if accelerator.sync_gradients:
                            accelerator.clip_grad_norm_(model.parameters(), config.max_grad_norm)
                        optimizer.step()
                        schedule.step()
                        optimizer.zero_grad()
                    history.add_step(loss.item(), size=len(labels), tokens=int(batch["attention_mask"].sum()))
                    show(history)
                if history.add_epoch(evaluate(model, validation, mixed_precision=config.mixed_precision)):
                    best_weights = _copy_weights(model)
                on_epoch(history)
                if config.patience and epoch - (history.best_epoch or 0) >= config.patience:
                    break
    except KeyboardInterrupt:
        history.interrupted = True
    finally:
        model = release(accelerator, model)
        model.load_state_dict(best_weights, strict=False)
        model.eval()
    return history
