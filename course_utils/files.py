"""Files from the web: resumed where they were interrupted, checked before use, never there by half."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from .data import verify_file

GLOVE_URL = "https://nlp.stanford.edu/data/glove.6B.zip"
GLOVE_ZIP_SHA256 = "617afb2fe6cbd085c235baf7a465b96f4112bd7f7ccb2b2cbd649fed9cbcf2fb"
GLOVE_NAME = "glove.6B.100d.txt"
GLOVE_SHA256 = "95dde4dfd627ab26608d33e76d1195ec059734bd29089ea52cadb08d07c64544"
_REPAIR = "Delete it and run this again."


def _receive(url: str, part: Path) -> None:
    """Add to `part` what is missing of it; raises OSError or HTTPException if the connection ends early."""
    from tqdm.auto import tqdm

    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urlopen(request, timeout=30)
    except HTTPError as error:
        if error.code == 416:  # nothing is left to send: complete, or longer than the file
            if error.headers.get("Content-Range", "").endswith(f"/{have}"):
                return
            part.unlink()
        raise
    with response:
        start = have if response.status == 206 else 0  # a server without ranges sends the whole file again
        size = start + int(response.headers.get("Content-Length") or 0)
        bar = tqdm(total=size or None, initial=start, desc=part.stem, unit="B", unit_scale=True)
        with bar, part.open("ab" if start else "wb") as file:
            while block := response.read(1 << 20):
                file.write(block)
                bar.update(len(block))
    if part.stat().st_size < size:
        raise ConnectionError(f"the connection ended at {part.stat().st_size:,} of {size:,} bytes")


def fetch(url: str, target: Path, *, sha256: str, attempts: int = 3) -> Path:
    """Return `target` after checking its SHA-256; it is fetched from `url` unless it is there.

    What arrives is kept in `<target>.part`, also after a stop, and the next attempt or call goes on from
    there (HTTP Range). Only a complete and verified file gets its name.

    Raises:
        ConnectionError: it could not be fetched; what has arrived is kept.
        ValueError: what arrived, or what is there, is not what was published.
    """
    if target.exists():
        return verify_file(target, sha256, _REPAIR)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    for attempt in range(1, attempts + 1):
        try:
            _receive(url, part)
            break
        except (OSError, HTTPException) as error:
            if attempt == attempts:
                raise ConnectionError(
                    f"Could not fetch {url}: {error}. What has arrived is kept: run this again to go on from there."
                ) from error
    return _keep(part, target, sha256, url)


def _keep(part: Path, target: Path, sha256: str, source: str) -> Path:
    """Give a finished file its name if it is what was published; otherwise delete it and raise."""
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        part.unlink()
        raise ValueError(
            f"What came from {source} is not the published file: expected SHA-256 {sha256[:12]}..., found {found[:12]}... "
            "It was deleted. Run this again; if that does not help, the source has changed."
        )
    return part.replace(target)


def glove_file(folder: Path | None = None) -> Path:
    """Return the path of glove.6B.100d.txt, for `text.load_vectors`: 400,000 words with 100 numbers each.

    At first use 862 MB are fetched into the cache folder, of which 347 MB are kept. Needs a network once.
    Source: Pennington, Socher and Manning, 2014; trained on Wikipedia 2014 and Gigaword 5.

    Raises:
        ConnectionError, ValueError: as `fetch`; without a network use `text.ppmi_vectors`.
    """
    import platformdirs

    folder = folder or platformdirs.user_cache_path("fine-tuning-course")
    target = folder / GLOVE_NAME
    if target.exists():
        return verify_file(target, GLOVE_SHA256, _REPAIR)
    print(f"Fetching {GLOVE_URL} (862 MB) into {folder}.")
    archive = fetch(GLOVE_URL, folder / "glove.6B.zip", sha256=GLOVE_ZIP_SHA256)
    part = target.with_name(target.name + ".part")
    with zipfile.ZipFile(archive) as zipped, zipped.open(GLOVE_NAME) as source, part.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    _keep(part, target, GLOVE_SHA256, archive.name)
    archive.unlink()
    return target
