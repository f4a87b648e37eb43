"""The `course` command. Heavy libraries are imported by the action that needs them."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from . import __version__

# JupyterLab opens at the first notebook, and asks nobody outside for news or newer versions.
LAB = (
    "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb",
    "--ServerApp.log_level=WARN",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
)
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
    return _run(["jupyterlab", *LAB, f"--ServerApp.root_dir={folder}", *_lab_options(options.no_browser)], folder)


def _lab_options(no_browser: bool) -> list[str]:
    """Return what JupyterLab has to be told on this machine: nobody to show a browser to, or root as in a container."""
    options = ["--no-browser"] if no_browser else []
    if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & set(os.environ):
        print("There is no display here: open the address below, with its token, in a browser.")
        options = ["--no-browser"]
    return [*options, "--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else options


def _run(module: list[str], folder: Path) -> int:
    """Run `python -m module...` in a folder and return its exit status, never below 0; Ctrl+C is its own business."""
    process = subprocess.Popen([sys.executable, "-m", *module], cwd=folder)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return abs(process.wait())
    finally:
        signal.signal(signal.SIGINT, before)


def _problems() -> list:
    from .runtime import doctor

    return [finding for finding in doctor() if not finding.ok]


def _test(options: argparse.Namespace) -> int:
    folder = course_folder()
    pytest = ["pytest", "-p", "no:cacheprovider"]
    unit = [*pytest, "tests"] + (["-m", "not slow"] if options.part == "fast" else [])
    nbval = [*pytest, "--nbval", "--nbval-sanitize-with", "nbval.cfg", "--nbval-cell-timeout", "600"]
    notebooks = [[*nbval, "--nbval-current-env", "notebooks", "--ignore", str(TORCHTEXT_NOTEBOOK)]]
    if options.part != "fast" and _torchtext_is_due():
        notebooks.append([*nbval, "--nbval-kernel-name", "torchtext", str(TORCHTEXT_NOTEBOOK)])
    commands = {"fast": [unit], "notebooks": notebooks, "all": [unit, *notebooks]}[options.part]
    os.environ.setdefault("COURSE_PROFILE", "workshop")  # the kept outputs come from it
    statuses = [_run(command, folder) for command in commands]
    passed = sum(status == 0 for status in statuses)
    print(f"course test {options.part}: {passed} of {len(commands)} parts passed.")
    return max(statuses)


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


if __name__ == "__main__":
    sys.exit(main())
