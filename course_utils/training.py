"""The training loop of the course, written out in notebook 03 and used from here afterwards."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .pretrained import first_token_only, last_layer
from .runtime import autocast, choose_precision, median_seconds
from .text import EncodedTexts, collate, make_batches


@dataclass(frozen=True)
class Settings:
    """What a training run is told. The first eight fields decide what is learned; the last five buy speed or memory.

    bucketed: texts of like length share a batch, which saves padding.
    fused: one kernel updates all parameters.
    precision: "float32" or "bfloat16" for matrix products, and for what a transformer computes between them; None
        takes what the device does well.
    max_tokens: token places held in memory at once. A larger batch is computed in pieces, shorter ones apart
        from longer ones, whose gradients add up to that of the whole batch. None does each batch in one piece.
    every_token: let the last layer of a BERT compute all tokens, of which its head reads the first alone.
    """

    num_epochs: int = 2
    learning_rate: float = 1e-3
    batch_size: int = 32
    weight_decay: float = 0.01
    warmup_fraction: float = 0.1  # of all steps; then the rate falls to 0 in a straight line
    max_grad_norm: float = 1.0
    patience: int | None = None  # stop after so many epochs without a better validation accuracy
    seed: int = 0
    bucketed: bool = True
    fused: bool = True
    precision: str | None = None
    max_tokens: int | None = None
    every_token: bool = False

    def __post_init__(self) -> None:
        if self.num_epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise ValueError("num_epochs and batch_size must be 1 or more, and learning_rate above 0.")
        if self.precision not in (None, "float32", "bfloat16"):
            raise ValueError(f"precision must be 'float32', 'bfloat16' or None, not {self.precision!r}.")


@dataclass(frozen=True)
class EpochRecord:
    """What was measured up to the end of an epoch, or to a pause; `epoch` 1.5 is the middle of the second.

    Losses in nats, mean over examples; accuracy 0 to 1; seconds and tokens since the record before.
    """

    epoch: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float
    tokens: int
    step: int  # steps of the run so far


@dataclass
class RunState:
    """What a run needs besides the model to go on where it stopped."""

    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator
    epoch: int = 0
    step: int = 0  # steps taken
    measured: int = 0  # of them, when the last record was written
    batches: list[np.ndarray] = field(default_factory=list)  # of this epoch, not yet seen
    weights: dict[str, torch.Tensor] | None = None  # as they stood when stop was pressed
    best_weights: dict[str, torch.Tensor] | None = None
    best_accuracy: float = -1.0
    random_state: torch.Tensor | None = None  # of dropout, at the stop


@dataclass
class History:
    """All that `fit` measured; after a whole run the model holds the weights of `best_epoch`."""

    records: list[EpochRecord] = field(default_factory=list)
    step_losses: list[float] = field(default_factory=list)
    best_epoch: float | None = None
    interrupted: bool = False
    finished: bool = False
    state: RunState | None = field(default=None, repr=False)  # what going on needs

    @property
    def seconds(self) -> float:
        """Seconds of all epochs, validation included."""
        return sum(record.seconds for record in self.records)

    @property
    def tokens(self) -> int:
        """Real tokens read while training."""
        return sum(record.tokens for record in self.records)


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step; `seconds_left` is an estimate from the steps so far."""

    epoch: int
    num_epochs: int
    step: int
    num_steps: int
    loss: float
    tokens_per_second: float
    seconds_left: float
    history: History


@dataclass(frozen=True)
class Evaluation:
    """Loss (nats, mean over examples), accuracy, and predictions int64 (n,) in the order of the data."""

    loss: float
    accuracy: float
    predictions: np.ndarray


def model_logits(
    model: nn.Module, batch: dict[str, torch.Tensor], *, precision: str | None = None, every_token: bool = False
) -> torch.Tensor:
    """Return logits float32 (B, C) of a course model or of a Hugging Face classifier; options as in Settings."""
    device = next(model.parameters()).device
    inputs = {name: batch[name].to(device, non_blocking=True) for name in ("input_ids", "attention_mask")}
    with autocast(device, precision), nullcontext() if every_token else first_token_only(model):
        output = model(**inputs)
    return getattr(output, "logits", output).float()


def make_optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Return AdamW over the trainable parameters; biases and norms are spared weight decay.

    Source: Loshchilov and Hutter, 2019, algorithm 2.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise ValueError("Every parameter is frozen, so there is nothing to train. Unfreeze the head at least.")
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=settings.fused)


def rate_factor(step: int, *, num_steps: int, warmup_steps: int) -> float:
    """Return the factor on the learning rate: from near 0 up to 1 during warm-up, then down to 0."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return max(0.0, (num_steps - step) / max(1, num_steps - warmup_steps))


def train_one_epoch(
    model: nn.Module,
    encoded: EncodedTexts,
    optimizer: torch.optim.Optimizer,
    *,
    batches: list[np.ndarray],
    settings: Settings | None = None,
    after_step: Callable[[float, int], None] = lambda loss, tokens: None,
) -> float:
    """Return the training loss (nats, mean over examples) of one pass over `batches`.

    Of `settings` (None: the defaults) max_grad_norm, precision, max_tokens and every_token count here.
    `after_step(loss, tokens)` is called after every step.
    """
    settings = settings or Settings()
    model.train()
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    total = 0.0
    for indices in batches:
        pieces = [indices]
        if (budget := settings.max_tokens) is not None:
            pieces = [indices[piece] for piece in make_batches(encoded.take(indices).lengths, max_tokens=budget)]
        optimizer.zero_grad()
        value, tokens = 0.0, 0
        for piece in pieces:
            batch = collate(encoded, piece)
            logits = model_logits(model, batch, precision=settings.precision, every_token=settings.every_token)  # (B, C)
            loss = nn.functional.cross_entropy(logits, batch["labels"].to(logits.device)) * (len(piece) / len(indices))
            loss.backward()  # adds to the gradient
            value, tokens = value + loss.item(), tokens + int(batch["attention_mask"].sum())
        nn.utils.clip_grad_norm_(trainable, settings.max_grad_norm)
        optimizer.step()
        total += value * len(indices)
        after_step(value, tokens)
    return total / sum(len(indices) for indices in batches)


def token_budget(model: nn.Module, precision: str | None = None) -> int:
    """Return the token places B x T in a batch that predicts fastest in `precision`, as in Settings.

    A transformer on a CPU is fastest while a batch fits its cache: on reviews of 256 tokens 2,048 places took a
    fifth less time than 16,384 in float32; bfloat16 takes half the bytes, so twice the places. A recurrent network
    goes word by word, so more texts at once are better.
    """
    device, recurrent = next(model.parameters()).device, any(isinstance(module, nn.RNNBase) for module in model.modules())
    dtype = getattr(torch, precision) if precision else choose_precision(device)
    return 16_384 if recurrent or device.type != "cpu" else 8_192 // dtype.itemsize


@torch.no_grad()
def predict_logits(
    model: nn.Module,
    encoded: EncodedTexts,
    *,
    batch_size: int = 256,
    max_tokens: int | None = None,
    precision: str | None = None,
    every_token: bool = False,
    progress: bool = False,
) -> torch.Tensor:
    """Return logits float32 (n, C) on the CPU, computed by length and put back into the order of the data.

    Args:
        batch_size: the most texts of a batch.
        max_tokens: the most token places of a batch; None takes that of `token_budget`.
        precision, every_token: as in Settings.
        progress: show a bar, for long work.

    Raises:
        ValueError: no text.
    """
    if not len(encoded):
        raise ValueError("There is no text to predict: give at least one.")
    model.eval()
    batches = make_batches(encoded.lengths, batch_size=batch_size, max_tokens=max_tokens or token_budget(model, precision))
    shown: Iterable[np.ndarray] = batches
    if progress:
        from tqdm.auto import tqdm

        shown = tqdm(batches, desc="predicting", unit="batch")
    with autocast(next(model.parameters()).device, precision):  # around all batches: weights are converted once
        logits = [
            model_logits(model, collate(encoded, indices), precision=precision, every_token=every_token).cpu()
            for indices in shown
        ]
    return torch.cat(logits)[torch.from_numpy(np.argsort(np.concatenate(batches)))]


def predict_proba(model: nn.Module, encoded: EncodedTexts, **options: Any) -> np.ndarray:
    """Return class probabilities float32 (n, C), in the order of the data; options as in `predict_logits`."""
    return predict_logits(model, encoded, **options).softmax(dim=1).numpy()


def evaluate(model: nn.Module, encoded: EncodedTexts, **options: Any) -> Evaluation:
    """Return loss, accuracy and predictions; every example weighs the same, whatever its batch.

    Options as in `predict_logits`.
    """
    logits = predict_logits(model, encoded, **options)
    labels = torch.from_numpy(encoded.labels)
    predictions = logits.argmax(dim=1)
    loss = nn.functional.cross_entropy(logits, labels).item()
    return Evaluation(loss, (predictions == labels).float().mean().item(), predictions.numpy())


def count_flops(model, lengths: np.ndarray, batches: list[np.ndarray], *, trains: bool, every_token: bool = False) -> float:
    """Return the FLOPs of a transformer's matrix products over `batches`, padding counted.

    A matrix of P entries costs 2 P for each token place on the way forward, and if it is trained 4 P on the way back.
    Attention costs 4 T D for each place and layer on the way forward. What reads one token only is left out: the head,
    and unless `every_token` (as in Settings) all of the last layer but its keys and values.
    Source: Kaplan et al., 2020, table 1.
    """
    layers = [module for module in model.base_model.encoder.modules() if isinstance(module, nn.Linear)]
    one_token: set[nn.Module] = set()
    if not every_token and (last := last_layer(model)) is not None:
        one_token = set(last.modules()) - {*last.attention.self.key.modules(), *last.attention.self.value.modules()}
    layers = [layer for layer in layers if layer not in one_token]
    products = sum(layer.weight.numel() * (6 if trains and layer.weight.requires_grad else 2) for layer in layers)
    share = products / sum(2 * layer.weight.numel() for layer in layers)  # 1 forward, 3 if everything is trained
    attention = 4 * model.config.hidden_size * (model.config.num_hidden_layers - bool(one_token)) * share
    longest = [int(lengths[batch].max()) for batch in batches]
    return float(sum(len(b) * t * (products + attention * t) for b, t in zip(batches, longest, strict=True)))


def step_rate(model, *, batch_size: int = 32, num_tokens: int = 32) -> float:
    """Return the FLOP/s that training steps of a transformer reach here: its FLOPs over the median time of three steps.

    `count_flops(...) / step_rate(model)` foretells the seconds of a run. A copy is trained, on texts of equal length.
    """
    twin, one = copy.deepcopy(model), [np.arange(batch_size)]
    encoded = EncodedTexts((np.ones(num_tokens, dtype=np.int64),) * batch_size, np.zeros(batch_size, dtype=np.int64))
    optimizer = make_optimizer(twin, Settings())
    seconds = median_seconds(lambda: train_one_epoch(twin, encoded, optimizer, batches=one), repeats=3)
    return count_flops(twin, encoded.lengths, one, trains=True) / seconds


def fit(
    model: nn.Module,
    train: EncodedTexts,
    validation: EncodedTexts,
    settings: Settings,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    max_steps: int | None = None,
    resume: History | None = None,
) -> History:
    """Train `model` in place and return what was measured; the best weights on validation are kept.

    The stop button (KeyboardInterrupt) ends the run early: the best weights recorded are kept, or the
    weights as they stand if there is no record yet, and `history.interrupted` is True. A run that was
    stopped, or paused by `max_steps`, goes on with `fit(..., resume=history)` as if it had never stopped.

    Args:
        on_progress: called after each step with a `Progress`; None shows a progress bar.
        optimizer: None gives AdamW from `make_optimizer`.
        max_steps: pause after so many steps and write a record; None runs to the end.
        resume: the history of a run of the same model, data and settings that has not finished.

    Raises:
        ValueError: nothing to train on, every parameter frozen, or a run to resume that has finished.
        FloatingPointError: the loss became NaN or infinite; the message says what to lower.
    """
    if not len(train) or not len(validation):
        raise ValueError("fit needs at least one training text and one validation text.")
    if resume is not None and resume.finished:
        raise ValueError("This run has finished. Start a new one without resume, with a larger num_epochs.")
    num_steps = -(-len(train) // settings.batch_size) * settings.num_epochs
    history = resume or History(state=_start(model, settings, optimizer, num_steps))
    state = history.state
    assert state is not None
    _restore(model, state)
    history.interrupted = False
    show, close = (on_progress, lambda: None) if on_progress else _progress_bar(num_steps, state.step)
    call = _Call(history, state, settings, num_steps, show, state.step)
    pause = state.step + (num_steps if max_steps is None else max_steps)
    try:
        while state.step < pause and not (history.finished or history.interrupted):
            call.begin_piece()
            if not state.batches and state.step == state.measured:  # else a stop cut the measuring short
                state.epoch += 1
                state.batches = make_batches(
                    train.lengths, batch_size=settings.batch_size, generator=state.generator, bucketed=settings.bucketed
                )
            if batches := state.batches[: pause - state.step]:
                loss = train_one_epoch(
                    model, train, state.optimizer, batches=batches, settings=settings, after_step=call.after_step
                )
            else:
                loss = float(np.mean(history.step_losses[state.measured :]))
            call.measure(model, validation, loss)
    except KeyboardInterrupt:
        history.interrupted = True
    finally:
        close()
    _settle(model, history, state)
    return history


@dataclass
class _Call:
    """One call of `fit`: what follows each step, and each piece (the steps up to a record)."""

    history: History
    state: RunState
    settings: Settings
    num_steps: int
    show: Callable[[Progress], None]
    first_step: int
    started: float = field(default_factory=time.perf_counter)
    tokens: int = 0

    def begin_piece(self) -> None:
        self.piece_started, self.tokens_before = time.perf_counter(), self.tokens

    def after_step(self, loss: float, tokens: int) -> None:
        """Move the schedule, note the loss and show progress."""
        state, settings = self.state, self.settings
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"The loss became {loss} at step {state.step + 1}. "
                f"Start again with a fresh model and a smaller learning_rate than {settings.learning_rate:g}."
            )
        state.schedule.step()
        state.batches.pop(0)
        state.step, self.tokens = state.step + 1, self.tokens + tokens
        self.history.step_losses.append(loss)
        elapsed = time.perf_counter() - self.started
        left, rate = elapsed / (state.step - self.first_step) * (self.num_steps - state.step), self.tokens / elapsed
        where = (state.epoch, settings.num_epochs, state.step, self.num_steps)
        try:
            self.show(Progress(*where, loss, rate, left, self.history))
        except KeyboardInterrupt:
            if state.batches:
                raise
            self.history.interrupted = True  # the epoch is complete, so it is measured before the run ends

    def measure(self, model: nn.Module, validation: EncodedTexts, loss: float) -> None:
        """Write a record, keep the weights if they are the best so far, and say whether the run is over."""
        history, state, settings = self.history, self.state, self.settings
        result = evaluate(model, validation, precision=settings.precision, every_token=settings.every_token)
        epoch = state.step * settings.num_epochs / self.num_steps
        seconds, tokens = time.perf_counter() - self.piece_started, self.tokens - self.tokens_before
        history.records.append(EpochRecord(epoch, loss, result.loss, result.accuracy, seconds, tokens, state.step))
        state.measured = state.step
        if result.accuracy > state.best_accuracy:
            state.best_accuracy, history.best_epoch, state.best_weights = result.accuracy, epoch, _copy(model)
        stale = epoch - (history.best_epoch or 0)
        out_of_patience = settings.patience is not None and not state.batches and stale >= settings.patience
        history.finished = state.step >= self.num_steps or out_of_patience


def _start(model: nn.Module, settings: Settings, optimizer: torch.optim.Optimizer | None, num_steps: int) -> RunState:
    torch.manual_seed(settings.seed)
    optimizer = optimizer or make_optimizer(model, settings)
    warmup_steps = int(settings.warmup_fraction * num_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_factor(step, num_steps=num_steps, warmup_steps=warmup_steps)
    )
    return RunState(optimizer, schedule, torch.Generator().manual_seed(settings.seed))


def _restore(model: nn.Module, state: RunState) -> None:
    """Put model and dropout back to where the last call of `fit` left the run."""
    if state.weights is not None:
        model.load_state_dict(state.weights, strict=False)
    if state.random_state is not None:
        torch.set_rng_state(state.random_state)


def _settle(model: nn.Module, history: History, state: RunState) -> None:
    """Keep what going on needs, and give the model the best weights if the run is over or was stopped."""
    state.weights, state.random_state = _copy(model) if history.interrupted else None, torch.get_rng_state()
    if state.best_weights is not None and (history.finished or history.interrupted):
        model.load_state_dict(state.best_weights, strict=False)
    if history.finished:
        history.state = None  # frees the copies of the weights
    model.eval()


def _copy(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of what training changes: trainable parameters and buffers."""
    changing = {name: p for name, p in model.named_parameters() if p.requires_grad} | dict(model.named_buffers())
    return {name: value.detach().clone() for name, value in changing.items()}


def _progress_bar(num_steps: int, done: int) -> tuple[Callable[[Progress], None], Callable[[], None]]:
    from tqdm.auto import tqdm

    bar = tqdm(total=num_steps, initial=done, desc="training", unit="step")

    def show(progress: Progress) -> None:
        bar.set_postfix(epoch=progress.epoch, loss=f"{progress.loss:.3f}", refresh=False)
        bar.update()

    return show, bar.close


def save_model(model: nn.Module, folder: str | Path, *, settings: Settings | None = None) -> Path:
    """Write the weights as safetensors (no pickle) and the settings as JSON; return the folder.

    Raises:
        FileExistsError: the folder holds a model already; choose another name or delete it.
    """
    from safetensors.torch import save_model as write

    folder = Path(folder)
    file = folder / "model.safetensors"
    if file.exists():
        raise FileExistsError(f"{file} exists already and is kept. Choose another folder, or delete that one first.")
    folder.mkdir(parents=True, exist_ok=True)
    write(model, str(file))
    (folder / "settings.json").write_text(json.dumps(asdict(settings) if settings else {}, indent=2))
    return folder


def load_model(model: nn.Module, folder: str | Path) -> nn.Module:
    """Fill `model` with the weights that `save_model` wrote, and return it.

    Raises:
        FileNotFoundError: the folder holds no model.
        ValueError: the file is damaged, or comes from a model of another shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_model as read

    file = Path(folder) / "model.safetensors"
    if not file.is_file():
        raise FileNotFoundError(f"There is no model in {folder}. Train one and call save_model(model, {str(folder)!r}).")
    try:
        read(model, str(file))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(
            f"{file} is damaged or comes from a model of another shape. Build the model as it was when it was saved, "
            f"or delete the folder, train and save again. ({' '.join(str(error).split())[:200]})"
        ) from error
    return model.eval()
