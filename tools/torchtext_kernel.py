"""Add the kernel of notebook 03b, an old torch with torchtext, and register it: python3 start.py torchtext.

python -m tools.torchtext_kernel              make its environment in .kernels unless it is there; register it
python -m tools.torchtext_kernel --register   register it if it is there (start.py does, each time)
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys

import start
from tools import installer

KERNEL = os.path.join(start.HERE, ".kernels", "torchtext")
STAMP = os.path.join(KERNEL, "installed-from")
FILES = os.path.join(start.HERE, "kernels", "torchtext")
LOCK = os.path.join(FILES, "requirements.lock")
# Prints nothing of torchtext and does not import it: its bytecode is written, whatever PYTHONDONTWRITEBYTECODE says.
COMPILE = """
import compileall, importlib.util
compileall.compile_dir(importlib.util.find_spec("torchtext").submodule_search_locations[0], quiet=2)
"""
NEEDED_GB = 7 if sys.platform.startswith("linux") else 3


def check_machine(system: str, machine: str) -> None:
    """Leave unless torch 2.3.1 and torchtext 0.18.0 were published for this kind of machine."""
    if (system, machine.lower()) not in (("linux", "x86_64"), ("win32", "amd64"), ("darwin", "arm64")):
        start.stop(
            "torchtext 0.18.0 was published for 64-bit PCs with Linux or Windows and for Apple silicon, "
            f"not for {system} on {machine}.",
            "read notebook 03b with the outputs it was saved with; every other notebook runs here.",
        )


def python_for_torchtext(uv_is_here: bool) -> str | None:
    """Return a Python 3.11 or 3.12: its path, or the version number that uv is to bring."""
    if sys.version_info[:2] <= (3, 12):
        return getattr(sys, "_base_executable", None) or sys.executable  # not that of .venv
    return start.find_python(("3.12", "3.11")) or ("3.12" if uv_is_here else None)


def fingerprint() -> str:
    """Return what the kernel's environment is made from: its requirements and the place of the course."""
    return hashlib.sha256("\n".join([start.HERE, *start.requirements(LOCK)]).encode()).hexdigest()


def is_made() -> bool:
    """Return whether the kernel's environment was finished, from the requirements that there are now."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            return file.read() == fingerprint() and os.path.exists(start.venv_program("python", KERNEL))
    except OSError:
        return False


def register() -> None:
    """Write the kernel's description where the JupyterLab of .venv looks for kernels."""
    with open(os.path.join(FILES, "kernel.json"), encoding="utf-8") as file:
        spec = json.load(file)
    spec["argv"][0] = start.venv_program("python", KERNEL)
    folder = os.path.join(start.VENV, "share", "jupyter", "kernels", "torchtext")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "kernel.json"), "w", encoding="utf-8") as file:
        json.dump(spec, file, indent=1)


def make_environment() -> None:
    """Create and fill .kernels/torchtext from its hashed lock: with uv where .venv has it, else with pip."""
    start.check(installer.folder_problem(start.HERE, NEEDED_GB))
    uv = [start.venv_program("python"), "-m", "uv"]
    uv_is_here = start.ask([*uv, "--version"])[0] == 0
    found, python = python_for_torchtext(uv_is_here), start.venv_program("python", KERNEL)
    shutil.rmtree(KERNEL, ignore_errors=True)
    if found:
        start.say(f"Creating an environment in .kernels/torchtext with Python {found}.")
        made, _ = start.attempt([*uv, "venv", "--python", found, KERNEL] if uv_is_here else [found, "-m", "venv", KERNEL])
    if not found or made:
        here = "{}.{}".format(*sys.version_info[:2])
        start.stop(
            f"The torchtext kernel needs Python 3.11 or 3.12, and no working one was found beside this Python {here}.",
            "install Python 3.12 (Debian, Ubuntu: sudo apt install python3.12-venv), then type: python3 start.py torchtext",
        )
    start.say("Installing torch 2.3.1, torchtext 0.18.0 and what they need, each checked against its hash.")
    start.say("About 3 GB is fetched on Linux, less elsewhere. This takes 1 to 10 minutes and is done once.")
    pip = [*uv, "pip", "install", "--python", python] if uv_is_here else [python, "-m", "pip", "install"]
    for step in (["--require-hashes", "-r", LOCK], ["--no-deps", "--no-build-isolation", "-e", start.HERE]):
        status, output = start.attempt([*pip, *step])
        start.require_success(status, output, "torchtext")
    status, output = start.ask([python, "-c", "import torchtext"])
    if status:
        start.stop("torchtext was installed but does not load: " + output[-300:], "report this text.")


def set_up() -> None:
    """Make the environment of the torchtext kernel unless it is there, and register the kernel."""
    check_machine(sys.platform, platform.machine())
    if not is_made():
        make_environment()
        with open(STAMP, "w", encoding="utf-8") as file:
            file.write(fingerprint())
    start.ask([start.venv_program("python", KERNEL), "-c", COMPILE])  # else Python 3.12 warns of its escapes at each import
    register()
    start.say("The kernel torchtext is ready: open notebooks/03b_the_published_listing.ipynb in JupyterLab.")


def main(arguments: list[str]) -> None:
    if arguments == ["--register"]:
        if is_made():
            register()
        elif os.path.exists(KERNEL):
            start.say("The torchtext kernel is out of date or unfinished. Create it again: python3 start.py torchtext")
        return
    try:
        set_up()
    except KeyboardInterrupt:
        start.stop("Stopped.", "run it again; what was fetched so far is not fetched twice.")
    except OSError as error:
        start.require_success(1, str(error), "torchtext")


if __name__ == "__main__":
    main(sys.argv[1:])
