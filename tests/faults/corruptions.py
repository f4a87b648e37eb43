"""Damage what the course reads in N random ways: each must be named in a sentence, or change no answer.

    python -m tests.faults.corruptions [N]

Damaged are copies of the reviews, the embedded checkpoint, the small BERT, a finished folder, its manifest, a folder
without a manifest (its tensors alone) and the progress file. Every damage that was not named is printed, and it ends with 1.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tempfile
import types
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from unittest import mock

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from course_utils import data, pretrained
from course_utils.exercises import progress
from course_utils.files import MANIFEST
from course_utils.finetune import predict
from tests.tiny_finetune import make_finished

Damage = Callable[[np.random.Generator, list[Path]], list[Path | str]]  # returns what a message has to name, one of them
TEXTS = ("good film one", "bad film two", "six fine")


def flip(rng: np.random.Generator, files: list[Path]) -> list[Path | str]:
    """Flip one bit of a file."""
    (file,) = rng.choice(files, 1)
    content = bytearray(file.read_bytes())
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    file.write_bytes(content)
    return [file]


def truncate(rng: np.random.Generator, files: list[Path]) -> list[Path | str]:
    """Keep the beginning of a file."""
    (file,) = rng.choice(files, 1)
    os.truncate(file, rng.integers(file.stat().st_size))
    return [file]


def delete(rng: np.random.Generator, files: list[Path]) -> list[Path | str]:
    """Delete a file."""
    (file,) = rng.choice(files, 1)
    file.unlink()
    return [file]


def swap(rng: np.random.Generator, files: list[Path]) -> list[Path | str]:
    """Exchange the contents of two files."""
    one, other = rng.choice(files, 2, replace=False)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    return [one, other]


def _tensors(rng: np.random.Generator, files: list[Path], change: Callable[[dict, str], None]) -> list[Path | str]:
    (file,) = rng.choice([file for file in files if file.suffix == ".safetensors"], 1)
    tensors = load_file(file)
    (name,) = rng.choice(sorted(tensors), 1)
    change(tensors, str(name))
    save_file(tensors, file, metadata={"format": "pt"})
    return [file, str(name).removeprefix("bert.")]


def rename_tensor(rng: np.random.Generator, files: list[Path]) -> list[Path | str]:
    """Give one tensor another name, by another last letter."""
    return _tensors(rng, files, lambda tensors, name: tensors.update({f"{name[:-1]}x": tensors.pop(name)}))


def drop_tensor(rng: np.random.Generator, files: list[Path]) -> list[Path | str]:
    """Leave one tensor out."""
    return _tensors(rng, files, lambda tensors, name: tensors.pop(name))


def reshape_tensor(rng: np.random.Generator, files: list[Path]) -> list[Path | str]:
    """Give one tensor a row more."""
    return _tensors(rng, files, lambda tensors, name: tensors.update({name: torch.cat([tensors[name], tensors[name][:1]])}))


def fewer_layers(rng: np.random.Generator, files: list[Path]) -> list[Path | str]:
    """Let the settings say that the model has another number of layers than its file."""
    (config,) = [file for file in files if file.name == "config.json"]
    settings = json.loads(config.read_text()) | {"num_hidden_layers": int(rng.choice([0, 2]))}
    config.write_text(json.dumps(settings))
    return ["encoder.layer."]


FILES: tuple[Damage, ...] = (flip, truncate, delete, swap)
ONE_FILE: tuple[Damage, ...] = (flip, truncate)
WEIGHTS: tuple[Damage, ...] = (rename_tensor, drop_tensor, reshape_tensor)


@dataclass(frozen=True)
class Target:
    """Something the course reads: its folder, a copy of it that stays whole, and what a learner gets from it."""

    name: str
    folder: Path
    answer: Callable[[], object]
    damages: tuple[Damage, ...]
    only: str = "*"
    whole: dict[Path, Path] = field(default_factory=dict)

    def files(self) -> list[Path]:
        """Return the files that can be damaged."""
        return sorted(path for path in self.folder.rglob(self.only) if path.is_file() and path.suffix != ".lock")

    def keep(self, folder: Path) -> Target:
        """Copy the files aside, and return this target."""
        for number, file in enumerate(self.files()):
            self.whole[file] = Path(shutil.copy2(file, folder / f"{self.name.replace(' ', '-')}-{number}"))
        return self

    def restore(self) -> None:
        """Make everything as it was."""
        for file in set(self.files()) - set(self.whole):
            file.unlink()
        for file, copy in self.whole.items():
            if not file.exists() or file.stat().st_mtime_ns != copy.stat().st_mtime_ns:
                shutil.copy2(copy, file)


def _predict(folder: Path) -> object:
    frame = predict.predict(folder, TEXTS)
    return list(frame), frame.to_numpy().tolist()


def _progress() -> object:
    return progress.load_progress()["exercises"], progress.progress_table()


@contextmanager
def small_targets(root: Path) -> Iterator[list[Target]]:
    """Yield the targets of a few kB each."""
    finished = [make_finished(root / name) for name in ("finished", "manifest", "plain")]
    (finished[2] / MANIFEST).unlink()
    (root / "copies").mkdir()
    with mock.patch.dict(os.environ, {"COURSE_PROGRESS": str(root / "progress" / "progress.json")}):
        for name in ("01.1", "01.2", "02.1", "02.2"):
            progress.record(name, solved=name != "02.1")
        targets = [
            Target("finished folder", finished[0], lambda: _predict(finished[0]), (*FILES, *WEIGHTS)),
            Target("manifest", finished[1], lambda: _predict(finished[1]), (*ONE_FILE, flip, delete), MANIFEST),
            Target("no manifest", finished[2], lambda: _predict(finished[2]), (*WEIGHTS, fewer_layers), "[cm]o*.*s*"),
            Target("progress", root / "progress", _progress, (*ONE_FILE, flip)),
        ]
        yield [target.keep(root / "copies") for target in targets]


def _reviews() -> object:
    reviews = data.load_reviews("rotten_tomatoes")
    return hash(reviews.texts), reviews.labels.tolist()


def _encoder(name: str) -> object:
    encoder, tokenizer = pretrained.load_encoder(name), pretrained.load_tokenizer("embedded")
    with torch.no_grad():
        return encoder(**tokenizer(["a fine film"], return_tensors="pt")).last_hidden_state.tolist()


def _small_bert() -> object:
    (*_, last) = sorted(pretrained.checkpoint_path("small-bert").glob("step-*"))
    tokens = pretrained.load_tokenizer("small-bert")(["a fine film"], return_tensors="pt")
    torch.manual_seed(0)  # its pooler is new
    with torch.no_grad():
        return pretrained.load_encoder(str(last))(**tokens).last_hidden_state.tolist()


@contextmanager
def large_targets(root: Path) -> Iterator[list[Target]]:
    """Yield the targets that come with the course, copied."""
    small, csv = root / "checkpoints" / "small-bert", next(iter(data.PACKAGE.sha256))
    shutil.copytree(pretrained.checkpoint_path("small-bert"), small)
    for file in (csv, *pretrained.PACKAGE.sha256):
        package = data.PACKAGE if file == csv else pretrained.PACKAGE
        (root / "packages" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(package.verify(file), root / "packages" / file)
    copies = types.SimpleNamespace(locate_file=(root / "packages").joinpath)
    real = metadata.distribution
    ours = {data.PACKAGE.distribution, pretrained.PACKAGE.distribution}
    (root / "copies").mkdir(exist_ok=True)
    with (
        mock.patch.object(metadata, "distribution", lambda name: copies if name in ours else real(name)),
        mock.patch.object(pretrained, "__file__", str(root / "pretrained.py")),
    ):
        targets = [
            Target("reviews", (root / "packages" / csv).parent, _reviews, (*ONE_FILE, delete)),
            Target("embedded", pretrained.checkpoint_path(), lambda: _encoder("embedded"), (*FILES, rename_tensor)),
            Target("small BERT", small, _small_bert, (*FILES, rename_tensor)),
        ]
        yield [target.keep(root / "copies") for target in targets]


def outcome(target: Target, expected: object, names: list[Path | str]) -> str:
    """Return "named", "without effect", or what went wrong."""
    said = io.StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            answer = target.answer()
    except (ValueError, OSError) as error:
        said.write(str(error))
        answer = expected  # none was given
        refused = True
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    else:
        refused = False
    text = said.getvalue()
    if any((name.name if isinstance(name, Path) else name) in text for name in names):
        return "named"
    if refused:
        return f"refused without a name: {text}"
    return "without effect" if answer == expected else "ANOTHER ANSWER"


def corrupt(targets: list[Target], count: int, *, seed: int = 0) -> tuple[Counter, list[str]]:
    """Return how many of `count` damages, in turn to each target, ended how; and those that were not named, in words."""
    rng, outcomes, culprits = np.random.default_rng(seed), Counter(), []
    expected = {target.name: target.answer() for target in targets}
    for number in range(count):
        target = targets[number % len(targets)]
        damage = target.damages[number // len(targets) % len(target.damages)]
        names = damage(rng, target.files())
        found = outcome(target, expected[target.name], names)
        outcomes[target.name, found if found in ("named", "without effect") else "NOT NAMED"] += 1
        if found not in ("named", "without effect"):
            culprits.append(f"{number}: {target.name}, {damage.__name__} {', '.join(map(str, names))}: {found[:300]}")
        target.restore()
    return outcomes, culprits


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as root, small_targets(Path(root)) as small, large_targets(Path(root)) as large:
        outcomes, culprits = corrupt([*small, *large], count)
    for (target, found), times in sorted(outcomes.items()):
        print(f"{target:16} {found:15} {times:4}")
    print(*culprits, f"{count - len(culprits)} of {count} named, or without effect", sep="\n")
    return 1 if culprits else 0


if __name__ == "__main__":
    sys.exit(main())
