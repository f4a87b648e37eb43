"""Checkpoints of a run: saved whole or not at all, and enough to go on as if it had never been stopped."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import nn
from torch.utils.data import DataLoader

from .batching import SequenceDataset
from .files import complete_folder, verify_manifest

if TYPE_CHECKING:
    from accelerate import Accelerator

KEPT = 2  # checkpoints of a run: if the newest cannot be read, there is the one before
RUN, WEIGHTS, BEST = "run.json", "model.safetensors", "best.safetensors"


def changing_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of what training changes: trainable parameters and buffers."""
    changing = {name: p for name, p in model.named_parameters() if p.requires_grad} | dict(model.named_buffers())
    return {name: value.detach().clone() for name, value in changing.items()}


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest first."""
    return sorted(folder.glob("step-*-epoch-*"), reverse=True)


@dataclass
class Saver:
    """What `fit` asks to save its run, to go on from a checkpoint, and to stop between two steps of the optimiser.

    A checkpoint is a folder such as `step-00000120-epoch-002`: 120 batches, two complete epochs. It is filled under
    another name and gets its own when everything is on the disk, so one that is there is whole. `Accelerator.save_state`
    writes optimiser, schedule and random states; `run.json` contains the history and what the run consists of.
    Frozen weights are not saved: a run goes on only with the model that it began with. Without a folder nothing is saved.
    """

    checkpoints: str | Path | None
    save_steps: int
    _: KW_ONLY
    resume: bool
    accelerator: Accelerator
    history: Any  # `training.History`, or what else has step, num_steps, records, state_dict and load_state_dict
    best_weights: dict[str, torch.Tensor]
    saved: Path | None = None  # the newest checkpoint
    stop: bool = False  # somebody has asked for it
    whole: bool = False  # whether the run could go on from what is in memory: no step is half done

    def __post_init__(self) -> None:
        self.folder = Path(self.checkpoints) if self.checkpoints else None

    @contextmanager
    def running(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, *, config: Any, texts: tuple[SequenceDataset, ...]
    ) -> Iterator[None]:  # fmt: skip
        """Go on from the newest checkpoint if asked to, and save one more when the run ends or is stopped.

        Inside, SIGINT and SIGTERM wait for the end of the step; a second SIGINT does not.

        Raises:
            FileExistsError: the folder contains checkpoints, and `resume` is not set.
            FileNotFoundError: there is nothing to go on from, or all of it is damaged.
            ValueError: another run is writing here, or this is not the run that the checkpoints belong to.
            KeyboardInterrupt: the run was stopped.
        """
        if self.folder is None:
            if self.resume:
                raise ValueError("To go on with a run, say where its checkpoints are: checkpoints=FOLDER, resume=True.")
            yield
            return
        if self.save_steps < 1:
            raise ValueError(f"save_steps is a number of batches, 1 or more, not {self.save_steps}.")
        # Not the weights: of tensors that share memory, as those of an LSTM on a GPU do, Accelerate keeps only one.
        self.accelerator.register_save_state_pre_hook(lambda models, weights, folder: weights.clear())
        self.accelerator.register_load_state_pre_hook(lambda models, folder: models.clear())
        self.model = self.accelerator.unwrap_model(model)
        self.same = _describe(self.accelerator, self.model, optimizer=optimizer, config=config, texts=texts)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:  # the lock goes with the process, however that ends
            lock = FileLock(self.folder / ".lock").acquire(timeout=0) if self.accelerator.is_main_process else nullcontext()
        except Timeout:
            raise ValueError(f"Another run is writing to {self.folder} now. Wait until it ends, or use another.") from None
        with lock, self._signals():
            if self.resume:
                self._restore(self.folder)
            elif checkpoints_in(self.folder):
                raise FileExistsError(f"{self.folder} contains checkpoints of a run. Resume it, or delete the folder.")
            try:
                yield
                self.save()
                if self.stop:  # asked for in the last validation
                    raise KeyboardInterrupt
            except KeyboardInterrupt:
                if self.whole:
                    self.save()
                done = f"Stopped after step {self.history.step} of {self.history.num_steps}."
                self.accelerator.print(f"{done} Run the same again with resume to go on from {self.saved}.")
                raise

    def rest_of(self, loader: DataLoader) -> Iterator[dict[str, torch.Tensor]]:
        """Yield the batches of this epoch that the run has not seen, after a checkpoint of where it is."""
        from accelerate import skip_first_batches

        epoch = len(self.history.records)
        done = self.history.step - epoch * len(loader)
        loader.set_epoch(epoch)  # type: ignore[attr-defined]  # Accelerate's own loader
        self.save()
        self._stop_if_asked()
        if done < len(loader):
            random_state = torch.get_rng_state()
            for index, batch in enumerate(skip_first_batches(loader, done) if done else loader):
                if done and not index:  # a loader draws a number when it starts; this run did that before it was stopped
                    torch.set_rng_state(random_state)
                self.whole = False
                yield batch
        self.whole = False  # validation draws numbers too

    def after_step(self) -> None:
        """Save if it is time to, and stop if somebody has asked for it; never between two halves of an optimiser's step."""
        if self.folder and self.accelerator.sync_gradients:
            self.whole = True
            self._stop_if_asked()
            if self.history.step >= (int(self.saved.name[5:13]) if self.saved else 0) + self.save_steps:
                self.save()

    def save(self) -> None:
        """Write a checkpoint, unless there is one of this moment, and delete all but the newest two.

        Raises:
            OSError: it could not be written; the checkpoints that were there are kept.
        """
        name = f"step-{self.history.step:08d}-epoch-{len(self.history.records):03d}"
        if self.folder is None or self.folder / name == self.saved:
            return
        part, first = self.folder / ".step.part", self.accelerator.is_main_process
        try:
            if first:
                shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
            self.accelerator.wait_for_everyone()
            self._fill(part)
            self.accelerator.wait_for_everyone()
            if first:
                complete_folder(part, self.folder / name)
        except Exception as error:  # a full disk is an error of another kind in each library
            why = "The disk is full" if shutil.disk_usage(self.folder).free < 2**16 else error
            shutil.rmtree(part, ignore_errors=True)
            raise OSError(f"{why}: no checkpoint could be written to {self.folder}. The newest is {self.saved}.") from error
        self.saved = self.folder / name
        for old in checkpoints_in(self.folder)[KEPT:] if first else ():
            shutil.rmtree(old, ignore_errors=True)

    def _fill(self, part: Path) -> None:
        from safetensors.torch import save_file

        self.accelerator.save_state(str(part))
        (part / f"random_{self.accelerator.process_index}.txt").write_text(_random_state())
        if self.accelerator.is_main_process:
            save_file(changing_weights(self.model), part / WEIGHTS)
            save_file(self.best_weights, part / BEST)
            (part / RUN).write_text(json.dumps({"same": self.same, "history": self.history.state_dict()}))

    def _restore(self, folder: Path) -> None:
        """Restore the newest checkpoint that is whole."""
        from safetensors.torch import load_file

        path, damaged = _newest_whole(folder)
        state = json.loads((path / RUN).read_text())
        before, now = state["same"], self.same
        if differ := [f"{name} ({before.get(name)} then, {now[name]} now)" for name in now if before.get(name) != now[name]]:
            raise ValueError(
                f"The run in {folder} cannot go on, because something is not as it was: {'; '.join(differ)}. "
                "Give what it began with, or start a new run in another folder."
            )
        self.accelerator.load_state(str(path))  # unpickles nothing: it reads with weights_only=True
        self.model.load_state_dict(load_file(path / WEIGHTS), strict=False)
        self.best_weights = load_file(path / BEST)
        self.history.load_state_dict(state["history"])
        if _random_state() != (path / f"random_{self.accelerator.process_index}.txt").read_text():
            raise ValueError(f"The random numbers of {path} cannot be restored on this machine. Go on where the run began.")
        self.saved = path
        for each in damaged:
            self.accelerator.print(f"{each} is damaged and was deleted; the run goes on from {path.name}.")
            shutil.rmtree(each, ignore_errors=True)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM ask for a stop; where they are ignored, or in another thread, nothing changes."""

        def ask(number: int, frame: object) -> None:
            if self.stop and number == signal.SIGINT:
                self.whole = False  # we may be anywhere
                raise KeyboardInterrupt
            self.stop = True

        with ExitStack() as stack:
            for number in (signal.SIGINT, signal.SIGTERM):
                main = threading.current_thread() is threading.main_thread()
                if main and signal.getsignal(number) not in (None, signal.SIG_IGN):
                    stack.callback(signal.signal, number, signal.signal(number, ask))
            yield

    def _stop_if_asked(self) -> None:
        if self.stop:
            self.accelerator.set_trigger()
        if self.accelerator.check_trigger():  # in any of the processes
            raise KeyboardInterrupt


def _describe(
    accelerator: Accelerator, model: nn.Module, *,
    optimizer: torch.optim.Optimizer, config: Any, texts: tuple[SequenceDataset, ...],
) -> dict[str, Any]:  # fmt: skip
    """Return what has to be the same for a run to go on, by name: settings, and digests of texts and weights."""
    weights = dict(model.named_parameters()) | dict(model.named_buffers())
    layout = [(name, str(w.dtype), tuple(w.shape), w.requires_grad) for name, w in weights.items()]
    groups = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    facts = asdict(config) | {
        "mixed_precision": accelerator.mixed_precision, "device": accelerator.device.type,
        "processes": accelerator.num_processes, "optimiser": _sha256([repr(groups)]),
        "model": f"{type(model).__name__} {_sha256([repr(layout)])}", "initial weights": _sha256(weights.values()),
    }  # fmt: skip
    for name, dataset in zip(("training texts", "validation texts"), texts, strict=True):
        facts[name] = f"{len(dataset):,} with digest {_sha256([*dataset.sequences, dataset.labels])}"
    return json.loads(json.dumps(facts, default=float))  # a number of numpy becomes one of JSON


def _newest_whole(folder: Path) -> tuple[Path, list[Path]]:
    """Return the newest checkpoint in a folder that verifies, and the damaged ones after it."""
    faults, found = "", checkpoints_in(folder)
    for index, path in enumerate(found):
        try:
            verify_manifest(path, repair="")
            return path, found[:index]
        except (FileNotFoundError, ValueError) as error:
            faults += f" {error}"
    raise FileNotFoundError(f"{folder} contains no checkpoint to go on from.{faults} Start a new run, without resume.")


def _sha256(parts: Iterable[Any]) -> str:
    """Return the beginning of a SHA-256 over tensors, arrays or strings."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            part = part.detach().cpu().reshape(-1).view(torch.uint8).numpy()  # bfloat16 too
        digest.update(part.encode() if isinstance(part, str) else f"{part.dtype}{part.shape}".encode() + part.tobytes())
    return digest.hexdigest()[:12]


def _random_state() -> str:
    """Return a digest of all random states that Accelerate saves; it keeps silent where it cannot restore one."""
    _, numbers, position, *_ = np.random.get_state()
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return _sha256([repr(random.getstate()), numbers, str(position), torch.get_rng_state(), *gpus])
