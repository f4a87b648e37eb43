"""The `course` command. Heavy libraries are imported by the action that needs them."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import __version__

# JupyterLab opens the first notebook, and does not look for news or newer versions on the network.
LAB = (
    "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb",
    "--ServerApp.log_level=WARN",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
)
TORCHTEXT_NOTEBOOK = Path("notebooks", "03b_the_published_listing.ipynb")


def main(arguments: list[str] | None = None) -> int:
    """Run one action and return its exit status: 0 when all is well."""
    options = make_parser().parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"course: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command; what it parses has the function of its action as `run`."""
    parser = argparse.ArgumentParser(prog="course", description="The Fine-Tuning Course: from a loss to BERT, in notebooks.")
    parser.add_argument("--version", action="version", version=f"course {__version__}")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add(name: str, run: Callable[[argparse.Namespace], int], says: str, **options: Any) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=says, **options)
        action.set_defaults(run=run)
        return action

    doctor = add("doctor", _doctor, "say what this machine offers the course, and what to fix")
    doctor.add_argument("--room", action="store_true", help="print one line for a whole room to compare")
    doctor.add_argument("--json", action="store_true", help="print everything that was found, for a program")
    lab = add("lab", _lab, "open the course in JupyterLab")
    lab.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    test = add("test", _test, "run the tests")
    test.add_argument("part", nargs="?", choices=("all", "fast", "notebooks"), default="all", help="which (default: all)")
    _add_finetune_options(add("finetune", _finetune, "turn a table of your own into a model in a folder, with its card"))
    predict = add("predict", _predict, "predict the classes of texts with a fine-tuned model")
    predict.add_argument("folder", type=Path)
    predict.add_argument("table", type=Path, nargs="?", help="a .csv, .tsv, .jsonl or .parquet file")
    predict.add_argument("--text-column")
    predict.add_argument("--text", action="append", help="a text to classify at once; may be given several times")
    predict.add_argument("--out", type=Path, default=Path("predictions.csv"), help="a new file (default: predictions.csv)")
    progress = add("progress", _progress, "say which exercises are solved; write or verify a report of it")
    progress.add_argument("--export", type=Path, metavar="FILE", help="write a completion report (JSON)")
    progress.add_argument("--verify", type=Path, metavar="FILE", help="say whether a completion report is unaltered")
    bench = add("bench", _bench, "time the course side by side with others", add_help=False, prefix_chars="\0")
    bench.add_argument("rest", nargs="*")  # read by bench/speed.py, options too
    bundle = add("bundle", _bundle, "copy the course and its packages, for a room without a network")
    bundle.add_argument("folder", type=Path)
    for name in ("system", "machine", "python"):
        bundle.add_argument(f"--{name}", help=f"of the machines it is for (default: the {name} here)")
    return parser


def _add_finetune_options(action: argparse.ArgumentParser) -> None:
    action.add_argument("table", type=Path, help="a .csv, .tsv, .jsonl or .parquet file")
    for role in ("text", "label", "group"):  # texts of one group, such as a film, stay on one side of the split
        action.add_argument(f"--{role}-column", required=role != "group")
    action.add_argument("--out", type=Path, help="the new folder (default: the name of the table, with -model)")
    defaults = {"epochs": 3, "max-length": 128, "learning-rate": 1e-4, "seed": 0, "checkpoint": "embedded"}
    for name, default in defaults.items():
        action.add_argument(f"--{name}", type=type(default), default=default, help=f"default: {default}")


def course_folder(start: Path | None = None) -> Path:
    """Return the nearest folder, from `start` upwards or around this package, that contains `notebooks/`.

    Raises:
        FileNotFoundError: there is none; the message says what to do.
    """
    start = start or Path.cwd()
    for folder in (start, *start.parents, Path(__file__).parents[1]):
        if (folder / "notebooks").is_dir() and (folder / "course_utils").is_dir():
            return folder
    raise FileNotFoundError(
        "The notebooks are not here. Change to the folder of the course (it contains notebooks/), then try again."
    )


def _doctor(options: argparse.Namespace) -> int:
    from .doctor import examine, room_line

    findings = examine()
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    elif options.room:
        print(room_line(findings))
    else:
        for finding in findings:
            print(f"{'ok ' if finding.ok else 'FIX'} {finding.topic:<13} {finding.detail}")
            if not finding.ok:
                print(f"    to fix it: {finding.remedy}")
    return 0 if all(finding.ok for finding in findings) else 1


def _lab(options: argparse.Namespace) -> int:
    from .doctor import examine

    folder = course_folder()
    for finding in (finding for finding in examine() if not finding.ok):
        print(f"FIX {finding.topic}: {finding.detail}\n    to fix it: {finding.remedy}")
    return _run(["jupyterlab", *LAB, f"--ServerApp.root_dir={folder}", *_lab_options(options.no_browser)], folder)


def _lab_options(no_browser: bool) -> list[str]:
    """Return the options that JupyterLab needs on this machine: without a display, or as root in a container."""
    options = ["--no-browser"] if no_browser else []
    if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & set(os.environ):
        print("There is no display here: open the address below, with its token, in a browser.")
        options = ["--no-browser"]
    return [*options, "--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else options


def _run(module: list[str], folder: Path) -> int:
    """Run `python -m module...` in a folder and return its exit status, made positive; Ctrl+C goes to that program alone."""
    process = subprocess.Popen([sys.executable, "-m", *module], cwd=folder)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return abs(process.wait())
    finally:
        signal.signal(signal.SIGINT, before)


def _bench(options: argparse.Namespace) -> int:
    return _run(["bench.speed", *options.rest], course_folder())


def _progress(options: argparse.Namespace) -> int:
    from .exercises import progress

    if options.verify:
        verified, says = progress.verify_report(json.loads(options.verify.read_text(encoding="utf-8")))
        print(says)
        return 0 if verified else 1
    if options.export:
        options.export.write_text(json.dumps(progress.completion_report(), indent=1) + "\n", encoding="utf-8")
    print(progress.progress_table())
    return 0


def _bundle(options: argparse.Namespace) -> int:
    others = [f"--{name}={value}" for name in ("system", "machine", "python") if (value := getattr(options, name))]
    return _run(["tools.bundle", str(options.folder.resolve()), *others], course_folder())


def _test(options: argparse.Namespace) -> int:
    folder = course_folder()
    pytest = ["pytest", "-p", "no:cacheprovider"]
    unit = [*pytest, "tests"] + (["-m", "not slow"] if options.part == "fast" else [])
    nbval = [*pytest, "--nbval", "--nbval-sanitize-with", "nbval.cfg", "--nbval-cell-timeout", "600"]
    notebooks = [[*nbval, "--nbval-current-env", "notebooks", "--ignore", str(TORCHTEXT_NOTEBOOK)]]
    if options.part != "fast" and _torchtext_is_due():
        notebooks.append([*nbval, "--nbval-kernel-name", "torchtext", str(TORCHTEXT_NOTEBOOK)])
    commands = {"fast": [unit], "notebooks": notebooks, "all": [unit, *notebooks]}[options.part]
    os.environ.setdefault("COURSE_PROFILE", "workshop")  # the stored outputs come from it
    statuses = [_run(command, folder) for command in commands]
    passed = sum(status == 0 for status in statuses)
    print(f"course test {options.part}: {passed} of {len(commands)} parts passed.")
    return max(statuses)


def _finetune(options: argparse.Namespace) -> int:
    from .finetune import intake, run
    from .training import TrainingConfig

    out = options.out or Path(f"{options.table.stem}-model")
    part = run.unfinished(out)
    columns = {f"{role}_column": getattr(options, f"{role}_column") for role in ("text", "label", "group")}
    table = intake.read_table(options.table, **columns)
    config = TrainingConfig(num_epochs=options.epochs, learning_rate=options.learning_rate, seed=options.seed)
    try:
        judgement = run.finetune(table, out, config, checkpoint=options.checkpoint, max_length=options.max_length)
    except KeyboardInterrupt:
        kept = f"The best weights are in {part}" if part.exists() else "Nothing was written"
        print(f"course: stopped. {kept}.", file=sys.stderr)
        return 2
    print(f"{judgement.report()}\nModel and card are in {out}. Try it: course predict {out} --text 'a text'")
    return 0


def _predict(options: argparse.Namespace) -> int:
    from .finetune import intake, predict

    if options.text:
        print(predict.predict(options.folder, options.text).to_string(index=False))
        return 0
    if not (options.table and options.text_column):
        raise ValueError('Give a table with --text-column NAME, or --text "a text".')
    if options.out.exists():
        raise FileExistsError(f"{options.out} exists and is kept as it is. Choose another name with --out.")
    cells, broken, _ = intake.read_cells(options.table)
    texts = dict(zip(cells.index, intake.column(cells, options.text_column), strict=True)) | dict.fromkeys(broken)
    predictions = predict.predict(options.folder, [texts[row] for row in sorted(texts)])
    predictions.insert(0, "row", sorted(texts))
    predictions.to_csv(options.out, index=False)
    empty = predictions["prediction"].isna().sum()
    print(f"{options.out}: {len(predictions):,} rows; {empty:,} contain no text and got no prediction")
    return 0


def _torchtext_is_due() -> bool:
    """Return whether notebook 03b is to be tested: if its kernel is here, and always in continuous integration."""
    from .doctor import torchtext_python

    if torchtext_python():
        return True
    if os.environ.get("CI"):
        raise FileNotFoundError(
            "The kernel torchtext is missing, and CI tests notebook 03b. Type: python3 start.py torchtext"
        )
    print(f"{TORCHTEXT_NOTEBOOK} is not tested: its kernel is not here (python3 start.py torchtext adds it).")
    return False


if __name__ == "__main__":
    sys.exit(main())
