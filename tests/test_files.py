"""Files are loaded after their SHA-256 was compared; what is missing, altered or truncated names the repair."""

import errno
import hashlib
import os
import subprocess
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import pytest

from course_utils import files
from course_utils.files import complete_folder, verify_manifest, write_aside, write_manifest

WHOLE = hashlib.sha256(b"whole").hexdigest()


def test_a_whole_file_is_accepted(tmp_path):
    file = tmp_path / "x.csv"
    file.write_bytes(b"whole")
    assert files.verify_file(file, WHOLE, "Fix it.") == file


@pytest.mark.parametrize("content", [b"whol", b"Whole", b"whole\n", b""])
def test_a_truncated_or_altered_file_names_itself_its_digest_and_the_repair(tmp_path, content):
    file = tmp_path / "x.csv"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"x.csv is damaged or altered") as caught:
        files.verify_file(file, WHOLE, "Fix it with: pip.")
    assert WHOLE[:12] in str(caught.value) and str(caught.value).endswith("Fix it with: pip.")


def test_a_missing_file_names_the_repair(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x.csv is missing. Fix it."):
        files.verify_file(tmp_path / "x.csv", WHOLE, "Fix it.")


def test_a_file_that_changes_after_the_first_look_is_noticed(tmp_path):
    file = tmp_path / "x.csv"
    file.write_bytes(b"whole")
    files.verify_file(file, WHOLE, "")
    file.write_bytes(b"Whole")
    os.utime(file, ns=(1, 1))  # another time, the same size
    with pytest.raises(ValueError, match=r"damaged"):
        files.verify_file(file, WHOLE, "")


def test_a_packages_file_is_found_without_importing_it(monkeypatch, tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "data.bin").write_bytes(b"whole")
    monkeypatch.setattr(metadata, "distribution", lambda name: types.SimpleNamespace(locate_file=tmp_path.joinpath))
    package = files.PackagedFiles("some-data", "1.2", {"inside/data.bin": WHOLE, "inside/gone.bin": WHOLE})
    assert package.verify("inside/data.bin").read_bytes() == b"whole"
    with pytest.raises(FileNotFoundError, match=r"gone.bin is missing. Repair it with: pip install .* some-data==1.2"):
        package.verify("inside/gone.bin")


def test_a_package_that_is_not_installed_gives_the_command():
    absent = files.PackagedFiles("no-such-package-here", "1.0", {"a": ""})
    with pytest.raises(FileNotFoundError, match=r"not installed. Type: pip install no-such-package-here==1.0"):
        absent.verify("a")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "m" / "inner").mkdir(parents=True)
    (tmp_path / "m" / "config.json").write_text('{"a": 1}')
    (tmp_path / "m" / "inner" / "model.safetensors").write_bytes(bytes(range(200)))
    write_manifest(tmp_path / "m")
    return tmp_path / "m"


def test_a_manifest_has_the_digests_that_another_program_finds(folder):
    found = verify_manifest(folder)
    assert set(found) == {"config.json", "inner/model.safetensors"}
    for name, sha256 in found.items():
        assert subprocess.run(["sha256sum", folder / name], capture_output=True, text=True).stdout.split()[0] == sha256


def test_a_folder_is_read_once_in_a_process_and_again_when_a_file_of_it_has_changed(folder, monkeypatch):
    read, hash_of = [], files.sha256_of
    monkeypatch.setattr(files, "sha256_of", lambda path: read.append(path.name) or hash_of(path))
    monkeypatch.setattr(files.time, "time", lambda: folder.stat().st_ctime + 60)
    for _ in range(3):
        verify_manifest(folder)
    assert sorted(read) == ["config.json", "model.safetensors"]
    whole = (folder / "config.json").stat()
    time.sleep(0.05)  # times are noted in steps of some milliseconds
    flip(folder / "config.json", 3)
    if os.name == "posix":  # where the old time can be put back, but not that of this change
        os.utime(folder / "config.json", ns=(whole.st_atime_ns, whole.st_mtime_ns))
    with pytest.raises(ValueError, match=r"config.json was altered"):
        verify_manifest(folder)


def test_a_file_that_has_just_changed_is_always_read_since_its_times_may_be_those_of_before(folder, monkeypatch):
    read, hash_of = [], files.sha256_of
    monkeypatch.setattr(files, "sha256_of", lambda path: read.append(path.name) or hash_of(path))
    for _ in range(2):
        verify_manifest(folder)
    assert len(read) == 4


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda f: flip(f / "inner" / "model.safetensors", 77), "inner/model.safetensors was altered"),
        (lambda f: (f / "config.json").unlink(), "config.json is missing"),
        (lambda f: (f / "config.json").write_text("{}"), "config.json was altered"),
        (lambda f: (f / "model.safetensors.index.json").write_text("{}"), "index.json does not belong to it"),
        (lambda f: (f / "manifest.json").write_text("[]"), "manifest.json was altered"),
        (lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe\x00"), "manifest.json was altered"),
    ],
)
def test_damage_to_a_folder_is_named(folder, damage, named):
    damage(folder)
    with pytest.raises(ValueError, match=named):
        verify_manifest(folder)


def test_any_flipped_bit_of_a_manifest_is_named_or_has_no_effect(folder):
    good, before = verify_manifest(folder), (folder / "manifest.json").read_bytes()
    named = 0
    for position in range(len(before)):
        flip(folder / "manifest.json", position)
        try:
            assert verify_manifest(folder) == good
        except ValueError:
            named += 1
        (folder / "manifest.json").write_bytes(before)
    assert named > 0.8 * len(before)  # the rest is white space between the entries


def test_a_folder_gets_its_name_last_with_a_manifest_of_all_that_is_in_it(folder, tmp_path, monkeypatch):
    (folder / "report.json").write_text("{}")
    monkeypatch.setattr(files, "write_manifest", lambda part: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        complete_folder(folder, tmp_path / "whole")
    monkeypatch.undo()
    assert not (tmp_path / "whole").exists()
    assert "report.json" in verify_manifest(complete_folder(folder, tmp_path / "whole")) and not folder.exists()


def test_two_programs_get_folders_of_their_own_and_one_program_the_same_again_but_empty(tmp_path):
    code = "from course_utils.files import kernel_folder; print(kernel_folder('08_int8'), flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path}
    pipes["env"] = os.environ | {"PYTHONPATH": str(Path(files.__file__).parents[1])}
    first, second = (subprocess.Popen([sys.executable, "-c", code], **pipes) for _ in range(2))
    given = [program.stdout.readline().strip() for program in (first, second)]
    assert sorted(given) == [str(Path("outputs", "08_int8")), str(Path("outputs", "08_int8-2"))]
    for program, name in zip((first, second), given, strict=True):
        (tmp_path / name / "int8.onnx").write_text("an old one")
        program.communicate("\n")
    mine = files.kernel_folder("08_int8", parent=tmp_path / "outputs")
    assert mine.name == "08_int8" and not list(mine.iterdir())  # theirs are free again
    (mine / "int8.onnx").write_text("")
    assert files.kernel_folder("08_int8", parent=tmp_path / "outputs") == mine and not list(mine.iterdir())


def test_what_is_asked_for_at_once_is_made_once_and_after_a_failure_again(tmp_path):
    path, made = tmp_path / "new" / "file", []

    def make():
        made.append(1)
        time.sleep(0.1)
        path.write_text("whole")

    with pytest.raises(ZeroDivisionError):
        files.made_once(path, lambda: 1 / 0)
    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(lambda _: files.made_once(path, make), range(4))] == [path] * 4
    assert made == [1]


def test_a_note_beside_the_files_is_no_fault_and_a_folder_without_manifest_is(folder, tmp_path):
    (folder / "my notes.md").write_text("good run")
    verify_manifest(folder)
    with pytest.raises(FileNotFoundError, match=r"no manifest\.json"):
        verify_manifest(tmp_path)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            r"The disk is full: out could not be written. .* Free some space",
        ),
        (Exception("No space left on device (os error 28)"), r"The disk is full: out could not be written"),
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), r"may not read or write a/b \(permission denied\)"),
        (OSError(errno.EROFS, "Read-only file system", "a/b"), r"may not read or write a/b \(read-only file system\)"),
        (FileNotFoundError(errno.ENOENT, "No such file", "x/y"), r"x/y could not be .* \(no such file or directory\)"),
    ],
)
def test_what_the_system_refuses_is_one_sentence_with_path_reason_and_remedy(error, says):
    with pytest.raises(OSError, match=says + r".*run this again\."), files.plain_errors(Path("out")):
        raise error


def test_sentences_and_faults_of_a_program_pass_unchanged():
    for error in (FileNotFoundError("There is no file x. Check the name."), KeyError("a"), ValueError("no")):
        with pytest.raises(type(error)) as caught, files.plain_errors(Path("out")):
            raise error
        assert caught.value is error


def test_a_write_that_fails_keeps_the_old_content(tmp_path):
    path = write_aside(tmp_path / "card.md", lambda aside: aside.write_text("old"))

    def half(aside):
        aside.write_text("ne")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_aside(path, half)
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["card.md"]
    with pytest.raises(FileNotFoundError) as caught:
        write_aside(tmp_path / "absent" / "card.md", lambda aside: aside.write_text("new"))
    assert caught.value.filename == str(tmp_path / "absent" / "card.md")  # not that of the file beside it
