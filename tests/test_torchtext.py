"""Our tokeniser, vocabulary, padding and vectors against the real torchtext, in the kernel of notebook 03b."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from course_utils import doctor

SIDE = Path(__file__).with_name("torchtext_side.py")
ROOT = SIDE.parents[1]


@pytest.fixture(scope="module")
def torchtext_python() -> Path:
    python = doctor.torchtext_python()
    if python is None:
        reason = "the kernel torchtext is not here: python3 start.py torchtext"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return python


def ask(python: Path, *question: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run([python, SIDE, *question], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout.strip()


@pytest.mark.slow
def test_tokens_of_every_review_are_those_of_torchtext(torchtext_python):
    assert ask(torchtext_python, "tokens") == "33,537 texts give the same tokens"  # 25,000 + 8,530 + 7 odd ones


@pytest.mark.slow
def test_ids_of_every_review_are_those_of_torchtext(torchtext_python):
    count, rest = ask(torchtext_python, "ids").split(maxsplit=1)
    assert rest == "ids are the same" and int(count.replace(",", "")) > 6_000_000


@pytest.mark.slow
def test_padding_is_that_of_torchtext(torchtext_python):
    assert ask(torchtext_python, "batches") == "256 reviews are padded alike"


VECTOR_FILES = {
    "plain": b"the 0.1 -2 3e-5\ncat 1 2 3\n",
    "header": b"3 4\nthe 0.1 0.2 0.3 0.4\ncat 1 2 3 4\n. 5 6 7 8\n",
    "oddities": "a\u00a0b 1 2 3\n\u0085 4 5 6\n.\u2028. 7 8 9\né 0.1 0.2 0.3\n🎬 1e-30 -0.0 16777217\n".encode(),
    "not-utf-8": b"fine 1 2 3\nbad\xff\xfe 4 5 6\nalso 7 8 9\n",
    "twice": b"the 1 1 1\ncat 2 2 2\nthe 3 3 3\n",
    "windows": b"the 1 2 3 \r\ncat 4 5 6\r\n",
    "no-last-newline": b"the 1 2 3\ncat 4 5 6",
    "rounding": b"a 0.1234567890123456789 3.4028235e38 1.1754943e-38\nb 8.589973e9 0.3 1e-46\n",
}


@pytest.mark.slow
def test_vectors_are_those_of_torchtext(torchtext_python, tmp_path):
    for name, content in VECTOR_FILES.items():
        (tmp_path / f"{name}.txt").write_bytes(content)
    assert ask(torchtext_python, "vectors", str(tmp_path)) == f"{len(VECTOR_FILES)} files give the same tensors"


@pytest.mark.slow
def test_kernel_holds_what_its_lock_says(torchtext_python):
    show = "import json, torch, torchtext, numpy; print(json.dumps([m.__version__ for m in (torch, torchtext, numpy)]))"
    versions = json.loads(subprocess.run([torchtext_python, "-W", "ignore", "-c", show], capture_output=True).stdout)
    lock = (ROOT / "kernels" / "torchtext" / "requirements.lock").read_text()
    for name, version in zip(("torch", "torchtext", "numpy"), versions, strict=True):
        assert f"\n{name}=={version.partition('+')[0]} " in lock


def test_lock_is_hashed_and_names_no_address():
    lock = (ROOT / "kernels" / "torchtext" / "requirements.lock").read_text()
    wanted = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(wanted) > 50 and all(line.endswith("\\") for line in wanted)
    assert "://" not in lock and "--index" not in lock
    assert lock.splitlines()[1].startswith("#    uv pip compile kernels/torchtext/requirements.in")
