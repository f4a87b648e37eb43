"""Kill a program that unpacks the language model, N times at a random moment, while a second one waits for it or starts.

    python -m tests.faults.unpacking [N]

The second program must end with a whole folder, whatever the first one left. It ends with 1 if that is not so. The model is
a tiny one, and the programs are forked, so that a kill falls into the unpacking and not into an import.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

from course_utils import language_model
from course_utils.files import verify_manifest
from tests.tiny_gguf import make_gguf


def unpack(folder: Path) -> int:
    """Unpack in a process of its own, and return its number."""
    if number := os.fork():
        return number
    language_model.folder = lambda: folder  # type: ignore[assignment]
    language_model.FILE_SHA256 = hashlib.sha256((folder / language_model.FILE).read_bytes()).hexdigest()
    try:
        language_model.unpacked()
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)


def ended(number: int) -> int:
    """Return the exit status of a process, 0 for success."""
    return os.waitpid(number, 0)[1]


def kill_at(folder: Path, seconds: float, *, waits: bool) -> tuple[bool, str]:
    """Return whether the kill came in time, and what is wrong afterwards, or "". With `waits` the second is there before."""
    first = unpack(folder)
    time.sleep(seconds)
    second = unpack(folder) if waits else 0
    os.kill(first, signal.SIGKILL)
    killed = ended(first) != 0
    second = second or unpack(folder)
    if ended(second) != 0:
        return killed, "the second program failed"
    verify_manifest(folder / "safetensors")
    names = sorted(path.name for path in folder.iterdir())
    return killed, f"left behind: {names}" * (names != [language_model.FILE, "lock", "safetensors"])


def main(count: int, *, seed: int = 0) -> tuple[int, list[str]]:
    """Return how many programs were killed before their end, and what went wrong."""
    draw, kills, faults = random.Random(seed), 0, []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a fork does not take threads along
    with tempfile.TemporaryDirectory() as place:
        make_gguf(Path(place) / language_model.FILE)
        content, longest = (Path(place) / language_model.FILE).read_bytes(), float("inf")
        for number in range(-3, count):
            folder = Path(place, str(number))
            folder.mkdir()
            (folder / language_model.FILE).write_bytes(content)
            if number < 0:  # how long it takes undisturbed, once everything is warm
                alone, started = unpack(folder), time.perf_counter()  # the fork itself may take longer than the unpacking
                faults += ["alone it failed"] * (ended(alone) != 0)
                longest = min(longest, time.perf_counter() - started)
                continue
            killed, fault = kill_at(folder, draw.uniform(0, longest), waits=number % 2 == 1)
            kills += killed
            faults += [f"kill {number}: {fault}"] * bool(fault)
    torch.set_num_threads(threads)
    return kills, faults


if __name__ == "__main__":
    kills, faults = main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
    print(f"{kills} programs were killed before their end; faults: {faults or 'none'}")
    sys.exit(bool(faults))
