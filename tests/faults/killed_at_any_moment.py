"""Kill a run at random moments, saving included, and see whether it ends as if it had never been killed.

`python -m tests.faults.killed_at_any_moment 50` does so with SIGKILL 50 times and with SIGINT and SIGTERM 20 times each.
Each trial starts a run in a process of its own, sends the signal at a random moment, starts the run again until it is
complete, and compares weights and losses, bit by bit, with those of a run that was left alone. Exit status 1: one differs.
"""

import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import accelerate  # noqa: F401  # as transformers: here, once, so that a signal falls into a run and not into an import
import torch
import transformers.optimization  # noqa: F401
from safetensors.torch import save_file

from course_utils import saving
from course_utils.models import LSTMClassifier
from course_utils.training import History, TrainingConfig, fit
from tests.helpers import make_encoded

SAVE_STEPS = 3
PATIENCE = 600  # seconds for a run that takes a few, on a machine with much else to do
CONFIG = TrainingConfig(4, 0.05, 5, gradient_accumulation_steps=2, mixed_precision="no", seed=4)
FORK = multiprocessing.get_context("fork")  # a new process in no time, without importing torch again


def run(folder: Path) -> None:
    """Go on with the run in a folder, or start it; write what it ends with, and end with status 2 if it was stopped."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets programs in the background ignore it
    os.dup2(os.open(folder / "says", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    sys.stdout.reconfigure(line_buffering=True)
    steps = os.open(folder / "steps", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(history: History) -> None:
        os.write(steps, f"{os.getpid()} {history.step}\n".encode())

    torch.manual_seed(3)
    model = LSTMClassifier(12, embedding_size=8, hidden_size=8)  # dropout 0.3
    checkpoints = folder / "checkpoints"
    options = {"checkpoints": checkpoints, "save_steps": SAVE_STEPS, "resume": bool(saving.checkpoints_in(checkpoints))}
    history = fit(model, make_encoded(24), make_encoded(17, seed=1), CONFIG, on_step=note, **options)
    if history.interrupted:
        os._exit(2)
    save_file(model.state_dict(), folder / "weights.safetensors")
    (folder / "losses").write_text(json.dumps([history.step_losses, [r.validation_loss for r in history.records]]))
    os._exit(0)


def start(folder: Path) -> multiprocessing.Process:
    folder.mkdir(exist_ok=True)
    process = FORK.Process(target=run, args=(folder,))
    process.start()
    return process


def ending(folder: Path) -> tuple[bytes, str]:
    return (folder / "weights.safetensors").read_bytes(), (folder / "losses").read_text()


def trial(folder: Path, number: int, *, after: float) -> tuple[str, bool]:
    """Send signal `number` to a run in a new folder after some seconds, complete the run, and return what came of it.

    The text names a fault, or is empty; the second value is whether the signal came while a checkpoint was written.
    """
    process = start(folder)
    time.sleep(after)
    saving_now = (folder / "checkpoints" / ".step.part").exists()
    os.kill(process.pid, number)
    process.join(PATIENCE)
    newest = next(iter(saving.checkpoints_in(folder / "checkpoints")), Path("none"))
    inside = newest.name not in ("none", "step-00000020-epoch-004")  # of `fit`, where signals are heard
    if number != signal.SIGKILL and inside and process.exitcode not in (0, 2):
        return f"ended with {process.exitcode}", saving_now
    if process.exitcode == 2 and "again with resume to go on" not in (folder / "says").read_text():
        return "did not say how to go on", saving_now
    again = start(folder)
    again.join(PATIENCE)
    if again.exitcode != 0:
        return f"could not go on: {again.exitcode}", saving_now
    noted = [line.split() for line in (folder / "steps").read_text().splitlines()]
    before, after_it = ([int(step) for pid, step in noted if int(pid) == p.pid] for p in (process, again))
    if before and after_it and before[-1] - after_it[0] + 1 > SAVE_STEPS + 1:  # a gradient of two batches is not divided
        return f"repeated steps {after_it[0]} to {before[-1]}", saving_now
    return "", saving_now


def main(kills: int, others: int) -> int:
    """Run all trials, print the faults and a line for each signal, and return how many differed."""
    rng, wrong = random.Random(0), 0
    with tempfile.TemporaryDirectory() as place:
        alone = Path(place, "alone")
        started = time.perf_counter()
        start(alone).join(PATIENCE)
        seconds = time.perf_counter() - started
        for number, trials in ((signal.SIGKILL, kills), (signal.SIGINT, others), (signal.SIGTERM, others)):
            good, while_saving = 0, 0
            for index in range(trials):
                folder = Path(place, f"{number}-{index}")
                fault, saved = trial(folder, number, after=rng.uniform(0, seconds))
                fault = fault or ("" if ending(folder) == ending(alone) else "ended with other weights or losses")
                good, while_saving = good + (not fault), while_saving + saved
                if fault:
                    print(f"{signal.Signals(number).name} {index}: {fault}")
            wrong += trials - good
            kind = signal.Signals(number).name
            print(f"{kind}: {good} of {trials} ended bit by bit as the run left alone; {while_saving} came while saving")
    return wrong


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    sys.exit(main(count, max(1, 2 * count // 5)) > 0)
