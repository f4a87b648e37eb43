"""Write to a full disk, to a read-only place and without a home: one sentence each, and the last good file stays.

    python -m tests.faults.disk_full [N]

It mounts N disks of a few kB in memory (tmpfs), so that another write fails each time; this needs root on Linux. It prints
each fault, and ends with 1 if there was one.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from unittest import mock

os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}  # before anything imports huggingface_hub or tqdm

import torch

from course_utils import cli
from course_utils.exercises import progress
from course_utils.files import verify_manifest
from tests.tiny_finetune import make_checkpoint, make_finished, make_table

FULL = "The disk is full: "


@contextmanager
def small_disk(root: Path, size: int, *options: str) -> Iterator[Path]:
    """Yield a folder on a disk of `size` kB.

    Raises:
        PermissionError: this user, or this system, cannot mount one.
    """
    folder = root / f"disk-{size}"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}k", *options]), "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        raise PermissionError("mounting a disk in memory needs root, on Linux")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Write a file until the disk is full, and return it."""
    with suppress(OSError), (disk / "fill").open("wb", buffering=0) as file:
        while file.write(bytes(512)):
            pass
    return disk / "fill"


class Commands:
    """The commands that are tried, with a tiny checkpoint, a table and a finished model in `root`."""

    def __init__(self, root: Path) -> None:
        self.checkpoint, _, self.model = make_checkpoint(root / "tiny"), make_table(root), make_finished(root / "model")
        self.table = root / "films.csv"

    def finetune(self, out: Path) -> list[str]:
        """Return the command that trains a model in `out`."""
        sizes = ["--checkpoint", self.checkpoint, "--epochs", "1", "--max-length", "6"]
        return ["finetune", str(self.table), "--text-column", "text", "--label-column", "kind", *sizes, "--out", str(out)]

    def predict(self, out: Path) -> list[str]:
        """Return the command that writes predictions to `out`."""
        return ["predict", str(self.model), str(self.table), "--text-column", "text", "--out", str(out)]


def course(command: list[str]) -> tuple[int | None, str]:
    """Return the status of the command `course` (None: it raised an error), and what it said on stderr."""
    said = io.StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(io.StringIO()):
            return cli.main(command), said.getvalue()
    except Exception as error:
        return None, f"a traceback: {type(error).__name__}: {error}"


def fault(ended: tuple[int | None, str], *words: str) -> str:
    """Return what is wrong with a command that must end with 2 and one sentence that contains `words`, or ""."""
    status, said = ended
    whole = status == 2 and said.startswith("course: ") and said.count("\n") == 1
    return "" if whole and all(word in said for word in words) else f"status {status}: {said[-400:]}"


def full_disk(commands: Commands, disk: Path) -> Iterator[str]:
    """Yield what goes wrong with runs, predictions and progress on a small disk that is full."""
    ended = course(commands.finetune(disk / "m"))
    if ended[0] == 0:  # it fitted
        verify_manifest(disk / "m")
    elif wrong := fault(ended, FULL, str(disk)):
        yield f"finetune: {wrong}"
    if ended[0] and (disk / "m" / "manifest.json").exists():
        yield "finetune failed and left a folder that looks finished"
    last = disk / "predictions.csv"
    with mock.patch.dict(os.environ, {"COURSE_PROGRESS": str(disk / "progress.json")}):
        for file in disk.rglob("model.safetensors"):  # room for the next lines
            file.unlink()
        progress.record("01.1", solved=True)
        last.write_text("the last good ones\n")
        fill(disk)
        if wrong := fault(course(commands.predict(disk / "new.csv")), FULL, "new.csv"):
            yield f"predict: {wrong}"
        with suppress(OSError):
            progress.record("01.2", solved=True)
            yield "progress: nothing was said"
        if set(progress.load_progress()["exercises"]) != {"01.1"}:
            yield "progress: what was recorded before is lost"
    if (disk / "new.csv").exists() or list(disk.glob(".part*")) or last.read_text() != "the last good ones\n":
        yield f"predict: there is a part, or the last good file is lost: {sorted(disk.iterdir())}"


@contextmanager
def read_only(root: Path) -> Iterator[Path]:
    """Yield a folder in which this user cannot write; for root, who may write everywhere, it is a read-only disk."""
    if os.geteuid() == 0:
        with small_disk(root, 4, "ro") as folder:
            yield folder
    else:
        (root / "shut").mkdir(mode=0o555)
        yield root / "shut"


def closed_places(commands: Commands, root: Path) -> Iterator[str]:
    """Yield what goes wrong with commands that may not write, have no folder to write to, or no home."""
    with read_only(root) as shut:
        for out, words in ((shut, "You may not read or write"), (root / "absent", "absent")):
            for command in (commands.finetune(out / "m"), commands.predict(out / "p.csv")):
                if wrong := fault(course(command), words, str(out)):
                    yield f"{command[0]} to {out}: {wrong}"
    homeless = {name: value for name, value in os.environ.items() if name not in ("HOME", "COURSE_PROGRESS")}
    with mock.patch.dict(os.environ, homeless, clear=True), mock.patch("pwd.getpwuid", side_effect=KeyError):
        if wrong := fault(course(["progress"]), "no home folder", "COURSE_PROGRESS"):
            yield f"progress without a home: {wrong}"


def main() -> int:
    count, faults = int(sys.argv[1]) if len(sys.argv) > 1 else 12, []
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        commands = Commands(root)
        for number in range(count):
            with small_disk(root, 8 + 12 * number) as disk:
                faults += [f"{8 + 12 * number} kB, {wrong}" for wrong in full_disk(commands, disk)]
        faults += closed_places(commands, root)
    print(*faults, f"{count} full disks and 5 closed places: {len(faults)} faults", sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
