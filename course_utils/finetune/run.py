"""From a table to a model in a folder: split, train, keep the best weights on disk, judge, write the card."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .. import pretrained
from ..batching import TokenDataset
from ..device import choose_device, quiet_loading
from ..files import complete_folder, write_aside
from ..prediction import evaluate, predict_logits
from ..processes import rank_and_size, restarted, wait_for_all
from ..saving import checkpoints_in
from ..text import encode_wordpieces
from ..training import History, TrainingConfig, fit
from .export import check_export, write_onnx
from .intake import Table, fit_to, split_table
from .judgement import Judgement, Run, judge
from .report import write_report
from .scores import fit_temperature
from .tasks import NUMBERS, levels, task_of
from .vocabulary import examine

CHECKPOINTS, MODEL = "checkpoints", "model"  # in the folder of a run that is not complete


def unfinished(folder: Path, *, resume: bool = False) -> Path:
    """Return the folder beside `folder` that a run writes to until it is complete.

    Raises:
        FileExistsError: `folder` exists, or a stopped run left its own; the message says what to do.
        FileNotFoundError: no stopped run left anything to `resume`.
    """
    part = folder.with_name(folder.name + ".unfinished")
    if rank_and_size()[0]:  # the first process decides
        return part
    if folder.exists():
        raise FileExistsError(f"{folder} already exists and is not overwritten. Choose another name, or delete it first.")
    if part.exists() and not (resume or restarted()):
        raise FileExistsError(
            f"{part} belongs to a run that was stopped, or that is still running. Go on with a stopped one (--resume), "
            "or rename or delete it."
        )
    if resume and not part.exists():
        raise FileNotFoundError(f"There is no {part}, so there is no run to go on with. Start it without --resume.")
    models = [*part.glob("*.safetensors"), *part.glob("*/*.safetensors")]
    if resume and models and not checkpoints_in(part / CHECKPOINTS):
        raise FileNotFoundError(f"{part} contains a model, but no checkpoint to go on from. Rename it, and start again.")
    return part


@contextmanager
def claimed(folder: Path, *, resume: bool = False) -> Iterator[Path]:
    """Make the folder of `unfinished` for one run alone, and take it away again if nothing was written.

    Raises:
        FileExistsError, FileNotFoundError: as in `unfinished`, or another run was faster.
    """
    part = unfinished(folder, resume=resume)
    try:
        if not rank_and_size()[0]:
            part.mkdir(exist_ok=resume or restarted())
    except FileExistsError:
        raise FileExistsError(f"Another run has just begun to write {part}. Choose another name.") from None
    wait_for_all()
    try:
        yield part
    finally:
        with suppress(OSError):  # it is not empty
            part.rmdir()


def save_run(run: Run, judgement: Judgement, folder: str | Path) -> Path:
    """Write model, tokenizer, card, report, figure, mistakes and set-aside rows to a new folder, and return it.

    Raises:
        FileExistsError: the folder, or that of an interrupted run, is there already.
    """
    with claimed(Path(folder)) as part:
        save_weights(run, part / MODEL)
        write_report(run, judgement, part / MODEL, name=Path(folder).name)
        return complete_folder(part / MODEL, Path(folder))


def save_weights(run: Run, folder: Path) -> None:
    """Write model and tokenizer to a folder, with the names of the classes and the length at which texts are truncated.

    They are written aside and then renamed. The weights are the only file that differs from epoch to epoch, so
    whoever reads the folder finds those of one epoch.
    """
    names = dict(enumerate(run.table.reviews.class_names))
    run.model.config.id2label, run.model.config.label2id = names, {name: i for i, name in names.items()}
    run.model.config.text_columns = list(run.table.text_columns)  # what `course predict` asks a table for
    if scale := levels(run.splits.train):
        run.model.config.levels = scale
    run.tokenizer.model_max_length = run.max_length
    if len(run.table.text_columns) > 1:  # the halves of a pair were trained without types of tokens
        run.tokenizer.model_input_names = ["input_ids", "attention_mask"]
    aside = folder / ".weights.part"
    shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
    with quiet_loading():
        run.model.save_pretrained(aside)
        run.tokenizer.save_pretrained(aside)
    for path in aside.iterdir():
        write_aside(folder / path.name, partial(os.replace, path))
    aside.rmdir()


def finetune(
    table: Table, folder: str | Path, config: TrainingConfig, *,
    checkpoint: str = "embedded", max_length: int = 128, save_steps: int = 100, resume: bool = False,
    class_weights: bool = False, given: dict[str, Table] | None = None, export: str | None = None,
) -> Judgement | None:  # fmt: skip
    """Fine-tune a checkpoint on a table, judge it, write it to a new folder with its card, and return the judgement.

    Word embeddings stay frozen. Until everything is written, `folder`.unfinished contains the best model so far, and
    checkpoints of every `save_steps` batches, from which the same call goes on with `resume`. If `torchrun` has started
    several processes, they train together, and the first one alone writes and judges; the others get None.

    Args:
        class_weights: weigh rare classes more in the loss, so that each class counts as much as any other.
        given: tables of your own for "validation" and "test"; what is not given is a part of `table`.
        export: "onnx" writes the model for ONNX Runtime beside its weights.

    Raises:
        FileExistsError: the folder, or that of a stopped run, is there already.
        FileNotFoundError: nothing to resume.
        ValueError: a table that cannot be split, more tokens than the checkpoint reads, another run than the stopped one,
            weights for something else than classes, or an export that needs packages that are not here.
        ConnectionError: a hub id without a network.
        KeyboardInterrupt: the run was stopped, and saved.
    """
    folder, first = Path(folder), rank_and_size()[0] == 0
    check_export(export)
    with claimed(folder, resume=resume) as part:
        run, train, validation = _prepare(
            table, config, checkpoint=checkpoint, max_length=max_length, class_weights=class_weights, given=given or {}
        )
        print(_estimate(run.model, train, validation, config.num_epochs))

        def save_best(history: History) -> None:
            if first and history.best_epoch == len(history.records):
                save_weights(run, part / MODEL)

        going_on = bool(checkpoints_in(part / CHECKPOINTS))  # a run that was killed before its first has nothing to lose
        history = fit(
            run.model, train, validation, config,
            checkpoints=part / CHECKPOINTS, save_steps=save_steps, resume=going_on, on_epoch=save_best,
        )  # fmt: skip
        if history.interrupted:
            raise KeyboardInterrupt
        if not first:
            return None
        run = calibrated(replace(run, history=history), validation)
        save_weights(run, part / MODEL)
        judgement = judge(run)
        write_report(run, judgement, part / MODEL, name=folder.name)
        if export:
            write_onnx(run, part / MODEL / "model.onnx")
        complete_folder(part / MODEL, folder)
        shutil.rmtree(part / CHECKPOINTS)
    return judgement


def _prepare(
    table: Table, config: TrainingConfig, *, checkpoint: str, max_length: int, class_weights: bool, given: dict[str, Table]
) -> tuple[Run, TokenDataset, TokenDataset]:  # fmt: skip
    """Return a run that has not begun, and its training and validation texts; print what is in the table."""
    parts = {}
    for name, other in given.items():
        table, parts[name] = fit_to(table, other.reviews, name)
        print(other.report())
    splits, task = split_table(table.reviews, seed=config.seed, given=parts), task_of(table.reviews)
    model, tokenizer = _load(checkpoint, len(table.reviews.class_names), max_length=max_length, seed=config.seed)
    model.config.problem_type = task
    found = examine(table.reviews, tokenizer, max_length=max_length, english=checkpoint == "embedded")
    table = replace(table, faults=table.faults + found)
    train, validation, _ = (encode_wordpieces(reviews, tokenizer, max_length=max_length) for reviews in splits)
    if task == NUMBERS:  # a head learns numbers around 0 with a spread of 1; `calibrated` turns them back
        middle, spread = _scale(splits.train.labels)
        train = TokenDataset(train.sequences, (splits.train.labels - middle) / spread)
        validation = TokenDataset(validation.sequences, (splits.validation.labels - middle) / spread)
    if class_weights:
        train = TokenDataset(train.sequences, weighted(splits.train.labels, len(splits.train.class_names)))
    print(table.report())
    print("split: " + ", ".join(f"{name} {len(reviews):,}" for name, reviews in splits._asdict().items()))
    run = Run(table, splits, model, tokenizer, checkpoint, max_length, config, History(0, 0), class_weights=class_weights)
    return run, train, validation


def weighted(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return float32 (n, C): 0, but at the class of each text n / (C n_c), its weight in the cross-entropy of soft labels.

    Raises:
        ValueError: labels that are not one class for each text.
    """
    if labels.ndim != 1:
        raise ValueError("Weights of classes need one class a text. Leave --class-weights away.")
    sizes = np.bincount(labels, minlength=num_classes)
    return (np.eye(num_classes) * len(labels) / (num_classes * sizes))[labels].astype(np.float32)


def _scale(labels: np.ndarray) -> tuple[np.float32, np.float32]:
    return labels.mean(dtype=np.float32), max(labels.std(dtype=np.float32), np.float32(1e-6))


def calibrated(run: Run, validation: TokenDataset) -> Run:
    """Return a run whose head gives logits divided by the temperature that fits the validation part, or numbers as they are.

    The head itself is changed, so any program that loads it gets the same. What is predicted does not change.
    """
    task = task_of(run.splits.train)
    if task == NUMBERS:
        middle, spread = _scale(run.splits.train.labels)
        scale_head(run.model, float(spread), float(middle))
        return run
    logits = predict_logits(run.model, validation).numpy()
    temperature = fit_temperature(logits, run.splits.validation.labels, task)
    scale_head(run.model, 1 / temperature)
    return replace(run, temperature=temperature)


@torch.no_grad()
def scale_head(model: Any, scale: float, shift: float = 0.0) -> None:
    """Change the last linear layer of a classifier so that its outputs are multiplied by `scale`, then `shift` is added.

    Raises:
        ValueError: there is no such layer, or it has no bias to shift.
    """
    inside = {id(module) for module in model.base_model.modules()}
    heads = [m for m in model.modules() if isinstance(m, nn.Linear) and id(m) not in inside]
    if not heads or heads[-1].out_features != model.config.num_labels or (shift and heads[-1].bias is None):
        raise ValueError(f"The head of {type(model).__name__} cannot predict this. Choose another --model.")
    heads[-1].weight.mul_(scale)
    if heads[-1].bias is not None:
        heads[-1].bias.mul_(scale).add_(shift)


def _load(checkpoint: str, num_classes: int, *, max_length: int, seed: int) -> tuple:
    """Return model and tokenizer of a checkpoint, the model on the best device with its word embeddings frozen."""
    tokenizer = pretrained.load_tokenizer(checkpoint)
    model = pretrained.load_classifier(checkpoint, num_classes=num_classes, seed=seed)
    longest = pretrained.longest_input(model, tokenizer, otherwise=max_length)
    if not 3 <= max_length <= longest:
        raise ValueError(f"For this checkpoint max_length must be from 3 to {longest} tokens, not {max_length}.")
    model.get_input_embeddings().requires_grad_(False)
    return model.to(choose_device()), tokenizer


def _estimate(model: nn.Module, train: TokenDataset, validation: TokenDataset, num_epochs: int) -> str:
    """Return the accuracy before training and an estimate of the minutes it takes, from the time of one evaluation."""
    started = time.perf_counter()
    accuracy = evaluate(model, validation).accuracy
    per_text = (time.perf_counter() - started) / len(validation)  # a training step takes about three times as long
    minutes = per_text * (3 * len(train) + len(validation)) * num_epochs / 60
    return f"untrained accuracy {accuracy:.3f}; training takes about {minutes:.1f} minutes; Ctrl+C saves it"
