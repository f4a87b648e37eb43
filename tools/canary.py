"""Run notebooks with the oldest and with the newest packages that are allowed, and name the package that breaks one.

    python -m tools.canary newest             notebooks 00 to 03 and 06, in the smoke profile (or: course canary newest)
    python -m tools.canary floors 01 06       the lowest versions of pyproject.toml, and other notebooks

It makes an environment in build/canary (3 GB on Linux). When a notebook fails there, each package that the error names, then
each other one that the course asks for, is put back to its version in requirements.lock, until the notebook runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nbclient.exceptions import CellExecutionError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import notebooks

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "canary"
RESOLUTIONS = {"floors": "lowest-direct", "newest": "highest"}
WALK = ("00", "01", "02", "03", "06")
KERNEL = "canary"


@dataclass(frozen=True)
class Breakage:
    """A notebook that fails, and the package whose version makes the difference; "" if no single one does."""

    notebook: str
    error: str
    package: str = ""
    fails: str = ""
    runs: str = ""

    def __str__(self) -> str:
        """The sentence for whoever looks after the course."""
        if not self.package:
            return f"{self.notebook} fails, and putting back a single package does not help. {self.error}"
        return f"{self.notebook} fails with {self.package} {self.fails} and runs with {self.runs}. {self.error}"


def locked(lock: str) -> dict[str, str]:
    """Return the versions of a lock by name; of several for different Pythons, the last."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


def direct() -> list[str]:
    """Return the names of the packages that the course itself asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [canonicalize_name(Requirement(line).name) for line in project["dependencies"]]


def suspects(error: str, here: dict[str, str], known: dict[str, str]) -> list[str]:
    """Return the packages whose version is another than the known one, those that the error names first."""
    others = [name for name in direct() if name in here and here[name] != known.get(name, here[name])]
    named = {name for name in others if re.search(rf"\b{re.escape(name.replace('-', '_'))}\b", error.replace("-", "_"))}
    return sorted(others, key=lambda name: (name not in named, others.index(name)))


def culprit(
    notebook: str,
    error: str,
    here: dict[str, str],
    known: dict[str, str],
    install: Callable[[str], None],
    run: Callable[[str], str],
) -> Breakage:
    """Return which package breaks a notebook: the first that, put back alone, lets it run.

    Args:
        error: what the notebook fails with now.
        here: versions that are installed, by name.
        known: versions with which the notebook runs.
        install: puts in one requirement, "name==version".
        run: runs the notebook, and returns its error; "" if there is none.
    """
    for name in suspects(error, here, known):
        install(f"{name}=={known[name]}")
        runs = not run(notebook)
        install(f"{name}=={here[name]}")
        if runs:
            return Breakage(notebook, error, name, here[name], known[name])
    return Breakage(notebook, error)


# --- the environment


class Environment:
    """An environment with the oldest or the newest packages, in a folder."""

    def __init__(self, kind: str, folder: Path = BUILD) -> None:
        self.kind, self.folder = kind, folder / kind
        self.python = str(self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))

    def uv(self, *command: str) -> str:
        """Return what uv prints.

        Raises:
            OSError: it failed; the message ends with what it said.
        """
        done = subprocess.run([sys.executable, "-m", "uv", *command], capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise OSError(f"uv {' '.join(command[:2])} failed: {done.stderr.strip()[-600:]}")
        return done.stdout

    def make(self) -> None:
        """Create it anew, with the course in place."""
        self.uv("venv", "--clear", "--seed", "--python", f"{sys.version_info[0]}.{sys.version_info[1]}", str(self.folder))
        self.uv("pip", "install", "--python", self.python, "--resolution", RESOLUTIONS[self.kind], "--editable", str(ROOT))
        kernel = self.folder / "share" / "jupyter" / "kernels" / KERNEL
        kernel.mkdir(parents=True, exist_ok=True)
        command = [self.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": command, "display_name": f"Canary, {self.kind}", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")

    def install(self, requirement: str) -> None:
        """Put in one package at one version, with what it needs."""
        self.uv("pip", "install", "--python", self.python, requirement)

    def versions(self) -> dict[str, str]:
        """Return what is installed, by name."""
        listed = json.loads(self.uv("pip", "list", "--python", self.python, "--format", "json"))
        return {canonicalize_name(package["name"]): package["version"] for package in listed}

    def run(self, number: str) -> str:
        """Run a notebook in the smoke profile; return its error, or "" if there is none."""
        (script,) = notebooks.scripts([number])
        notebook = notebooks.read(script)
        notebook.metadata.kernelspec.name = KERNEL
        os.environ |= {"COURSE_PROFILE": "smoke", "JUPYTER_PATH": str(self.folder / "share" / "jupyter")}
        place = self.folder / "content"
        place.mkdir(exist_ok=True)
        try:
            notebooks.execute(notebook, folder=place)
        except (CellExecutionError, RuntimeError) as error:  # a cell that fails; a kernel that does not start or dies
            return str(error)[-2000:]
        return ""


def main(arguments: list[str]) -> int:
    """Walk, print a line for each notebook, and return 1 if one fails."""
    parser = argparse.ArgumentParser(prog="course canary", description=__doc__.split("\n")[0])
    parser.add_argument("kind", choices=sorted(RESOLUTIONS))
    parser.add_argument("notebooks", nargs="*", default=WALK, help=f"numbers (default: {' '.join(WALK)})")
    options = parser.parse_args(arguments)
    environment, known = Environment(options.kind), locked((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    try:
        environment.make()
        here, broken = environment.versions(), []
        for number in options.notebooks:
            error = environment.run(number)
            if error:
                broken.append(culprit(number, error, here, known, environment.install, environment.run))
            print(f"{number}: {broken[-1] if error else 'runs'}", flush=True)
    except OSError as error:
        print(f"canary: {error}", file=sys.stderr)
        return 2
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
