"""What a model answers: logits, probabilities, and how good they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn

from .batching import SequenceDataset, make_loader
from .device import DTYPES, autocast, choose_precision
from .processes import gather_rows, own_batch, own_rows, rank_and_size

# What a model may predict, in the words of transformers' `problem_type`: a class, several labels, numbers.
CLASSES, LABELS, NUMBERS = "single_label_classification", "multi_label_classification", "regression"


@dataclass(frozen=True)
class Evaluation:
    """Loss (of `loss_of`, mean over examples), accuracy, and predictions int64 (n,) in the order of the data.

    Of a model of several labels, accuracy is the share of the labels that are right, and predictions are bool (n, C); of a
    model of numbers it is R², which is at most 1, and predictions are float32 (n, C).
    """

    loss: float
    accuracy: float
    predictions: np.ndarray


def model_device(model: nn.Module) -> torch.device:
    """Return the device of a model's parameters, where its inputs have to go; the CPU for a model without any."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def model_logits(model: nn.Module, batch: dict[str, torch.Tensor], *, mixed_precision: str | None = None) -> torch.Tensor:
    """Return logits float32 (B, C) of a course model or of a Hugging Face classifier, on the device of the model.

    Args:
        batch: as `batching.collate` gives it, on any device; labels are not looked at.
        mixed_precision: as in `device.autocast`.
    """
    device = model_device(model)
    inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items() if name != "labels"}
    with autocast(device, mixed_precision):
        output = model(**inputs)
    return getattr(output, "logits", output).float()


def problem_type(model: nn.Module) -> str:
    """Return what the config of a Hugging Face model says that it predicts, or "" if it does not say."""
    return getattr(getattr(model, "config", None), "problem_type", None) or ""


def loss_of(model: nn.Module, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the loss of logits (B, C), mean over B: cross-entropy, or transformers' choice for several labels or numbers.

    Labels are int64 (B,), or float (B, C): probabilities of classes, 0 or 1 for each of several labels, or numbers.
    """
    losses: dict[str, Callable[..., torch.Tensor]] = {
        LABELS: nn.functional.binary_cross_entropy_with_logits,
        NUMBERS: nn.functional.mse_loss,
    }
    return losses.get(problem_type(model), nn.functional.cross_entropy)(logits, labels)


def token_budget(model: nn.Module, mixed_precision: str | None = None) -> int:
    """Return how many tokens B x T, padding included, a batch has that predicts fastest.

    A transformer on a CPU is fastest while a batch fits its cache: on reviews of 256 tokens 2,048 took a
    fifth less time than 16,384 in float32; bfloat16 takes half the bytes, so twice the tokens. A recurrent network
    goes word by word, so more texts at once are better.
    """
    device, recurrent = model_device(model), any(isinstance(module, nn.RNNBase) for module in model.modules())
    dtype = DTYPES[mixed_precision] if mixed_precision else choose_precision(device)
    return 16_384 if recurrent or device.type != "cpu" else 8_192 // dtype.itemsize


@torch.no_grad()
def predict_logits(
    model: nn.Module,
    dataset: SequenceDataset,
    *,
    batch_size: int = 256,
    max_batch_tokens: int | None = None,
    mixed_precision: str | None = None,
    shared: bool = False,
) -> torch.Tensor:
    """Return logits float32 (n, C) on the CPU, computed in order of length and returned in the order of the data.

    Args:
        batch_size: the most texts of a batch.
        max_batch_tokens: the most tokens of a batch, padding included; None takes that of `token_budget`.
        mixed_precision: as in `device.autocast`.
        shared: the processes of a run share the work, and each gets all logits; all of them have to call it.

    Raises:
        ValueError: no text.
        FloatingPointError: logits that are not finite; the message says what to do.
    """
    if not len(dataset):
        raise ValueError("There is no text to predict: give at least one.")
    model.eval()
    budget = max_batch_tokens or token_budget(model, mixed_precision)
    workers = rank_and_size()[1] if shared else 1
    loader = make_loader(dataset, batch_size=batch_size * workers, max_batch_tokens=budget * workers)
    batches: list[list[int]] = [own_rows(indices) if shared else indices for indices in loader.batch_sampler or ()]
    with autocast(model_device(model), mixed_precision):  # around all batches: weights are converted once
        shares = (own_batch(batch)[0] if shared else batch for batch in loader)
        logits = torch.cat([model_logits(model, batch, mixed_precision=mixed_precision) for batch in shares])
    computed = gather_rows(logits, list(chain(*batches)), count=len(dataset), shared=shared).cpu()
    if bad := int((~computed.isfinite()).any(dim=1).sum()):
        raise FloatingPointError(
            f"For {bad:,} of {len(computed):,} texts the model computes NaN or infinity, which predicts nothing: training "
            "diverged, or the weights are damaged. Train it again, with a smaller learning_rate."
        )
    return computed


def predict_proba(model: nn.Module, dataset: SequenceDataset, **options: Any) -> np.ndarray:
    """Return class probabilities float32 (n, C), in the order of the data; options as in `predict_logits`."""
    return predict_logits(model, dataset, **options).softmax(dim=1).numpy()


def evaluate(model: nn.Module, dataset: SequenceDataset, **options: Any) -> Evaluation:
    """Return loss, accuracy and predictions; every example weighs the same, whatever its batch.

    Options as in `predict_logits`.

    Raises:
        ValueError: no text, or texts without labels.
    """
    if dataset.labels is None:
        raise ValueError("These texts have no labels to compare with. Use predict_proba, or give labels.")
    logits = predict_logits(model, dataset, **options)
    labels = torch.from_numpy(dataset.labels)
    loss = loss_of(model, logits, labels).item()
    if problem_type(model) == NUMBERS:
        return Evaluation(loss, 1 - loss / max(labels.var(correction=0).item(), 1e-12), logits.numpy())
    predictions = logits > 0 if problem_type(model) == LABELS else logits.argmax(dim=1)
    return Evaluation(loss, (predictions == labels).float().mean().item(), predictions.numpy())
