"""What the benchmarks share: where records are kept, the commit they belong to, and runs of several seeds."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from course_utils import batching, data, text
from course_utils.evaluation import block_interval

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"


def commit(*, short: bool = False) -> str:
    """Return the commit of the course that is measured, in full or as git shortens it; "" outside a clone."""
    command = ["git", "rev-parse", *(["--short"] if short else []), "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def write(path: Path, record: dict[str, Any]) -> None:
    """Write a record as the course keeps it: JSON, indented by one space."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def encoded_reviews(max_length: int) -> tuple[list[batching.TokenDataset], int]:
    """Return train, validation and test as the last `max_length` words of each review, and the vocabulary's size."""
    splits = data.load_splits("imdb")
    words = text.Vocabulary.from_tokens(text.basic_english(review) for review in splits.train.texts)
    return [text.encode_words(part, words, max_length=max_length, keep="last") for part in splits], len(words)


def finished_runs(description: str | None, folder: str, asked: dict[str, Any], run: Callable[[int], dict]) -> list[dict]:
    """Run the seeds of the command line that are missing, and return all runs there are, or none below five.

    A run is kept in outputs/`folder` with what was `asked`; one that was asked for otherwise is run again.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    kept = ROOT / "outputs" / folder
    kept.mkdir(parents=True, exist_ok=True)
    for seed in parser.parse_args().seeds:
        file = kept / f"{seed}.json"
        if not file.exists() or json.loads(file.read_text()).get("asked") != asked:
            file.write_text(json.dumps({"asked": asked, "run": run(seed)}))
    files = [json.loads(file.read_text()) for file in sorted(kept.glob("*.json"))]
    runs = [each["run"] for each in files if each.get("asked") == asked]
    return runs if len(runs) >= 5 else []


def interval(values: np.ndarray, blocks: np.ndarray) -> dict[str, float]:
    """Return the mean and its 95 % interval over blocks, as records keep them."""
    return {name: round(value, 4) for name, value in asdict(block_interval(values, blocks)).items()}
