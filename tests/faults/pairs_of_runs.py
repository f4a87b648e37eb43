"""Start `course finetune` N times as a pair, at once, into one folder; then four processes that record progress at once.

    python -m tests.faults.pairs_of_runs [N]

Of each pair one run must win and the other end with a sentence, and the folder must verify; of the progress nothing may be
lost. It ends with 1 if that is not so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from course_utils.files import verify_manifest
from tests.tiny_finetune import make_checkpoint, make_table

ROOT = Path(__file__).parents[2]
RECORDS = "from course_utils.exercises.progress import record\nfor i in range(25): record(f'{%d}.{i}', solved=True)"
TRAINS = ["-m", "course_utils.cli", "finetune", "films.csv", "--text-column", "text", "--label-column", "kind", "--out", "m",
          "--checkpoint", "tiny", "--epochs", "1", "--max-length", "6"]  # fmt: skip


def start(arguments: list[str], folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a Python of this copy of the course in a folder."""
    alone = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *arguments], cwd=folder, env=os.environ | alone | environment, **pipes)


def pair(folder: Path) -> str:
    """Return what is wrong with a pair of runs into `folder`/m that start at once, or an empty string."""
    runs = [start([*TRAINS, "--seed", str(seed)], folder) for seed in (1, 2)]
    ends = [(*run.communicate(timeout=600), run.returncode) for run in runs]
    won = [number for number, (_, _, status) in enumerate(ends) if status == 0]
    if len(won) != 1:
        return f"{len(won)} runs won: {[error[-300:] for _, error, _ in ends]}"
    _, error, status = ends[1 - won[0]]
    if status != 2 or not error.startswith("course: ") or error.count("\n") != 1:
        return f"the other run ended with {status}: {error[-300:]}"
    verify_manifest(folder / "m")
    seed = json.loads((folder / "m" / "report.json").read_text())["config"]["seed"]
    if seed != won[0] + 1:
        return f"run {won[0] + 1} won, and the card is of run {seed}"
    left = sorted(path.name for path in folder.iterdir() if path.name not in ("films.csv", "tiny", "m"))
    return f"left behind: {left}" * bool(left)


def record_at_once(folder: Path, processes: int = 4) -> str:
    """Return what is wrong after several processes have recorded progress at once, or an empty string."""
    file = folder / "progress.json"
    writers = [start(["-c", RECORDS % number], folder, COURSE_PROGRESS=str(file)) for number in range(processes)]
    errors = [writer.communicate(timeout=300)[1] for writer in writers]
    kept = len(json.loads(file.read_text())["exercises"])
    return f"{kept} of {25 * processes} kept: {errors}" * (kept != 25 * processes)


def main() -> int:
    count, faults = int(sys.argv[1]) if len(sys.argv) > 1 else 8, []
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            make_table(Path(folder))
            make_checkpoint(Path(folder) / "tiny")
            fault = pair(Path(folder))
            print(f"pair {number + 1}: {fault or 'one won, the other said why it did not'}", flush=True)
            faults += [fault] * bool(fault)
    with tempfile.TemporaryDirectory() as folder:
        fault = record_at_once(Path(folder))
        print(f"progress: {fault or 'nothing lost'}")
        faults += [fault] * bool(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
