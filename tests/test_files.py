"""Files are loaded after their SHA-256 was compared; what is missing, altered or truncated names the repair."""

import hashlib
import os
import types
from importlib import metadata

import pytest

from course_utils import files

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
