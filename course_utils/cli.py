"""The `course` command. Heavy libraries are imported by the action that needs them."""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import __version__
from .files import plain_errors, write_aside

# JupyterLab opens the first notebook, and does not look for news or newer versions on the network; lab_settings keeps it
# from asking whether it should.
LAB = (
    "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb",
    "--ServerApp.log_level=WARN",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
)
TOOLS = {  # actions that are programs of the course's folder
    "bench": "time the course side by side with others",
    "canary": "run notebooks with the oldest or newest packages allowed, and name the one that breaks them",
    "data": "copy reviews, checkpoints and language model, verified, into a folder of your own",
    "release-check": "say what is missing before a version can be released",
}
TABLE = "a .csv, .tsv, .json, .jsonl, .parquet, .xlsx or fastText file, or one of these as .gz, .bz2, .xz or .zip"
COLUMNS = {
    "text": "given twice, two columns are a pair of texts",
    "label": "given several times, each is a label of 0 and 1",
}
READING = ("encoding", "separator", "header")  # options of `_add_reading_options`
TORCHTEXT_NOTEBOOK = Path("notebooks", "03b_the_published_listing.ipynb")


def main(arguments: list[str] | None = None) -> int:
    """Run one action and return its exit status: 0 when all is well."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a console of cp1252 has no letters for most languages
        sys.stdout.reconfigure(errors="replace")
    options = make_parser().parse_args(arguments)
    options.typed = sys.argv[1:] if arguments is None else arguments
    try:
        with plain_errors(getattr(options, "out", None) or Path.cwd()):
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

    doctor = add("doctor", _doctor, "check this machine, and say what to fix")
    doctor.add_argument("--room", action="store_true", help="print one line for a whole room to compare")
    doctor.add_argument("--json", action="store_true", help="print everything that was found, for a program")
    lab = add("lab", _lab, "open the course in JupyterLab")
    lab.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    test = add("test", _test, "run the tests")
    test.add_argument("part", nargs="?", choices=("all", "fast", "notebooks"), default="all", help="which (default: all)")
    _add_finetune_options(add("finetune", _finetune, "fine-tune a model on a table of your own and save it, with its card"))
    predict = add("predict", _predict, "predict the classes of texts with a fine-tuned model")
    predict.add_argument("folder", type=Path)
    predict.add_argument("table", type=Path, nargs="?", help=TABLE)
    _add_reading_options(predict)
    predict.add_argument("--text-column", action="append", metavar="NAME", help="default: as the model was trained with")
    unsure = "leave a prediction out if its confidence is lower, and note it (default: 0, none)"
    predict.add_argument("--unsure-below", type=float, default=0.0, metavar="CONFIDENCE", help=unsure)
    predict.add_argument("--text", action="append", help="a text to classify at once; may be given several times")
    predict.add_argument("--out", type=Path, default=Path("predictions.csv"), help="a new file (default: predictions.csv)")
    progress = add("progress", _progress, "show which exercises are solved; write or verify a report")
    progress.add_argument("--export", type=Path, metavar="FILE", help="write a completion report (JSON)")
    progress.add_argument("--verify", type=Path, metavar="FILE", help="check that a completion report was not changed")
    for name, says in TOOLS.items():
        add(name, _tool, says, add_help=False, prefix_chars="\0").add_argument("rest", nargs="*")  # read there, options too
    bundle = add("bundle", _bundle, "copy the course and its packages, for a room without a network")
    bundle.add_argument("folder", type=Path)
    for name in ("system", "machine", "python"):
        bundle.add_argument(f"--{name}", help=f"of the machines it is for (default: the {name} here)")
    return parser


def _add_finetune_options(action: argparse.ArgumentParser) -> None:
    action.add_argument("table", type=Path, help=TABLE)
    _add_reading_options(action)
    for role, says in COLUMNS.items():
        action.add_argument(f"--{role}-column", required=True, action="append", metavar="NAME", help=says)
    action.add_argument("--group-column", metavar="NAME", help="texts of one group, such as a film, stay in one part")
    action.add_argument("--task", choices=("classes", "labels", "numbers"), help="what to predict (default: found out)")
    for part in ("validation", "test"):
        action.add_argument(f"--{part}", type=Path, metavar="FILE", help=f"a {part} part of your own (default: split off)")
    action.add_argument("--out", type=Path, help="the new folder (default: the name of the table, with -model)")
    numbers = {"epochs": 3, "max-length": 128, "learning-rate": 1e-4, "seed": 0, "save-steps": 100}
    for name, default in numbers.items():
        action.add_argument(f"--{name}", type=type(default), default=default, help=f"default: {default}")
    model = "a hub id such as owner/model, or a folder (default: embedded, MiniLM for English)"
    action.add_argument("--model", "--checkpoint", dest="checkpoint", default="embedded", metavar="NAME", help=model)
    action.add_argument("--class-weights", action="store_true", help="let every class count the same, however rare it is")
    action.add_argument("--export", choices=("onnx",), help="write the model for ONNX Runtime too")
    action.add_argument("--resume", action="store_true", help="go on with a run that was stopped or killed")


def _add_reading_options(action: argparse.ArgumentParser) -> None:
    action.add_argument("--encoding", metavar="NAME", help="of the file, such as gb18030 (default: found out, and reported)")
    action.add_argument("--separator", metavar="CHARACTER", help="between cells, such as ; or tab (default: found out)")
    action.add_argument("--no-header", action="store_false", dest="header", help="the columns are called 1, 2, ...")


def _chosen(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names}


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
    folder = course_folder()
    known = [os.environ["JUPYTER_CONFIG_PATH"]] if os.environ.get("JUPYTER_CONFIG_PATH") else []
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join([str(Path(__file__).parent / "lab_settings"), *known])
    threading.Thread(target=_report_problems, daemon=True).start()  # JupyterLab does not wait for it
    return _run(["jupyterlab", *LAB, f"--ServerApp.root_dir={folder}", *_lab_options(options.no_browser)], folder)


def _report_problems() -> None:
    """Print what the doctor finds wrong or not here yet, if anything."""
    from .doctor import examine

    for finding in examine():
        if not finding.ok:
            print(f"FIX {finding.topic}: {finding.detail}\n    to fix it: {finding.remedy}", flush=True)
        elif finding.detail.startswith("not here yet"):
            print(f"{finding.topic}: {finding.detail}", flush=True)


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


def _tool(options: argparse.Namespace) -> int:
    module = {"bench": ["bench.speed"], "data": ["tools.collect"], "release-check": ["tools.release", "--check"]}
    return _run([*module.get(options.action, [f"tools.{options.action}"]), *options.rest], course_folder())


def _progress(options: argparse.Namespace) -> int:
    from .exercises import progress

    if options.verify:
        verified, says = progress.verify_report(json.loads(options.verify.read_text(encoding="utf-8")))
        print(says)
        return 0 if verified else 1
    if options.export:
        report = json.dumps(progress.completion_report(), indent=1) + "\n"
        write_aside(options.export, lambda aside: aside.write_text(report, encoding="utf-8"))
    print(progress.progress_table())
    return 0


def _bundle(options: argparse.Namespace) -> int:
    others = [f"--{name}={value}" for name in ("system", "machine", "python") if (value := getattr(options, name))]
    return _run(["tools.bundle", str(options.folder.resolve()), *others], course_folder())


def _test(options: argparse.Namespace) -> int:
    folder = course_folder()
    pytest = ["pytest", "-p", "no:cacheprovider"]
    which = ["-m", "not slow"] if options.part == "fast" else ["--durations", "30"]
    unit = [*pytest, "tests", "--numprocesses", "2", "--dist", "loadfile", *which]
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
    part = run.unfinished(out, resume=options.resume)
    config = TrainingConfig(num_epochs=options.epochs, learning_rate=options.learning_rate, seed=options.seed)
    how = _chosen(options, "text_column", "label_column", "group_column", "task", *READING)
    others = _chosen(options, "checkpoint", "max_length", "save_steps", "resume", "class_weights", "export")

    def work() -> None:
        own = {part: path for part in ("validation", "test") if (path := getattr(options, part))}
        given = {part: intake.read_table(path, part_only=True, **how) for part, path in own.items()}
        if judgement := run.finetune(intake.read_table(options.table, **how), out, config, given=given, **others):
            print(judgement.report(), f"Model, card and report.html are in {out}. Try it:", sep="\n", end=" ")
            print(f"course predict {out} --text 'a text'")

    return _stoppable(work, part, again=[*options.typed, *["--resume"] * (not options.resume)])


def _stoppable(work: Callable[[], None], part: Path, *, again: list[str]) -> int:
    """Do some work and return 0; or 2 if it was stopped, by Ctrl+C or a signal, after a sentence on how to go on."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # the same as Ctrl+C
    try:
        work()
        return 0
    except KeyboardInterrupt:
        kept = f"The run so far is in {part}. To go on with it: {shlex.join(['course', *again])}"
        print(f"course: stopped. {kept if part.exists() else 'Nothing was written.'}", file=sys.stderr)
        return 2
    finally:
        signal.signal(signal.SIGTERM, before)


def _predict(options: argparse.Namespace) -> int:
    from .finetune import predict

    if options.text:
        print(predict.predict(options.folder, options.text).to_string(index=False))
        return 0
    if not options.table:
        raise ValueError('Give a table with --text-column NAME, or --text "a text".')

    def work() -> None:
        chosen = _chosen(options, "text_column", "unsure_below", *READING)
        print(*predict.predict_table(options.folder, options.table, options.out, **chosen), sep="\n")

    return _stoppable(work, options.out.with_name(f"{options.out.name}.unfinished"), again=options.typed)


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
