"""`hub.fetch` against a hub on this machine that is at fault; the long form is `python -m tests.faults.hub`."""

from __future__ import annotations

import importlib
import threading
from pathlib import Path

import pytest

from course_utils import hub
from tests.faults.hub import COMMIT, FAULTS, NAME, is_right, make_repository
from tests.hub_server import serve


@pytest.fixture(autouse=True, scope="module")
def libraries() -> None:
    """Import what the first fetch imports, which is not to count as silence."""
    importlib.import_module("huggingface_hub.hf_api")
    importlib.import_module("tqdm.auto")


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client ask, which the rest of the tests forbid, and again at once; only this machine is asked."""
    monkeypatch.setattr(hub, "_PAUSE", 0.05)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_repository(tmp_path)
    return tmp_path


def get(folder: Path, address: str, **options) -> Path:
    return hub.fetch(NAME, **{"revision": COMMIT, "keep": folder / "kept", "patience": 5.0, "endpoint": address} | options)


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_the_hub_does_the_files_arrive_or_one_sentence_states_the_reason(folder: Path, fault: str) -> None:
    assert is_right(fault, folder, patience=1.0 if fault in ("silent", "stalls", "trickles") else 5.0) == ""


def test_a_download_that_broke_off_goes_on_where_it_stopped_and_is_then_kept(folder: Path) -> None:
    weights = (folder / "models" / NAME / "model.safetensors").read_bytes()
    with serve(folder, COMMIT, "stalls") as server, pytest.raises(ConnectionError, match="nothing arrived for 1 seconds"):
        get(folder, server.address, patience=1.0)
    with serve(folder, COMMIT, "truncates") as server:  # it counts what it sends
        files = get(folder, server.address)
        assert server.sent == [len(weights) // 2]
    assert (files / "model.safetensors").read_bytes() == weights
    assert sorted(path.name for path in files.iterdir()) == ["config.json", "model.safetensors", "vocab.txt"]
    assert get(folder, "http://127.0.0.1:9") == files  # nothing is asked


def test_a_file_that_was_altered_since_is_named_with_the_repair(folder: Path) -> None:
    with serve(folder, COMMIT) as server:
        files = get(folder, server.address)
        (files / "config.json").write_text('{"model_type": "gpt2"}')
        with pytest.raises(ValueError, match=r"files/config.json was altered.*Delete this folder and run this again"):
            get(folder, server.address)


def test_programs_that_ask_at_the_same_time_fetch_once(folder: Path) -> None:
    found: list[Path] = []
    with serve(folder, COMMIT) as server:
        threads = [threading.Thread(target=lambda: found.append(get(folder, server.address))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4 and len(set(found)) == 1
        assert sum(line.endswith("model.safetensors") for line in server.requests) == 1


def test_known_weights_are_compared_before_anything_is_fetched(folder: Path) -> None:
    with serve(folder, COMMIT) as server, pytest.raises(ConnectionError, match="other weights for this revision"):
        get(folder, server.address, sha256="0" * 64)
    assert not any("/resolve/" in line for line in server.requests)


def test_what_cannot_be_fetched_is_stated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(name: str, **options) -> str:
        with serve(folder, COMMIT) as server, pytest.raises((ConnectionError, OSError)) as raised:
            hub.fetch(name, **{"keep": folder / "kept", "patience": 5.0, "endpoint": server.address} | options)
        return str(raised.value)

    assert "Could not fetch owner/absent: the hub has no repository of this name" in said("owner/absent")
    assert "but not this revision" in said(NAME, revision="d" * 40)
    assert "neither a folder nor a name such as 'owner/model'" in said("../a/folder of mine")
    assert said(NAME, patterns=("*.onnx",), instead="Do without.").endswith("it has no *.onnx. Do without.")
    (folder / "models" / NAME / "model.safetensors").unlink()
    assert "it has no weights in the format safetensors" in said(NAME)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10}))
    assert "needs 0 MB, and 0 MB are free" in said(NAME, patterns=hub.TOKENIZER)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in said(NAME)


def test_an_answer_that_never_comes_is_given_up_even_where_the_client_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, asked = threading.Event(), threading.Event()

    def looks_up_an_address() -> None:  # this call into C knows no time limit
        asked.set()
        ended.wait(10)

    with pytest.raises(TimeoutError):
        hub._Watch(0.1).insist(looks_up_an_address)
    assert asked.is_set()
    ended.set()
