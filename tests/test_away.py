"""Away from the clone: checkpoints that the wheel leaves out are fetched and verified, and progress is kept in Drive."""

import os
import shutil
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import platformdirs
import pytest

import course_utils
from course_utils import away, pretrained
from course_utils.files import MANIFEST, write_manifest
from tools import notebooks


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and counts what is asked for."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A release of two files, its address, and a folder with its manifest alone, as in a wheel."""
    release, installed = tmp_path / "release" / "small", tmp_path / "installed" / "small"
    (release / "step-1").mkdir(parents=True)
    (release / "step-1" / "weights.bin").write_bytes(b"w" * 2000)
    (release / "tokenizer.json").write_text("{}")
    write_manifest(release)
    installed.mkdir(parents=True)
    shutil.copy(release / MANIFEST, installed)
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(away, "_PAUSES", (0.0, 0.0, 0.0))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "release")))
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(
        release=release, installed=installed, server=server, address=f"http://127.0.0.1:{server.server_port}/small"
    )
    server.shutdown()
    server.server_close()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_files_of_a_manifest_are_fetched_once(served, capsys):
    folder = away.fetch_listed(served.installed, served.address)
    expected = {name: content for name, content in contents(served.release).items() if name != MANIFEST}
    assert {name: content for name, content in contents(folder).items() if name != MANIFEST} == expected
    assert "small, which the wheel leaves out: 0.0 MB, once" in capsys.readouterr().out
    assert away.fetch_listed(served.installed, served.address) == folder and len(served.server.asked) == 2


def test_another_file_is_refused_and_what_was_right_is_not_fetched_again(served):
    (served.release / "tokenizer.json").write_text("[]")
    with pytest.raises(ConnectionError, match=r"tokenizer\.json could not be fetched: what arrived is not the file"):
        away.fetch_listed(served.installed, served.address)
    assert served.server.asked.count("/small/tokenizer.json") == 3
    (served.release / "tokenizer.json").write_text("{}")
    assert (away.fetch_listed(served.installed, served.address) / "tokenizer.json").read_text() == "{}"
    assert served.server.asked.count("/small/step-1/weights.bin") == 1


def test_a_release_that_is_not_there_is_said_in_a_sentence(served):
    with pytest.raises(ConnectionError, match=r"[Nn]ot found\. Check the network, then run this cell again"):
        away.fetch_listed(served.installed, served.address + "er")


def test_a_file_that_was_altered_afterwards_is_noticed(served):
    folder = away.fetch_listed(served.installed, served.address)
    (folder / "tokenizer.json").write_text("[]")
    with pytest.raises(ValueError, match=r"tokenizer.json was altered. Delete this folder"):
        away.fetch_listed(served.installed, served.address)


def test_the_small_bert_is_fetched_only_where_the_wheel_left_it_out(tmp_path, monkeypatch):
    monkeypatch.setattr(away, "fetch_listed", lambda folder, address: (folder, address))
    here = pretrained.checkpoint_path("small-bert")
    assert here.name == "small-bert" and (here / "tokenizer.json").is_file()
    folder = tmp_path / "checkpoints" / "small-bert"
    folder.mkdir(parents=True)
    shutil.copy(here / MANIFEST, folder)
    monkeypatch.setattr(pretrained, "__file__", str(tmp_path / "pretrained.py"))
    asked, address = pretrained.checkpoint_path("small-bert")
    assert asked == folder
    version = f"v{course_utils.__version__}"
    assert address == f"{notebooks.repository()}/raw/{version}/course_utils/checkpoints/small-bert"


# --- progress


@pytest.fixture
def colab(tmp_path, monkeypatch):
    """A stand-in for google.colab whose Drive is a folder here."""
    package, inner = ModuleType("google"), ModuleType("google.colab")
    inner.drive = SimpleNamespace(mount=lambda place: (Path(place) / "MyDrive").mkdir(parents=True))
    monkeypatch.setitem(sys.modules, "google", package)
    monkeypatch.setitem(sys.modules, "google.colab", inner)
    monkeypatch.setattr(away, "DRIVE", tmp_path / "drive")
    monkeypatch.setenv("COURSE_PROGRESS", "before")
    return inner


def test_progress_is_kept_in_the_drive_of_a_learner_who_agrees(colab, tmp_path, capsys):
    from course_utils.exercises import progress

    away.keep_progress_in_drive()
    assert "kept in your Drive" in capsys.readouterr().out
    progress.record("01.1", solved=True)
    assert "01.1" in (tmp_path / "drive" / "MyDrive" / "fine-tuning-course" / "progress.json").read_text()


def test_a_learner_who_refuses_keeps_the_session_and_is_told(colab, capsys):
    def refuse(place):
        raise ValueError("mount failed")

    colab.drive.mount = refuse
    away.keep_progress_in_drive()
    assert os.environ["COURSE_PROGRESS"] == "before"
    assert capsys.readouterr().out == (
        "Your Drive was not connected (mount failed). Your progress is kept until this session ends.\n"
    )


def test_elsewhere_no_drive_is_asked_for(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "google.colab", None)
    away.keep_progress_in_drive()
    assert "There is no Colab here" in capsys.readouterr().out
