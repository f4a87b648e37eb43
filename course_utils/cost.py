"""What training and prediction cost: FLOPs counted, rates measured, minutes predicted before they are spent."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from .batching import TokenDataset
from .device import choose_device, choose_precision
from .training import TrainingConfig, fit


def median_seconds(call: Callable[[], object], *, repeats: int = 5) -> float:
    """Return the median of the seconds that `repeats` calls take, after one call that is not counted.

    The first call pays for caches and threads; a median does not mind one call that was disturbed. Taught in: notebook 08.
    """
    return float(np.median(time_in_turn({"call": call}, rounds=repeats)["call"]))


def time_in_turn(calls: Mapping[str, Callable[[], object]], *, rounds: int = 9) -> dict[str, np.ndarray]:
    """Return the seconds, float (rounds,), of each call: one of each in turn, after a round that is not counted.

    A computer is not equally fast all the time. Calls that take turns share its good and its bad moments.
    """
    seconds = {name: np.zeros(rounds + 1) for name in calls}
    for i in range(rounds + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name][i] = time.perf_counter() - started
    return {name: each[1:] for name, each in seconds.items()}


def gemm_rate(device: torch.device | None = None, *, size: int = 2048, rounds: int = 3) -> float:
    """Return the FLOP/s that a device reaches in a product of two `size` x `size` matrices, the median of `rounds`.

    The product is in the precision of `device.choose_precision`.
    """
    device = device or choose_device()
    matrix = torch.ones(size, size, device=device, dtype=choose_precision(device))  # not random: seeds stay as they are
    multiply = lambda: (matrix @ matrix)[0, 0].item()  # noqa: E731  (item waits for a GPU to be done)
    return 2 * size**3 / median_seconds(multiply, repeats=rounds)


def count_flops(model, lengths: np.ndarray, batches: list[np.ndarray], *, trains: bool) -> float:
    """Return the FLOPs of a transformer's matrix products over `batches`, padding counted.

    A matrix of P entries costs 2 P a token in the forward pass, and if it is trained 4 P in the backward pass.
    Attention costs 4 T D a token and layer in the forward pass. The head, which reads one token, is left out.
    Source: Kaplan et al., 2020, table 1.

    Args:
        model: a Hugging Face encoder or classifier.
        lengths: tokens per text, int (n,).
        batches: indices of the texts in each batch.
        trains: count the backward pass too.
    """
    layers = [module for module in model.base_model.encoder.modules() if isinstance(module, nn.Linear)]
    products = sum(layer.weight.numel() * (6 if trains and layer.weight.requires_grad else 2) for layer in layers)
    share = products / sum(2 * layer.weight.numel() for layer in layers)  # 1 forward, 3 if everything is trained
    attention = 4 * model.config.hidden_size * model.config.num_hidden_layers * share
    longest = [int(lengths[batch].max()) for batch in batches]
    return float(sum(len(b) * t * (products + attention * t) for b, t in zip(batches, longest, strict=True)))


def step_rate(model, *, batch_size: int = 32, num_tokens: int = 32) -> float:
    """Return the FLOP/s that training steps of a transformer reach here: its FLOPs over the median time of three steps.

    `count_flops(...) / step_rate(model)` predicts the seconds of a run, validation left out (a tenth more in notebook 13).
    A copy is trained, on texts of equal length. Part of a step does not grow with its tokens: optimiser, clipping, weights
    converted to bfloat16. So steps of 32 x 8 tokens take 1.6 times as long as the rate of 32 x 32 predicts, those of
    32 x 64 take 0.95 times as long (one core with AMX): give the model that you train, and `num_tokens` as in its batches.
    Padding, frozen layers and batches of many lengths were within a tenth or so of the prediction; a machine that is busier
    during the run than during these three steps was not.
    """
    twin, marks = copy.deepcopy(model), [time.perf_counter()]
    texts = TokenDataset((np.ones(num_tokens, dtype=np.int64),) * (4 * batch_size), np.zeros(4 * batch_size, dtype=np.int64))
    one_epoch = TrainingConfig(num_epochs=1, batch_size=batch_size)
    fit(twin, texts, texts.take(np.arange(1)), one_epoch, on_step=lambda history: marks.append(time.perf_counter()))
    seconds = float(np.median(np.diff(marks)[1:]))  # the first step pays for caches and threads
    return count_flops(twin, texts.lengths, [np.arange(batch_size)], trains=True) / seconds
