"""Time another commit and the course as it is now in alternation, and write bench/results/before_after.json.

    python -m bench.before_after COMMIT              five rounds (a quarter of an hour)
    python -m bench.before_after COMMIT --rounds 3   fewer
    python -m bench.before_after COMMIT --quick      tiny sizes, one round: does it run? (writes to outputs/)

COMMIT is checked out in a temporary folder. In every round each side gets a process of its own; the two fine-tune and
predict in turn, on the same texts, while the other one waits. The time of importing `course_utils.training` and of
`course --help` is that of a whole process, the median of three a round. Ratios, after over before, are taken within
rounds. Loading, encoding and a first short run are not timed. The results hold for an idle machine: close other
programs first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import records
from bench.speed import spread, surroundings
from course_utils import cost

RESULT = records.RESULTS / "before_after.json"
QUICK_RESULT = records.ROOT / "outputs" / "before_after_quick.json"
SIDES = ("before", "after")
# source, part, texts, tokens of a text at most, what is done
TASKS: dict[str, tuple[str, str, int, int, str]] = {
    "fine-tuning, sentences": ("rotten_tomatoes", "train", 2_000, 48, "train"),
    "fine-tuning, reviews": ("imdb", "train", 320, 256, "train"),
    "prediction, sentences": ("rotten_tomatoes", "test", 1_000, 48, "predict"),
    "prediction, reviews": ("imdb", "test", 320, 256, "predict"),
}
COMMANDS = {
    "import course_utils.training": ["-c", "import course_utils.training"],
    "course --help": ["-m", "course_utils.cli", "--help"],
}

# How each side is called: up to commit 56fb089, and since the loop is on Accelerate.
OLD_CALLS = """
from course_utils.training import Settings, fit, predict_proba
encode = lambda texts, tokenizer, most: text.encode_wordpieces(texts, tokenizer, max_tokens=most)
def train(model, dataset, seed):
    settings = Settings(num_epochs=1, learning_rate=1e-4, batch_size=32, seed=seed)
    fit(model, dataset, dataset.take(np.arange(1)), settings, on_progress=lambda progress: None)
"""
NEW_CALLS = """
from course_utils.prediction import predict_proba
from course_utils.training import TrainingConfig, fit
encode = lambda texts, tokenizer, most: text.encode_wordpieces(texts, tokenizer, max_length=most)
def train(model, dataset, seed):
    config = TrainingConfig(num_epochs=1, learning_rate=1e-4, batch_size=32, seed=seed)
    fit(model, dataset, dataset.take(np.arange(1)), config, on_step=lambda history: None)
"""
# What both share: for each name of a task on a line of input, a line with the seconds that it took.
WORKER = """
import gc, hashlib, json, sys, time
import numpy as np
import course_utils
from course_utils import data, pretrained, text
answers, sys.stdout = sys.stdout, sys.stderr
seed, tasks = json.loads(sys.argv[1])
tokenizer, datasets, digest = pretrained.load_tokenizer(), {}, hashlib.sha256()
for name, (source, part, count, most, _) in tasks.items():
    datasets[name] = encode(data.evenly(getattr(data.load_splits(source), part), count), tokenizer, most)
    for ids in datasets[name].input_ids:
        digest.update(ids.tobytes())
def run(name, dataset):
    model = pretrained.load_classifier(seed=seed)
    gc.collect()
    started = time.perf_counter()
    train(model, dataset, seed) if tasks[name][4] == "train" else predict_proba(model, dataset)
    return time.perf_counter() - started
for name, dataset in datasets.items():
    run(name, dataset.take(np.arange(min(64, len(dataset)))))
print(json.dumps({"package": course_utils.__file__, "texts": digest.hexdigest()}), file=answers, flush=True)
for line in sys.stdin:
    print(run(line.strip(), datasets[line.strip()]), file=answers, flush=True)
"""


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Yield a temporary folder with the course at `commit`."""
    git = ["git", "-C", str(records.ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent).resolve() / "before"
        subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
        try:
            yield folder
        finally:
            subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def calls_of(folder: Path) -> str:
    """Return the adapter for the course in a folder."""
    return NEW_CALLS if (folder / "course_utils" / "prediction.py").exists() else OLD_CALLS


def _environment() -> dict[str, str]:
    """Return the environment of every process: no network, and each folder's own package, compiled once."""
    left_out = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONSAFEPATH")
    return {name: value for name, value in os.environ.items() if name not in left_out} | {"HF_HUB_OFFLINE": "1"}


class Worker:
    """A process of one side, ready to run tasks."""

    def __init__(self, folder: Path, seed: int, tasks: dict) -> None:
        program = f"import numpy as np\nfrom course_utils import text\n{calls_of(folder)}\n{WORKER}"
        command = [sys.executable, "-W", "ignore", "-c", program, json.dumps([seed, tasks])]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, cwd=folder, env=_environment(), stdin=pipe, stdout=pipe, text=True, encoding="utf-8"
        )
        facts = json.loads(self._answer())
        if not Path(facts["package"]).resolve().is_relative_to(folder):
            raise RuntimeError(f"This side was to run the course in {folder}, but imported {facts['package']}.")
        self.texts: str = facts["texts"]

    def _answer(self) -> str:
        assert self.process.stdout
        if not (line := self.process.stdout.readline()):
            raise RuntimeError("One side ended early; its error is above.")
        return line

    def seconds(self, task: str) -> float:
        """Return how long a task takes."""
        assert self.process.stdin
        self.process.stdin.write(f"{task}\n")
        self.process.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def in_turn(number: int, measure: Callable[[str], float]) -> dict[str, float]:
    """Return what `measure` gives for both sides; the side that is first changes with `number`."""
    return {side: measure(side) for side in (SIDES if number % 2 == 0 else SIDES[::-1])}


def run_tasks(folders: dict[str, Path], seed: int, tasks: dict) -> dict[str, dict[str, float]]:
    """Return the seconds of every task on both sides, each in a new process.

    Raises:
        RuntimeError: a side ended early, or the two do not read the same texts.
    """
    workers: dict[str, Worker] = {}
    try:
        for side, folder in folders.items():
            workers[side] = Worker(folder, seed, tasks)
        if len({worker.texts for worker in workers.values()}) > 1:
            raise RuntimeError("The two sides do not read the same texts, so their times cannot be compared.")
        return {
            task: in_turn(seed + place, lambda side, task=task: workers[side].seconds(task))  # type: ignore[misc]
            for place, task in enumerate(tasks)
        }
    finally:
        for worker in workers.values():
            worker.close()


def command_seconds(folder: Path, arguments: list[str]) -> float:
    """Return the seconds of a whole Python process in a folder, the median of three."""
    command = [sys.executable, *arguments]
    call = lambda: subprocess.run(command, cwd=folder, env=_environment(), check=True, stdout=subprocess.DEVNULL)  # noqa: E731
    return cost.median_seconds(call, repeats=3)


def measure(folders: dict[str, Path], rounds: int, tasks: dict) -> dict[str, list[dict[str, float]]]:
    """Return, for each task and command, the seconds of both sides in every round."""
    taken: dict[str, list[dict[str, float]]] = defaultdict(list)
    for number in range(rounds):
        once = run_tasks(folders, number, tasks)
        for place, (name, arguments) in enumerate(COMMANDS.items()):
            once[name] = in_turn(number + place, lambda side, a=arguments: command_seconds(folders[side], a))  # type: ignore[misc]
        for name, seconds in once.items():
            taken[name].append(seconds)
            print(
                f"round {number + 1}, {name}: {seconds['before']:.2f} s before, {seconds['after']:.2f} s after", flush=True
            )
    return taken


def record(taken: dict[str, list[dict[str, float]]]) -> dict[str, dict]:
    """Return medians and ranges: seconds of both sides, and the ratios after / before within rounds."""
    return {
        name: {side: spread(seconds[side] for seconds in rounds) for side in SIDES}
        | {"after_over_before": spread(seconds["after"] / seconds["before"] for seconds in rounds)}
        for name, rounds in taken.items()
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="the commit to compare with")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side runs (default: 5)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round: only to see that it runs")
    parser.add_argument("--out", type=Path, help="where to write (default: as above)")
    options = parser.parse_args(arguments)
    tasks, rounds = TASKS, options.rounds
    if options.quick:
        tasks, rounds = {name: (source, part, 8, 16, what) for name, (source, part, _, _, what) in TASKS.items()}, 1
    with checked_out(options.commit) as folder:
        found = subprocess.run(["git", "-C", str(folder), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        measured = record(measure({"before": folder, "after": records.ROOT}, rounds, tasks))
    out = options.out or (QUICK_RESULT if options.quick else RESULT)
    before = found.stdout.strip()
    sizes = {name: {"texts": count, "max_length": most} for name, (_, _, count, most, _) in tasks.items()}
    records.write(out, {"before": before, "rounds": rounds, "sizes": sizes, "seconds": measured, "after": surroundings()})
    for name, row in measured.items():
        ratio = row["after_over_before"]
        print(f"{name:<30} {ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f}) times the seconds of {before}")
    print(f"written: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
