"""Repositories of the hub: fetched once at one revision, compared with the digests that the hub lists, and kept.

Client, listing and errors are those of `huggingface_hub`. Its own download is not used: it tries six times for each file, or
hands over to another program (`hf_xet`), and neither can be ended after a number of seconds without a byte.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .files import complete_folder, made_once, verify_manifest

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

T = TypeVar("T")
PATIENCE = 15.0  # seconds without a byte after which the hub is given up
TOKENIZER = ("*.json", "*.txt", "*.model", "*.jinja")
MODEL = (*TOKENIZER, "model*.safetensors")  # never code, never a pickle
DATA = ("*.parquet", "*.csv", "*.tsv", "*.json", "*.jsonl", "*.txt", "*.gz", "*.zip", "*.zst", "README.md")
# Hub checkpoints the course names: the revision that is read, and the download in MB.
HUB = {
    "google-bert/bert-base-uncased": ("86b5e0934494bd15c9632b12f734a8a67f723594", 440),
    "FacebookAI/roberta-base": ("e2da8e2f811d1448a5b465c236feacd80ffbac7b", 499),
    "openai-community/gpt2": ("607a30d783dfa663caf39e06633721c8d4cfcd7e", 548),
    "distilbert/distilbert-base-uncased": ("12040accade4e8a0f71eabdb258fecc2e7e948be", 268),
    "answerdotai/ModernBERT-base": ("8949b909ec900327062f0ebf497f51aef5e6f0c8", 599),
}
# SHA-256 of model.safetensors at these revisions.
HUB_SHA256 = {
    "google-bert/bert-base-uncased": "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3",
    "FacebookAI/roberta-base": "5bde1d28afb363d0103324efeb5afc8b2b397fe5e04beabb9b1ef355255ade81",
    "openai-community/gpt2": "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
    "distilbert/distilbert-base-uncased": "5e3f1108e3cb34ee048634875d8482665b65ac713291a7e32396fb18f6ff0063",
    "answerdotai/ModernBERT-base": "340ac08b74eef0d7bdec2d7981a6a3d4249bf0e6aab60634b72ad02c2b8023a9",
}
_TRIES = 3
_PAUSE = 1.0  # seconds before the second try; before the third, twice as long
_REASONS = {
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set, so the hub is not asked",
    "HFValidationError": "this is neither a folder nor a name such as 'owner/model'",
    "GatedRepoError": "its owner gives access on request: ask for it on its page of the hub, then type: hf auth login",
    "RepositoryNotFoundError": "the hub has no repository of this name (or a private one), and there is no such folder",
    "RevisionNotFoundError": "the hub has the repository, but not this revision",
    "ConnectError": "there is no connection to the hub: no network, or a firewall",
}


class _Broken(Exception):
    """What arrived is not what was announced; another try may help."""


class _Refused(Exception):
    """What the hub offers is not to be fetched; another try would not help."""


class _Watch:
    """Notes when the last byte arrived, and gives up what has been waiting for `patience` seconds."""

    def __init__(self, patience: float) -> None:
        self.patience, self.last, self.given_up = patience, time.monotonic(), False

    def beat(self) -> None:
        """Note that something has arrived."""
        if self.given_up:
            raise TimeoutError  # ends the thread that nobody waits for any more
        self.last = time.monotonic()

    def run(self, ask: Callable[[], T]) -> T:
        """Return what `ask()` returns. It gets a thread of its own: looking up an address cannot be interrupted."""
        outcome: Future[T] = Future()

        def work() -> None:
            try:
                outcome.set_result(ask())
            except BaseException as error:
                outcome.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        try:
            while not wait([outcome], max(0.0, self.last + self.patience - time.monotonic())).done:
                if time.monotonic() - self.last >= self.patience:
                    raise TimeoutError
            result = outcome.result()
        finally:
            self.given_up = not outcome.done()
        self.beat()
        return result

    def insist(self, ask: Callable[[], T], path: Path | None = None) -> T:
        """Return what `ask()` returns, after up to three tries in a row that bring no more of the file `path`."""
        failed, most = 0, 0
        while True:
            try:
                return self.run(ask)
            except Exception as error:
                arrived = path.stat().st_size if path and path.exists() else 0
                failed = 1 if arrived > most else failed + 1
                most = max(most, arrived)
                if _status(error):  # bytes of an answer
                    self.beat()
                if failed == _TRIES or not _may_pass(error):
                    raise
            time.sleep(_PAUSE * 2 ** (failed - 1))


def fetch_checkpoint(name: str, kind: str) -> Path:
    """Return the folder of a hub id, fetched at its pinned revision or at that of "owner/model@revision".

    Args:
        kind: "model" (with its weights) or "tokenizer".
    """
    name, _, asked = name.partition("@")
    pinned, _ = HUB.get(name, ("main", 0))
    return fetch(
        name,
        kind,
        patterns=MODEL if kind == "model" else TOKENIZER,
        revision=asked or pinned,
        sha256=HUB_SHA256.get(name, "") if kind == "model" and asked in ("", pinned) else "",
        instead="Or use the embedded checkpoint: name='embedded'.",
    )


def fetch(
    name: str, kind: str = "model", *, patterns: tuple[str, ...] = MODEL, revision: str = "main", sha256: str = "",
    instead: str = "", keep: Path | None = None, patience: float = PATIENCE, endpoint: str | None = None,
) -> Path:  # fmt: skip
    """Return the folder with the files of a repository, which are fetched at the first call only.

    What has arrived when a download breaks off is kept, and the next call goes on from there. The size and digest of each
    file are compared with those that the hub lists for this revision.

    Args:
        kind: "dataset" for a data set, any other word for files of a model; each kind is kept in a folder of its own.
        revision: commit, branch or tag. A branch is kept as it was at the first call.
        sha256: known digest of `model.safetensors`; if the hub lists another, nothing is fetched.
        instead: sentence for the error: what works without the hub.
        keep: folder of everything that is kept; None is the course's cache folder.
        patience: seconds without a byte after which the hub is given up.

    Raises:
        ConnectionError: it could not be fetched; the message states the reason.
        ValueError: a file that is kept was altered; the message states the repair.
        OSError: there is not enough space for it on the disk.
    """
    import platformdirs

    keep = keep or platformdirs.user_cache_path("fine-tuning-course") / "hub"
    folder = keep / f"{name}@{revision}".replace("/", "--") / kind

    def fill() -> None:
        try:
            _fill(folder, name, patterns=patterns, revision=revision, sha256=sha256, patience=patience, endpoint=endpoint)
        except Exception as error:  # of the hub, of its client, of the disk: of many kinds
            if getattr(error, "filename", None):
                raise  # a file of ours
            raise ConnectionError(f"Could not fetch {name}: {_reason(error, patience)}. {instead}".strip()) from error

    made_once(folder, fill)
    verify_manifest(folder, repair="Delete this folder and run this again.")
    return folder / "files"


def _fill(folder: Path, name: str, *, patterns: tuple[str, ...], revision: str, sha256: str, patience: float,
          endpoint: str | None) -> None:  # fmt: skip
    """Fetch what is missing into a folder beside `folder`, which gets its name when everything is there and right."""
    from huggingface_hub import HfApi, hf_hub_url

    repo_type = "dataset" if folder.name == "dataset" else "model"
    ask = partial(HfApi(endpoint=endpoint).repo_info, name, repo_type=repo_type, revision=revision, files_metadata=True)
    watch = _Watch(patience)
    about: Any = watch.insist(partial(ask, timeout=patience))  # a model or a data set
    part = folder.with_name(f"{folder.name}.part")
    target = part / "files"
    target.mkdir(parents=True, exist_ok=True)
    files = [file for file in about.siblings or [] if any(fnmatch(file.rfilename, pattern) for pattern in patterns)
             and (repo_type == "dataset" or "/" not in file.rfilename)
             and (target / file.rfilename).resolve().is_relative_to(target.resolve())]  # fmt: skip
    _look(files, patterns, sha256)
    size = sum(file.size or 0 for file in files)
    print(f"Fetching {name} (revision {revision[:8]}) from the hub: {size / 1e6:,.1f} MB, once, into {folder}.")
    if size > (free := shutil.disk_usage(part).free):
        raise OSError(errno.ENOSPC, f"{name} needs {size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free", str(part))
    for file in files:
        path = target / file.rfilename
        path.parent.mkdir(parents=True, exist_ok=True)
        url = hf_hub_url(name, file.rfilename, repo_type=repo_type, revision=about.sha or revision, endpoint=endpoint)
        watch.insist(partial(_download, url, path, file, watch), path)
    complete_folder(part, folder)


def _look(files: list[RepoSibling], patterns: tuple[str, ...], sha256: str) -> None:
    """Raise if a listing lacks what was asked for, or announces other weights than the known ones."""
    weights = {file.rfilename: file.lfs for file in files if file.rfilename.endswith(".safetensors")}
    if not files or (patterns is MODEL and not weights):
        raise _Refused(f"it has no {'weights in the format safetensors' if files else ' or '.join(patterns)}")
    found = weights.get("model.safetensors")
    if sha256 and (not found or found.sha256 != sha256):
        raise _Refused("the hub lists other weights for this revision than those that the course knows (SHA-256)")


def _download(url: str, path: Path, file: RepoSibling, watch: _Watch) -> None:
    """Fetch the rest of one file, and compare it with its size and digest."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status
    from tqdm.auto import tqdm

    size, done = file.size or 0, path.stat().st_size if path.exists() else -1
    if done < size:
        headers = build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done > 0 else {})
        asked = get_session().stream("GET", url, headers=headers, timeout=watch.patience, follow_redirects=True)
        with asked as response:
            watch.beat()
            hf_raise_for_status(response)
            goes_on = response.status_code == 206
            bar = tqdm(total=size, initial=done if goes_on else 0, desc=path.name, unit="B", unit_scale=True,
                       disable=size < 1_000_000)  # fmt: skip
            with bar, path.open("ab" if goes_on else "wb") as written:
                for chunk in response.iter_bytes():
                    watch.beat()
                    written.write(chunk)
                    bar.update(len(chunk))
    if (done := path.stat().st_size) < size:
        raise _Broken(f"{file.rfilename} broke off after {done:,} of {size:,} bytes")
    digest = hashlib.sha256() if file.lfs else hashlib.sha1(f"blob {done}\0".encode(), usedforsecurity=False)  # git's
    with path.open("rb") as read:
        while chunk := read.read(1 << 20):
            digest.update(chunk)
            watch.beat()
    if digest.hexdigest() != (file.lfs.sha256 if file.lfs else file.blob_id):
        path.unlink()
        raise _Broken(f"the bytes of {file.rfilename} that arrived are not those that the hub lists")


def _status(error: Exception) -> int:
    return getattr(getattr(error, "response", None), "status_code", 0)


def _may_pass(error: Exception) -> bool:
    """Return whether another try may help."""
    if status := _status(error):
        return status in (408, 429) or status >= 500
    known = type(error).__name__ in _REASONS.keys() - {"ConnectError"}
    return not (known or "Timeout" in type(error).__name__ or isinstance(error, _Refused | OSError))


def _reason(error: Exception, patience: float) -> str:
    """Return why nothing can be fetched, as a part of a sentence."""
    status, kind = _status(error), type(error).__name__
    if isinstance(error, _Broken | _Refused):
        return str(error)
    if "Timeout" in kind:
        return f"nothing arrived for {patience:g} seconds"
    if kind in _REASONS:
        return _REASONS[kind]
    if status in (401, 403):
        return f"the hub denies access (HTTP {status}); if you have an account with access, type: hf auth login"
    if status:
        return f"the hub answers HTTP {status}" + "; this is a fault of the hub, try again later" * (status >= 500)
    return f"the connection broke off ({kind}); what has arrived is kept, so run this again"
