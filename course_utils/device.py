"""Where models run and how precisely: the one place that touches private parts of torch, accelerate or transformers."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.data import DataLoader

from .processes import join, launched, rank_and_size

if TYPE_CHECKING:
    from accelerate import Accelerator

DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}  # by Accelerate's names


def choose_device() -> torch.device:
    """Return the best device of this machine, as Accelerate chooses it: cuda, then mps, then cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def has_fast_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 matrices in hardware (AVX-512 BF16 or AMX).

    Without such instructions bfloat16 is emulated and was measured to be hundreds of times slower.
    """
    return any(
        getattr(torch.cpu, probe, lambda: False)() for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )


def choose_precision(device: torch.device) -> torch.dtype:
    """Return the dtype for matrix products on `device`: bfloat16 if the hardware has it, else float32."""
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else device.type == "cpu" and has_fast_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def autocast(device: torch.device, mixed_precision: str | None = None) -> AbstractContextManager:
    """Return a `with` block that computes matrix products in reduced precision.

    Weights stay in float32; inside the block each is converted once, however many batches read it.

    Args:
        mixed_precision: "no", "bf16" or "fp16", Accelerate's names; None takes that of `choose_precision`.
    """
    dtype = DTYPES[mixed_precision] if mixed_precision else choose_precision(device)
    return torch.autocast(device.type, dtype=dtype) if dtype != torch.float32 else nullcontext()


def answer_while_busy(comm: object) -> None:
    """Let a widget hear the browser while a cell runs, where the browser sends its messages to a subshell.

    From 7.4 on ipykernel sends them to the shell that last published on the comm instead: the busy one.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default


def make_accelerator(*, mixed_precision: str | None = None, gradient_accumulation_steps: int = 1) -> Accelerator:
    """Return an `Accelerator` for one run; `mixed_precision` as in `autocast`.

    Accelerate keeps the precision of the first Accelerator for the whole process and refuses another one. A notebook
    trains in both, so what is kept is cleared first; processes and devices stay as they are. Processes that `torchrun`
    has started join here; without a GPU Accelerate has to be told so, or each would train alone.
    """
    from accelerate import Accelerator, DataLoaderConfiguration
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state()
    GradientState._reset_state()
    if mixed_precision is None:
        mixed_precision = "bf16" if choose_precision(choose_device()) == torch.bfloat16 else "no"
    join()
    return Accelerator(
        mixed_precision=mixed_precision,
        gradient_accumulation_steps=gradient_accumulation_steps,
        cpu=launched() and choose_device().type != "cuda",
        dataloader_config=DataLoaderConfiguration(split_batches=True),  # one step of the schedule, for N processes too
    )


def whole_batches(accelerator: Accelerator, loader: DataLoader) -> DataLoader:
    """Return a loader whose batches come on the accelerator's device, whole in every process: see `processes.own_batch`.

    Accelerate's own way to share batches computes some texts twice where the last batch is not full.
    """
    from accelerate.data_loader import prepare_data_loader

    return prepare_data_loader(loader, accelerator.device, num_processes=1, process_index=0, put_on_device=True)


def shard(model: nn.Module) -> nn.Module:
    """Return the model, changed in place, of whose weights each process keeps a part: for one that fits in no machine.

    `fit` then shards gradients and moments too, and computes what it computes with whole weights. Each block of layers is
    gathered while it computes, so from now on all processes have to call the model together, also to evaluate it.
    Call this in all processes, before `fit`. A process alone shards nothing.

    Source: FSDP2, stage 3 of Rajbhandari and others, 2020. Taught in notebook 11, section 5.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    join()
    if (size := rank_and_size()[1]) > 1 and not is_sharded(model):
        mesh = init_device_mesh(choose_device().type, (size,))
        blocks = [block for stack in model.modules() if isinstance(stack, nn.ModuleList) for block in stack]
        for part in (*blocks, model):  # then what is around the blocks
            fully_shard(part, mesh=mesh, reshard_after_forward=True)  # also what is around: it is not kept whole
    return model


def prepare(accelerator: Accelerator, model: nn.Module, optimizer, schedule, *, saved: bool = False) -> tuple:
    """Return what `accelerator.prepare` makes of them: the model (if there are several processes, DDP around it), and both.

    Raises:
        ValueError: the weights are sharded, and checkpoints are to be `saved`.
    """
    if (divided := is_sharded(model)) and saved:
        raise ValueError("A model with sharded weights is not saved while it trains: leave out checkpoints.")
    return accelerator.prepare_model(model, evaluation_mode=divided), *accelerator.prepare(optimizer, schedule)


def is_sharded(model: nn.Module) -> bool:
    """Return whether `shard` has divided the weights of a model."""
    from torch.distributed.tensor import DTensor

    return any(isinstance(weight, DTensor) for weight in model.parameters())


def release(accelerator: Accelerator, model: nn.Module) -> nn.Module:
    """Return the model as it was before `accelerator.prepare`: its own forward, without mixed precision.

    Accelerate marks a model that it has prepared and leaves it alone the next time, so the mark goes too: otherwise a
    second run would compute in float32, whatever its `mixed_precision`.
    """
    model = accelerator.unwrap_model(model)
    vars(model).pop("_is_accelerate_prepared", None)
    if original := vars(model).pop("_original_forward", None):  # kept by Accelerate while `forward` is in reduced precision
        del model.forward
        if getattr(original, "__func__", None) is not type(model).forward:  # one that somebody set on this model
            model.forward = original
    return model


def float32_attention(module: nn.Module, query, key, value, attention_mask, **options):
    """Return transformers' SDPA attention float (B, T, heads, D / heads), in float32 where it is differentiated.

    torch computes the backward pass of attention in bfloat16 slowly on a CPU: it took 42 % of a training step whose
    products are in bfloat16, in float32 a tenth of that (2 cores with AMX, torch 2.15). The forward pass alone is
    faster in bfloat16.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if not any(states.requires_grad for states in (query, key, value)):  # prediction, or a frozen layer
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    with torch.autocast(query.device.type, enabled=False):
        query, key, value, dtype = query.float(), key.float(), value.float(), query.dtype
        states, weights = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return states.to(dtype), weights


def lowered(states: torch.Tensor) -> torch.Tensor:
    """Return states in the precision of the surrounding `autocast`, or as they are if there is none.

    A stack of layers adds to what enters it. If that is in bfloat16, sums and norms stay so from layer to layer, while
    `autocast` alone takes them back to float32 between any two products. Predictions of sentences took a quarter
    less time so, steps on 256 tokens a seventh (2 cores with AMX). Logits of about 1 err by 0.004, in place of 0.003.
    """
    kind = states.device.type
    return states.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else states


def _lower_output(module: nn.Module, inputs: tuple, states: torch.Tensor) -> torch.Tensor:
    return lowered(states)


def prepare_for_bfloat16(model):
    """Return a transformers model, changed in place, that is faster in bfloat16; in float32 it computes what it did before.

    Its embeddings pass on `lowered` states, and on a processor with fast bfloat16 it uses `float32_attention`. Called
    once, when a model is loaded. The environment variable `COURSE_PLAIN_MODELS=1` switches it off.
    """
    if os.environ.get("COURSE_PLAIN_MODELS"):
        return model
    embeddings = getattr(model.base_model, "embeddings", None)
    if embeddings is not None and _lower_output not in embeddings._forward_hooks.values():
        embeddings.register_forward_hook(_lower_output)
    if model.config._attn_implementation == "sdpa" and choose_device().type == "cpu" and has_fast_bfloat16():
        from transformers import AttentionInterface
        from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

        AttentionInterface.register("sdpa_float32", float32_attention)
        AttentionMaskInterface.register("sdpa_float32", sdpa_mask)
        model.set_attn_implementation("sdpa_float32")
    return model


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Silence transformers' loading report for the length of a `with` block, then restore what was set."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def hardware() -> str:
    """Return cores and processor family, by which measured records are distinguished: "2 cores, x86_64"."""
    return f"{os.cpu_count()} cores, {platform.machine()}"


def machine_kind() -> str:
    """Return what times depend on most, for names of records: device, precision and AMX, such as "cpu_bfloat16_amx".

    Two processors that both multiply bfloat16 differ fivefold in its rate if one of them has AMX.
    """
    device = choose_device()
    amx = device.type == "cpu" and getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    return f"{device.type}_{choose_precision(device)}".replace("torch.", "") + "_amx" * amx
