"""The `course` command. Heavy libraries are imported by the action that needs them."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from . import __version__

TORCHTEXT_NOTEBOOK = Path("notebooks", "04_the_published_listing.ipynb")


def main(arguments: list[str] | None = None) -> int:
    """Run one action and return its exit status: 0 when all is well."""
    parser = argparse.ArgumentParser(prog="course", description="The Fine-Tuning Course: from a loss to BERT, in notebooks.")
    parser.add_argument("--version", action="version", version=f"course {__version__}")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("doctor", help="say what this machine offers the course, and what to mend")
    lab = actions.add_parser("lab", help="open the course in JupyterLab")
    lab.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    test = actions.add_parser("test", help="run the tests")
    test.add_argument("part", nargs="?", choices=("all", "fast", "notebooks"), default="all", help="which (default: all)")
    run = {"doctor": _doctor, "lab": _lab, "test": _test}
    options = parser.parse_args(arguments)
    try:
        return run[options.action](options)
    except (ValueError, FileNotFoundError) as error:
        print(f"course: {error}", file=sys.stderr)
        return 2


def course_folder(start: Path | None = None) -> Path:
    """Return the nearest folder, from `start` upwards or around this package, that holds `notebooks/`.

    Raises:
        FileNotFoundError: there is none; the message says where to go.
    """
    start = start or Path.cwd()
    for folder in (start, *start.parents, Path(__file__).parents[1]):
        if (folder / "notebooks").is_dir() and (folder / "course_utils").is_dir():
            return folder
    raise FileNotFoundError(
        "The notebooks are not here. Change to the folder of the course (it holds notebooks/), then try again."
    )


def _doctor(options: argparse.Namespace) -> int:
    from .runtime import doctor

    findings = doctor()
    for finding in findings:
        print(f"{'ok  ' if finding.ok else 'MEND'} {finding.topic:<13} {finding.detail}")
        if not finding.ok:
            print(f"     to mend it: {finding.remedy}")
    return 0 if all(finding.ok for finding in findings) else 1


def _lab(options: argparse.Namespace) -> int:
    folder = course_folder()
    for finding in _problems():
        print(f"MEND {finding.topic}: {finding.detail}\n     to mend it: {finding.remedy}")
    start = folder / "notebooks" / "00_start_here.ipynb"
    command = [sys.executable, "-m", "jupyterlab", str(start), "--ServerApp.root_dir", str(folder)]
    return subprocess.call(command + (["--no-browser"] if options.no_browser else []), env=_environment())


def _problems() -> list:
    from .runtime import doctor

    return [finding for finding in doctor() if not finding.ok]


def _test(options: argparse.Namespace) -> int:
    folder = course_folder()
    pytest = [sys.executable, "-m", "pytest"]
    unit = [*pytest, "tests"] + (["-m", "not slow"] if options.part == "fast" else [])
    nbval = [*pytest, "--nbval", "--nbval-sanitize-with", "nbval.cfg"]
    notebooks = [[*nbval, "--nbval-current-env", "notebooks", "--ignore", str(TORCHTEXT_NOTEBOOK)]]
    if options.part != "fast" and _torchtext_is_due():
        notebooks.append([*nbval, "--nbval-kernel-name", "torchtext", str(TORCHTEXT_NOTEBOOK)])
    commands = {"fast": [unit], "notebooks": notebooks, "all": [unit, *notebooks]}[options.part]
    return max(subprocess.call([*command, "-p", "no:cacheprovider"], cwd=folder, env=_environment()) for command in commands)


def _torchtext_is_due() -> bool:
    """Return whether notebook 04 is to be tested: where its kernel is, and always in continuous integration."""
    from .runtime import torchtext_python

    if torchtext_python():
        return True
    if os.environ.get("CI"):
        raise FileNotFoundError(
            "The kernel torchtext is missing, and CI tests notebook 04. Type: python3 start.py torchtext"
        )
    print(f"{TORCHTEXT_NOTEBOOK} is not tested: its kernel is not here (python3 start.py torchtext adds it).")
    return False


def _environment() -> dict[str, str]:
    return {**os.environ}
