"""The training loop of the course: the one of notebook 03, on `DataLoader`, `torch.optim` and `accelerate.Accelerator`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .batching import SequenceDataset, make_loader
from .device import DTYPES, make_accelerator, prepare, release, whole_batches
from .prediction import NUMBERS, Evaluation, evaluate, loss_of, problem_type
from .processes import own_batch, rank_and_size
from .saving import Saver, changing_weights

SMALLEST = {"num_epochs": 1, "batch_size": 1, "gradient_accumulation_steps": 1, "patience": 1, "seed": 0}
LARGEST = {"learning_rate": 10, "weight_decay": 10, "max_grad_norm": math.inf, "warmup_ratio": 1}


@dataclass(frozen=True)
class TrainingConfig:
    """What decides a training run.

    batch_size: texts in a batch, of each process if there are several (then a batch of all of them is that much larger).
        A step of the optimiser sees `gradient_accumulation_steps` batches.
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
        for name, low in SMALLEST.items():
            value = getattr(self, name)
            whole = isinstance(value, Integral) and not isinstance(value, bool) and low <= int(value) < 2**32
            if not whole and (value, name) != (None, "patience"):
                raise ValueError(f"{name} must be a whole number from {low} to 2**32 - 1, not {value!r}.")
        for name, high in LARGEST.items():
            value, positive = getattr(self, name), name in ("learning_rate", "max_grad_norm")
            if not isinstance(value, Real) or not 0 <= float(value) <= high or (positive and not value):
                raise ValueError(f"{name} must be a number {'above' if positive else 'from'} 0 to {high}, not {value!r}.")
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
                f"The loss became {loss} at step {self.step + 1}. Load a fresh model and use a smaller learning_rate."
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
        best = max((record.validation_accuracy for record in self.records), default=-math.inf)
        epoch = len(self.records) + 1
        self.records.append(EpochRecord(epoch, loss, validation.loss, validation.accuracy, seconds, tokens, self.step))
        if validation.accuracy > best:
            self.best_epoch = epoch
        return self.best_epoch == epoch

    def state_dict(self) -> dict[str, Any]:
        """Return all of it as numbers and lists, for a checkpoint."""
        return asdict(self) | {"started": -self.elapsed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, as if the run had gone on since."""
        records = [EpochRecord(**record) for record in state["records"]]
        vars(self).update(state | {"records": records, "started": time.perf_counter() + state["started"]})


Callback = Callable[[History], None]


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
def _shown(on_step: Callback | None, history: History) -> Iterator[Callback]:
    """Yield what to call after each batch: `on_step`, entered if it is a context, or if it is None a progress bar."""
    if on_step:
        with on_step if isinstance(on_step, AbstractContextManager) else nullcontext():
            yield on_step
        return
    from tqdm.auto import tqdm

    silent = {"disable": True} if rank_and_size()[0] else {}  # the first process shows a bar, if there are several
    with tqdm(total=history.num_steps, initial=history.step, desc="training", unit="step", **silent) as bar:

        def show(history: History) -> None:
            bar.set_postfix(loss=f"{history.step_losses[-1]:.3f}", refresh=False)
            bar.update()

        yield show


def check_texts(model: nn.Module, *datasets: SequenceDataset) -> None:
    """Make sure that `model` can learn from these texts and labels.

    Raises:
        ValueError: no text, no labels, or a label or token id that the model has no row for, with what to do.
    """
    words, head = getattr(model, "embedding", None), getattr(model, "classifier", None)
    words = getattr(model, "get_input_embeddings", lambda: words)()
    vocab_size = getattr(words, "num_embeddings", math.inf)  # a model of another form is not checked
    num_classes = getattr(getattr(model, "config", None), "num_labels", getattr(head, "out_features", math.inf))
    for texts in datasets:
        if not len(texts):
            raise ValueError("fit needs at least one training text and one validation text.")
        if texts.labels is None:
            raise ValueError("These texts have no labels to learn from. Give reviews, or a dataset with labels.")
        lowest, soft = texts.labels.min(), texts.labels.ndim == 2
        needed = texts.labels.shape[1] if soft else texts.labels.max() + 1
        signed = problem_type(model) == NUMBERS
        if not (lowest >= 0 or signed) or needed > num_classes or (soft and needed < num_classes < math.inf):
            raise ValueError(
                f"The labels need {needed} classes (the smallest label is {lowest}), but this model has {num_classes}, "
                f"numbered from 0. Load it with num_classes={needed}, and number the labels from 0."
            )
        ids = np.concatenate(texts.sequences) if texts.name == "input_ids" else np.zeros(1)
        if not 0 <= ids.min() <= ids.max() < vocab_size:
            raise ValueError(
                f"Token ids are {ids.min()} to {ids.max()}, but this model knows {vocab_size} tokens, which count from 0. "
                "Encode the texts with the vocabulary or tokenizer of this model."
            )


def fit(
    model: nn.Module, train: SequenceDataset, validation: SequenceDataset, config: TrainingConfig, *,
    optimizer: torch.optim.Optimizer | None = None, checkpoints: str | Path | None = None, save_steps: int = 500,
    resume: bool = False, on_step: Callback | None = None, on_epoch: Callback = lambda history: None,
) -> History:  # fmt: skip
    """Train `model` in place, keep the weights that were best on validation, and return what was measured.

    `on_step` (None: a progress bar) is called after each batch, and entered if it is a context; `on_epoch` after each epoch.
    The stop button (KeyboardInterrupt) ends the run: the best weights are kept, or the present ones if no epoch is complete.
    The run is saved in `checkpoints` every `save_steps` batches and each epoch; with `resume` the same call goes on.

    Raises:
        ValueError: nothing to train on, labels or ids that the model lacks, all frozen, or resumed with something else.
        FloatingPointError: the loss became NaN or infinite; the message says what to lower.
    """
    check_texts(model, train, validation)
    accumulated = config.gradient_accumulation_steps
    accelerator = make_accelerator(mixed_precision=config.mixed_precision, gradient_accumulation_steps=accumulated)
    torch.manual_seed(config.seed + accelerator.process_index)  # dropout of its own in each process
    optimizer = optimizer or make_optimizer(model, config)
    optimizer.zero_grad()  # a run that was stopped may have left gradients
    batch_size = config.batch_size * accelerator.num_processes
    loader = whole_batches(accelerator, make_loader(train, batch_size=batch_size, seed=config.seed))
    num_updates = config.num_epochs * math.ceil(len(loader) / accumulated)
    schedule = linear_schedule(optimizer, num_steps=num_updates, warmup_ratio=config.warmup_ratio)
    parallel, optimizer, schedule = prepare(accelerator, model, optimizer, schedule, saved=bool(checkpoints))
    history = History(config.num_epochs, config.num_epochs * len(loader))
    saver = Saver(checkpoints, save_steps, resume=resume, accelerator=accelerator, history=history, best_weights={})
    try:
        with saver.running(model, optimizer, config=config, texts=(train, validation)), _shown(on_step, history) as show:
            for epoch in range(len(history.records) + 1, config.num_epochs + 1):
                if config.patience and epoch - 1 - (history.best_epoch or 0) >= config.patience:
                    break
                model.train()
                for whole in saver.rest_of(loader):
                    batch, weight = own_batch(whole)  # in a single process the whole batch and 1
                    with accelerator.accumulate(parallel):
                        labels = batch.pop("labels")
                        output = parallel(**batch)
                        logits = getattr(output, "logits", output)  # (B, C)
                        loss = weight * loss_of(model, logits, labels)
                        accelerator.backward(loss)
                        if accelerator.sync_gradients:
                            accelerator.clip_grad_norm_(model.parameters(), config.max_grad_norm)
                        optimizer.step()
                        schedule.step()
                        optimizer.zero_grad()
                    loss = accelerator.reduce(loss.detach(), "mean").item()  # over processes
                    history.add_step(loss, size=len(whole["labels"]), tokens=int(whole["attention_mask"].sum()))
                    saver.after_step()
                    show(history)
                if history.add_epoch(evaluate(model, validation, mixed_precision=config.mixed_precision, shared=True)):
                    saver.best_weights = changing_weights(model)
                saver.whole = True  # the run could go on from here
                on_epoch(history)
    except KeyboardInterrupt:
        history.interrupted = True
    finally:
        release(accelerator, model).eval().load_state_dict(saver.best_weights, strict=False)
    return history
