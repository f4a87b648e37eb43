"""What a fetch from the hub does when the hub, or the network to it, is at fault: `python -m tests.faults.hub [SECONDS]`.

SECONDS is the time without a byte after which it gives up (15 if nothing is given, as in the course).
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
import time
from pathlib import Path

from course_utils import hub
from tests.hub_server import serve

NAME, COMMIT = "owner/model", "c" * 40
# What the hub does -> what the error says; nothing where the files arrive all the same.
FAULTS = {
    "": "",
    "trickles": "",
    "truncates": "",
    "resets": "",
    "500 twice": "",
    "429 twice": "",
    "500": r"the hub answers HTTP 500; this is a fault of the hub",
    "404": r"the hub answers HTTP 404",
    "401": r"the hub denies access \(HTTP 401\)",
    "403": r"its owner gives access on request",
    "silent": r"nothing arrived for [\d.]+ seconds",
    "stalls": r"nothing arrived for [\d.]+ seconds",
    "truncates always": r"the connection broke off",
    "resets always": r"the connection broke off",
    "wrong bytes": r"the bytes of model.safetensors that arrived are not those that the hub lists",
    "nobody": r"there is no connection to the hub",
}


def make_repository(folder: Path, *, seed: int = 0) -> Path:
    """Write a model of a few files, with 200 kB of weights, as a hub keeps it."""
    root = folder / "models" / NAME
    (root / "onnx").mkdir(parents=True)
    (root / "model.safetensors").write_bytes(random.Random(seed).randbytes(200_000))
    (root / "config.json").write_text('{"model_type": "bert"}')
    (root / "vocab.txt").write_text("")
    for name in ("pytorch_model.bin", "modeling_mine.py", "onnx/config.json", "README.md"):
        (root / name).write_text("not asked for")
    return root


def try_fault(fault: str, folder: Path, *, patience: float) -> tuple[str, float, Path]:
    """Return what the error says (nothing: it was fetched), the seconds it took, and where the files are kept."""
    started, said = time.monotonic(), ""
    with serve(folder, COMMIT, fault, pause=0.4 * patience) as server:
        address = "http://127.0.0.1:9" if fault == "nobody" else server.address
        keep = Path(tempfile.mkdtemp(dir=folder))
        try:
            hub.fetch(NAME, revision=COMMIT, keep=keep, patience=patience, endpoint=address)
        except ConnectionError as error:
            said = str(error)
        return said, time.monotonic() - started, keep


def is_right(fault: str, folder: Path, *, patience: float) -> str:
    """Return what is wrong about a try, or nothing."""
    said, seconds, keep = try_fault(fault, folder, patience=patience)
    print(f"{fault or 'no fault':17} {seconds:5.1f} s  {said or 'fetched'}")
    wanted = FAULTS[fault]
    if bool(wanted) != bool(said) or not re.search(wanted, said):
        return f"{fault}: {said!r}, not {wanted!r}"
    if wanted and not re.fullmatch(rf"Could not fetch {NAME}: [^\n]*\.", said):
        return f"{fault}: not one sentence: {said!r}"
    if fault in ("silent", "stalls") and not patience <= seconds < patience + 3:
        return f"{fault}: gave up after {seconds:.1f} seconds"
    files = {path.name: path.read_bytes() for path in keep.rglob("files/*")} if not said else {}
    root = folder / "models" / NAME
    if files != ({name: (root / name).read_bytes() for name in ("model.safetensors", "config.json", "vocab.txt")} if not said
                 else {}):  # fmt: skip
        return f"{fault}: other files than those of the hub: {sorted(files)}"
    return ""


def main(patience: float) -> int:
    """Try every fault, and return 1 if one was not handled as the table says."""
    with tempfile.TemporaryDirectory() as folder:
        make_repository(Path(folder))
        wrong = [found for fault in FAULTS if (found := is_right(fault, Path(folder), patience=patience))]
    print(f"{len(FAULTS) - len(wrong)} of {len(FAULTS)} as they should be", *wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if sys.argv[1:] else hub.PATIENCE))
