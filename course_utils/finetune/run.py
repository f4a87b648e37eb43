"""From a table to a model in a folder: split, train, keep the best weights on disk, judge, write the card."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from torch import nn

from .. import pretrained
from ..batching import TokenDataset
from ..device import choose_device, quiet_loading
from ..prediction import evaluate
from ..text import encode_wordpieces
from ..training import History, TrainingConfig, fit
from .intake import Table, split_table, truncated_texts
from .report import Judgement, Run, judge, write_report


def unfinished(folder: Path) -> Path:
    """Return the folder beside `folder` that a run writes to until it is complete.

    Raises:
        FileExistsError: `folder` exists, or an interrupted run left its own; the message says what to do.
    """
    part = folder.with_name(folder.name + ".unfinished")
    if folder.exists():
        raise FileExistsError(f"{folder} exists and is kept as it is. Choose another name, or delete it first.")
    if part.exists():
        raise FileExistsError(f"{part} contains the weights of an interrupted run. Rename it to keep it, or delete it.")
    return part


def save_run(run: Run, judgement: Judgement, folder: str | Path) -> Path:
    """Write model, tokenizer, card, report, figure, mistakes and set-aside rows to a new folder, and return it.

    Raises:
        FileExistsError: the folder, or that of an interrupted run, is there already.
    """
    part = unfinished(Path(folder))
    save_weights(run, part)
    write_report(run, judgement, part, name=Path(folder).name)
    return part.rename(folder)


def save_weights(run: Run, folder: Path) -> None:
    """Write model and tokenizer to a folder, with the names of the classes and the length at which texts are truncated."""
    names = dict(enumerate(run.table.reviews.class_names))
    run.model.config.id2label, run.model.config.label2id = names, {name: i for i, name in names.items()}
    run.tokenizer.model_max_length = run.max_length
    with quiet_loading():
        run.model.save_pretrained(folder)
        run.tokenizer.save_pretrained(folder)


def finetune(
    table: Table, folder: str | Path, config: TrainingConfig, *, checkpoint: str = "embedded", max_length: int = 128
) -> Judgement:
    """Fine-tune a checkpoint on a table, judge it, write it to a new folder with its card, and return the judgement.

    Word embeddings stay frozen. After each epoch that is the best so far the weights are saved beside `folder`,
    which gets its name when everything is written.

    Raises:
        FileExistsError: the folder, or that of an interrupted run, is there already.
        ValueError: a table that cannot be split, or more tokens than the checkpoint reads.
        ConnectionError: a hub id without a network.
    """
    folder = Path(folder)
    part, splits = unfinished(folder), split_table(table.reviews, seed=config.seed)
    model, tokenizer = _load(checkpoint, len(table.reviews.class_names), max_length=max_length, seed=config.seed)
    table = replace(table, faults=table.faults + truncated_texts(table.reviews, tokenizer, max_length=max_length))
    train, validation, _ = (encode_wordpieces(reviews, tokenizer, max_length=max_length) for reviews in splits)
    print(table.report())
    print("split: " + ", ".join(f"{name} {len(reviews):,}" for name, reviews in splits._asdict().items()))
    print(_estimate(model, train, validation, config.num_epochs))

    def run_so_far(history: History) -> Run:
        return Run(table, splits, model, tokenizer, checkpoint, max_length, config, history)

    def save_best(history: History) -> None:
        if history.best_epoch == len(history.records):
            save_weights(run_so_far(history), part)

    history = fit(model, train, validation, config, on_epoch=save_best)
    run = run_so_far(history)
    if history.interrupted:  # perhaps before the first epoch was complete, or while weights were being written
        save_weights(run, part)
        kept = f"those of epoch {history.best_epoch}" if history.best_epoch else "the present ones, no epoch is complete"
        print(f"Stopped by you: the best weights so far ({kept}) are kept and judged.")
    judgement = judge(run)
    write_report(run, judgement, part, name=folder.name)
    part.rename(folder)
    return judgement


def _load(checkpoint: str, num_classes: int, *, max_length: int, seed: int) -> tuple:
    """Return model and tokenizer of a checkpoint, the model on the best device with its word embeddings frozen."""
    tokenizer = pretrained.load_tokenizer(checkpoint)
    model = pretrained.load_classifier(checkpoint, num_classes=num_classes, seed=seed)
    longest = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", max_length))
    if not 3 <= max_length <= longest:
        raise ValueError(f"This checkpoint reads 3 to {longest} tokens, not {max_length}.")
    model.get_input_embeddings().requires_grad_(False)
    return model.to(choose_device()), tokenizer


def _estimate(model: nn.Module, train: TokenDataset, validation: TokenDataset, num_epochs: int) -> str:
    """Return the accuracy before training and an estimate of the minutes it takes, from the time of one evaluation."""
    started = time.perf_counter()
    accuracy = evaluate(model, validation).accuracy
    per_text = (time.perf_counter() - started) / len(validation)  # a training step takes about three times as long
    minutes = per_text * (3 * len(train) + len(validation)) * num_epochs / 60
    return f"untrained accuracy {accuracy:.3f}; training takes about {minutes:.1f} minutes, Ctrl+C keeps the best weights"
