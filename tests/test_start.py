"""start.py: what it says in each bad case, and what it does not do twice. Only slow tests install something."""

import ast
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import load
from wheels import make_wheel, pin, wheel_of_installed

from tools import installer

ROOT = Path(__file__).resolve().parents[1]
OLD_PYTHONS = ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10")


@pytest.fixture
def start(tmp_path, monkeypatch):
    """start.py in a folder of its own, with spaces and letters beyond ASCII in its path, and no installer."""
    folder = tmp_path / "Kurs für 微调 (1)"
    folder.mkdir()
    for name in ("start.py", "requirements.lock", "requirements-test.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    module = load("start_under_test", folder / "start.py")
    monkeypatch.setattr(module, "attempt", lambda command: pytest.fail(f"would run {command}"))
    return module


def message(capture):
    """The text that start.py leaves with."""
    text = str(capture.value)
    assert text.startswith("[start] ")
    assert "\n[start] What to do: " in text, "every problem comes with a remedy"
    return text


def put_python(start, folder):
    """Put the Python that runs this test into an environment."""
    python = Path(start.venv_program("python", folder))
    python.parent.mkdir(parents=True, exist_ok=True)
    if not python.exists():
        python.symlink_to(sys.executable)


def finish(start, *, with_tests=False, **changes):
    """Put a finished environment in place, with a file by which to know it again."""
    put_python(start, start.VENV)
    start.write_stamp(start.made_from(with_tests) | changes)
    Path(start.VENV, "the old one").touch()


def is_the_old_one(start):
    """Whether the environment that `finish` made is in place and starts."""
    python = start.venv_program("python")
    return Path(start.VENV, "the old one").exists() and subprocess.call([python, "-c", ""]) == 0


class Installer:
    """Stands in for pip and uv: answers each command by the first key that occurs in it."""

    def __init__(self, **answers):
        self.answers, self.commands = answers, []

    def __call__(self, command):
        self.commands.append(" ".join(command))
        for key, answer in self.answers.items():
            if key in self.commands[-1]:
                return answer
        return 0, ""


@pytest.fixture
def fresh(start, monkeypatch):
    """start.py on a machine with room, whose new environments appear at once and load whatever they are asked to."""
    ask = start.ask

    def answer(command):
        if "venv" in command:
            put_python(start, start.NEXT)
        return (0, "") if "venv" in command or "import torch" in command[-1] else ask(command)

    monkeypatch.setattr(start, "NEEDED_GB", 0)
    monkeypatch.setattr(start, "ask", answer)
    return start


# --- the Python


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A machine without any Python on the path, in pyenv or in uv; returns a function that writes a program."""
    for folder in ("bin", "pyenv/versions", "course"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("start.py", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / "course")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))

    def program(name, *lines):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
        path.chmod(0o755)
        return path

    return program


def fake_python(place):
    """Lines of a Python that says where it is, and what it was to run."""
    return f'if [ "$1" = -c ]; then echo "{place}"; else echo "$0 runs $@"; fi'


def run_start(tmp_path, python=sys.executable, *arguments):
    return subprocess.run([python, tmp_path / "course" / "start.py", *arguments], capture_output=True, text=True)


needs_sh = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")


@needs_sh
@pytest.mark.parametrize("version", OLD_PYTHONS)
def test_an_old_python_goes_on_with_another_or_says_a_sentence(elsewhere, tmp_path, version):
    pythons = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    if not pythons:
        pytest.skip(f"there is no Python {version} here to try it with")
    elsewhere("bin/uv", '[ "$1" = --version ]')  # there, but it cannot bring a Python
    left = run_start(tmp_path, pythons[0], "doctor", "--room")
    assert left.returncode == 1 and "Traceback" not in left.stderr
    assert f"This is Python {version}; the course runs on" in left.stderr and "What to do: install one" in left.stderr
    newer = tmp_path / "bin" / "python3.12"
    elsewhere("bin/python3.12", fake_python(newer))
    done = run_start(tmp_path, pythons[0], "doctor", "--room")
    assert done.returncode == 0 and f"Continuing with {newer}." in done.stdout
    assert done.stdout.splitlines()[-1].endswith(f"python3.12 runs {tmp_path / 'course' / 'start.py'} doctor --room")


@needs_sh
def test_a_shim_that_fails_and_a_wrong_version_are_passed_over(start, elsewhere, tmp_path):
    elsewhere("bin/python3.13", "echo 'pyenv: python3.13: command not found' >&2", "exit 127")
    elsewhere("bin/python3.12", "exit 0")  # says nothing: its version is another
    assert start.find_python() is None
    kept = elsewhere("pyenv/versions/3.11.9/bin/python", fake_python("/kept/python"))
    assert kept.exists() and start.find_python() == "/kept/python"
    elsewhere("bin/py", 'if [ "$1" = -3.14 ]; then echo C:/Python314/python.exe; else exit 103; fi')
    assert start.find_python(("3.14", "3.11")) == "C:/Python314/python.exe"


@needs_sh
def test_too_new_a_python_starts_again_with_one_that_uv_brings(start, elsewhere, monkeypatch, tmp_path, capfd):
    brought = elsewhere("brought/python3.13", fake_python("brought"))
    done = tmp_path / "installed"
    elsewhere(
        "bin/uv",
        f'case "$*" in "--version") echo uv 1;; "python install 3.13") : > "{done}";;',
        f'"python find 3.13") [ -e "{done}" ] && echo "{brought}";; *) exit 2;; esac',
    )
    monkeypatch.setattr(start, "OLDEST", (3, 8))
    monkeypatch.setattr(start, "NEWEST", (3, 9))
    monkeypatch.setattr(start.signal, "signal", lambda *_: None)
    assert start.main(["setup"]) == 0
    said = capfd.readouterr().out
    assert "trying to fetch Python 3.13 with uv" in said and f"{brought} runs {start.HERE}/start.py setup" in said


def test_where_there_is_no_uv_pip_brings_the_locked_one(start, monkeypatch):
    asked = []

    def ask(command):
        asked.append(" ".join(command))
        if "--target" in command:
            assert Path(command[-1]).read_text(encoding="utf-8") == start.locked("uv")
        return (1, "") if command == ["uv", "--version"] else (0, "a warning\n/found/python")

    monkeypatch.setattr(start, "ask", ask)
    assert start.python_of_uv("3.13") == "/found/python"
    assert "--require-hashes" in asked[1] and asked[2].startswith(os.path.join(start.HERE, ".uv"))
    monkeypatch.setattr(start, "ask", lambda command: (1, "no network"))
    assert start.python_of_uv("3.13") is None


@needs_sh
def test_a_python_that_fits_is_kept(start, elsewhere, monkeypatch):
    elsewhere("bin/python3.13", fake_python("/another/python"))
    monkeypatch.setattr(start, "start_again", lambda *_: pytest.fail("it fits"))
    monkeypatch.setattr(start, "set_up", lambda with_tests, with_model: None)
    assert start.main(["setup"]) == 0


def test_it_is_short():
    assert len((ROOT / "start.py").read_text(encoding="ascii").splitlines()) <= 300


def test_it_uses_nothing_but_the_standard_library():
    for name in ("start.py", "tools/installer.py"):
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {module.split(".")[0] for module in modules} - {"tools"} <= sys.stdlib_module_names


# --- what stands in the way


def test_an_unknown_action_lists_the_known_ones(start):
    with pytest.raises(SystemExit) as left:
        start.main(["tset"])
    assert "'tset'" in message(left)
    assert ", ".join(start.ACTIONS) in message(left)


def test_help_needs_no_environment(start, capsys):
    assert start.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"start.py {action}" in text for action in start.ACTIONS if action != "lab")


def test_a_small_disk_is_noticed_before_anything_is_made(start, monkeypatch):
    monkeypatch.setattr(installer.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**12, 10**12, 2**30))
    with pytest.raises(SystemExit) as left:
        start.set_up()
    assert "The disk has 1.0 GB free; the environment needs about" in message(left)
    assert not os.path.exists(start.VENV)


def test_a_folder_that_cannot_be_written_to(start, monkeypatch):
    monkeypatch.setattr(installer.os, "access", lambda folder, mode: False)
    with pytest.raises(SystemExit) as left:
        start.set_up()
    assert f"cannot be written to: {start.HERE}" in message(left)


def test_a_python_without_ensurepip(start, monkeypatch):
    output = "The virtual environment was not created successfully because ensurepip is not available."
    monkeypatch.setattr(start, "ask", lambda command: (1, output))
    with pytest.raises(SystemExit) as left:
        start.make_environment()
    assert "sudo apt install python{}.{}-venv".format(*sys.version_info[:2]) in message(left)


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("error: failed to write: No space left on device (os error 28)", "The disk became full"),
        ("OSError: [Errno 122] Disk quota exceeded", "The disk became full"),
        ("[WinError 112] There is not enough space on the disk", "The disk became full"),
        ("Failed to establish a new connection: [Errno -3] Temporary failure in name resolution", "no network"),
        ("error: client error (Connect): dns error: failed to lookup address information", "no network"),
        ("Network connectivity is disabled, but the requested data wasn't found in the cache", "no network"),
        ("ReadTimeoutError: HTTPSConnectionPool: Read timed out.", "no network"),
        ("hint: You're on macOS, but torch has no wheels with a matching platform tag", "not published for this kind"),
        ("ERROR: No matching distribution found for torch==2.15.0", "not published for this kind"),
        ("HINT: This error might have occurred since this system does not have Windows Long Path support", "too long"),
        ("[Errno 13] Permission denied: '/course/.venv'", "could not be written"),
        ("[Errno 30] Read-only file system: '/course/.venv'", "could not be written"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES", "Installing failed: THESE PACKAGES"),
    ],
)
def test_what_an_installer_prints_becomes_one_sentence(start, output, sentence):
    with pytest.raises(SystemExit) as left:
        start.require_success(1, output)
    assert sentence in message(left)


# --- making an environment


def test_a_set_up_uses_uv_and_the_hashes(fresh, monkeypatch):
    installer = Installer()
    monkeypatch.setattr(fresh, "attempt", installer)
    fresh.set_up()
    fetch, lock, course = installer.commands
    assert "pip install" in fetch
    assert "--require-hashes" in fetch
    assert "-m uv pip install" in lock
    assert f"--require-hashes -r {fresh.LOCKS['lab']}" in lock
    assert course.endswith(f"--no-deps --no-build-isolation -e {fresh.HERE}")
    assert fresh.read_stamp() == fresh.made_from()
    assert not os.path.exists(fresh.NEXT)


def test_uv_is_fetched_as_the_lock_pins_it(start):
    pinned, *hashes = start.locked("uv").split()
    assert pinned.startswith("uv==")
    assert hashes
    assert all(part.startswith("--hash=sha256:") for part in hashes)


def test_where_uv_does_not_run_pip_takes_over(fresh, monkeypatch):
    installer = Installer(**{"uv pip install": (1, "error: no wheel"), "--quiet": (0, "")})
    monkeypatch.setattr(fresh, "attempt", installer)
    fresh.set_up()
    assert len(installer.commands) == 4
    assert "-m pip install --require-hashes" in installer.commands[2]


def test_without_a_network_it_says_so_at_the_first_step(fresh, monkeypatch):
    installer = Installer(pip=(1, "Temporary failure in name resolution"))
    monkeypatch.setattr(fresh, "attempt", installer)
    with pytest.raises(SystemExit) as left:
        fresh.set_up()
    assert "there seems to be no network" in message(left)
    assert len(installer.commands) == 1
    assert not os.path.exists(fresh.VENV) and not os.path.exists(fresh.NEXT)


def test_a_disk_that_fills_up_is_not_tried_twice(fresh, monkeypatch):
    installer = Installer(**{"uv pip install": (1, "No space left on device")})
    monkeypatch.setattr(fresh, "attempt", installer)
    with pytest.raises(SystemExit) as left:
        fresh.set_up()
    assert "The disk became full" in message(left)
    assert len(installer.commands) == 2


def test_a_second_call_installs_nothing(start, capsys):
    finish(start)
    start.set_up()  # `attempt` fails the test if it is called
    assert "ready" in capsys.readouterr().out


def test_the_language_model_is_asked_for_by_setup_alone_and_set_up_goes_on_without_it(start, monkeypatch, capsys):
    finish(start)
    asked = []
    monkeypatch.setattr(start.subprocess, "call", lambda command, **options: asked.append(command) or 1)
    start.set_up()  # of a start: without a network it would wait each time
    assert asked == []
    start.set_up(with_model=True)
    os.mkdir(start.WHEELS)
    start.set_up(with_model=True)
    ask = [start.venv_program("python"), "-m", "course_utils.language_model"]
    assert asked == [ask, [*ask, "--no-index", "--find-links", start.WHEELS]]
    assert capsys.readouterr().out.count("is ready; no network is needed") == 3


def test_requirements_are_what_counts_and_not_comments_or_blank_lines(start):
    lock = Path(start.LOCKS["lab"])
    lines = lock.read_text().splitlines()
    before, parts = start.requirements(lock), start.made_from()
    first = next(number for number, line in enumerate(lines) if line.startswith("torch=="))
    lines[first + 2 : first + 2] = ["    # via peft", "", "# another remark"]
    lock.write_text("# made anew\r\n" + "\n".join(lines) + "\n\n# end")
    assert start.requirements(lock) == before and start.made_from() == parts
    assert len(before) == sum("==" in line for line in lines)
    for old, new in (
        ("torch==", "torch==9"),
        ("sha256:0", "sha256:1"),
        ("sys_platform == 'darwin'", "sys_platform == 'aix'"),
    ):
        text = lock.read_text()
        assert old in text
        lock.write_text(text.replace(old, new, 1))
        assert start.made_from()["lab"] != parts["lab"]
        lock.write_text(text)


def test_a_changed_declaration_installs_the_course_alone(start, monkeypatch):
    finish(start)
    with open(start.PROJECT, "a") as file:
        file.write("\n# changed\n")
    installer = Installer()
    monkeypatch.setattr(start, "attempt", installer)
    start.set_up()
    assert len(installer.commands) == 1
    assert "-e" in installer.commands[0]
    assert start.read_stamp() == start.made_from()


def test_tests_add_their_packages_to_an_environment_that_works_and_they_stay(start, monkeypatch):
    finish(start)
    installer = Installer()
    monkeypatch.setattr(start, "attempt", installer)
    start.set_up(with_tests=True)
    assert start.LOCKS["test"] in installer.commands[1] and len(installer.commands) == 3
    assert is_the_old_one(start) and start.read_stamp() == start.made_from(with_tests=True)
    start.set_up()  # a lab is opened, and nothing is taken away
    start.set_up(with_tests=True)
    assert len(installer.commands) == 3 and "test" in start.read_stamp()


def test_tests_on_a_new_machine_install_once(fresh, monkeypatch):
    installer = Installer()
    monkeypatch.setattr(fresh, "attempt", installer)
    fresh.set_up(with_tests=True)
    assert [fresh.LOCKS["test"] in command for command in installer.commands] == [False, True, False]


def test_where_tests_cannot_be_added_the_environment_stays(start, monkeypatch):
    finish(start)
    monkeypatch.setattr(start, "attempt", Installer(pip=(1, "Temporary failure in name resolution")))
    with pytest.raises(SystemExit) as left:
        start.set_up(with_tests=True)
    assert "python3 start.py test" in message(left)
    assert is_the_old_one(start) and start.read_stamp() == start.made_from()


OUT_OF_DATE = pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda start: os.remove(os.path.join(start.VENV, "installed-from")), "never finished"),
        (lambda start: Path(start.VENV, "installed-from").write_text("/course\n12ab\n34cd"), "never finished"),
        (lambda start: Path(start.VENV, "installed-from").write_bytes(b"\xff[1"), "never finished"),
        (lambda start: finish(start, folder="/elsewhere"), "moved or copied"),
        (lambda start: finish(start, lab="another lock"), "requirements.lock have changed"),
    ],
    ids=["interrupted", "of an older start.py", "damaged", "moved", "new lock"],
)


@OUT_OF_DATE
def test_an_environment_that_does_not_fit_is_replaced(fresh, monkeypatch, capsys, spoil, reason):
    finish(fresh)
    spoil(fresh)
    monkeypatch.setattr(fresh, "attempt", Installer())
    fresh.set_up()
    assert reason in capsys.readouterr().out
    assert fresh.read_stamp() == fresh.made_from() and not is_the_old_one(fresh)
    assert [path.name for path in Path(fresh.HERE).glob(".*")] == [".venv"]


def test_an_environment_whose_python_is_gone_is_replaced(fresh, monkeypatch, capsys):
    finish(fresh)
    os.remove(fresh.venv_program("python"))
    monkeypatch.setattr(fresh, "attempt", Installer())
    fresh.set_up()
    assert "does not start" in capsys.readouterr().out
    assert not Path(fresh.VENV, "the old one").exists()


def test_the_torchtext_kernel_is_registered_in_a_new_environment_and_again_when_its_description_is_lost(fresh, monkeypatch):
    for folder in ("tools", "kernels"):
        shutil.copytree(ROOT / folder, Path(fresh.HERE, folder), ignore=shutil.ignore_patterns("__pycache__"))
    kernel, described = Path(fresh.HERE, ".kernels", "torchtext"), Path(fresh.VENV, "share/jupyter/kernels/torchtext")
    put_python(fresh, str(kernel))
    stamp = "import tools.torchtext_kernel as k; open(k.STAMP, 'w').write(k.fingerprint())"
    subprocess.run([sys.executable, "-c", stamp], cwd=fresh.HERE, check=True)
    monkeypatch.setattr(fresh, "attempt", Installer())
    fresh.set_up()
    made = json.loads((described / "kernel.json").read_text(encoding="utf-8"))
    assert made["argv"][0] == fresh.venv_program("python", str(kernel))
    shutil.rmtree(described)
    fresh.set_up()
    assert json.loads((described / "kernel.json").read_text(encoding="utf-8")) == made


STEPS = {  # what a command of each step of a build contains
    "venv": "-m venv",
    "uv": "install --quiet",
    "lock": "--require-hashes -r {lock}",
    "course": "--no-build-isolation",
    "loading": "import torch",
}


@OUT_OF_DATE
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("interrupted", [False, True], ids=["failed", "stopped"])
def test_a_build_that_fails_leaves_the_environment_as_it_was(fresh, monkeypatch, capsys, spoil, reason, step, interrupted):
    finish(fresh)
    spoil(fresh)
    kept, failures = fresh.read_stamp(), []

    def failing(answer):
        def command_fails(command):
            if STEPS[step].format(lock=fresh.LOCKS["lab"]) not in " ".join(command):
                return answer(command)
            failures.append(command)
            if interrupted:
                raise KeyboardInterrupt
            return 1, "error: dns error"

        return command_fails

    monkeypatch.setattr(fresh, "attempt", failing(lambda command: (0, "")))
    monkeypatch.setattr(fresh, "ask", failing(fresh.ask))
    with pytest.raises(SystemExit) as left:
        fresh.main(["setup"])
    assert failures and ("Stopped." if interrupted else "no network") in message(left)
    assert "The environment in .venv was not changed." in capsys.readouterr().out
    assert is_the_old_one(fresh) and fresh.read_stamp() == kept and not os.path.exists(fresh.NEXT)


def test_an_environment_in_use_stays_and_the_finished_one_waits(fresh, monkeypatch):
    finish(fresh, folder="/elsewhere")
    installer = Installer()
    monkeypatch.setattr(fresh, "attempt", installer)
    rename = os.rename

    def refuse(old, new):
        if old == fresh.VENV:
            raise PermissionError("[WinError 5] Access is denied: 'python.exe'")
        rename(old, new)

    monkeypatch.setattr(fresh.os, "rename", refuse)
    with pytest.raises(SystemExit) as left:
        fresh.set_up()
    assert "close JupyterLab" in message(left) and is_the_old_one(fresh)
    monkeypatch.setattr(fresh.os, "rename", rename)
    fresh.set_up()
    assert len(installer.commands) == 3, "it is not made twice"
    assert not is_the_old_one(fresh) and fresh.read_stamp() == fresh.made_from()


@pytest.mark.parametrize("complete", [True, False])
def test_a_swap_that_was_cut_off_is_ended_or_undone(fresh, monkeypatch, complete):
    finish(fresh, lab="another lock")
    os.rename(fresh.VENV, fresh.PREVIOUS)
    if complete:
        put_python(fresh, fresh.NEXT)
        fresh.write_stamp(fresh.made_from(), fresh.NEXT)
        fresh.set_up()  # `attempt` fails the test if it is called
        assert fresh.read_stamp() == fresh.made_from()
    else:
        monkeypatch.setattr(fresh, "attempt", Installer(pip=(1, "error: dns error")))
        with pytest.raises(SystemExit):
            fresh.set_up()
        assert is_the_old_one(fresh)


def test_ctrl_c_ends_in_a_sentence_and_leaves_nothing_half_made(fresh, monkeypatch):
    def interrupt(command):
        raise KeyboardInterrupt

    monkeypatch.setattr(fresh, "attempt", interrupt)
    with pytest.raises(SystemExit) as left:
        fresh.main(["setup"])
    assert "Stopped." in message(left)
    assert not os.path.exists(fresh.VENV) and not os.path.exists(fresh.NEXT)


def test_programs_name_the_environment_where_it_will_be(start):
    programs = Path(start.venv_program("python", start.NEXT)).parent
    put_python(start, start.NEXT)
    named = f'#!/bin/sh\n\'\'\'exec\' "{programs}/python" "$0" "$@"\n'.encode()
    launcher = b"MZ\x00\xff#!" + os.fsencode(programs / "python.exe") + b"\r\nPK\x03\x04"
    shared, none = Path(start.HERE, "in the cache of uv"), b"#!/usr/bin/env python\n"
    shared.write_bytes(named)
    os.link(shared, programs / "course")
    (programs / "course").chmod(0o755)
    for name, content in (("launcher.exe", launcher), ("other", none)):
        (programs / name).write_bytes(content)
    start.swap()
    there = Path(start.venv_program("python")).parent
    assert (there / "course").read_bytes() == named.replace(b".next", b".venv")
    assert (there / "launcher.exe").read_bytes() == launcher.replace(b".next", b".venv")
    assert (there / "other").read_bytes() == none and shared.read_bytes() == named
    assert os.access(there / "course", os.X_OK) and (there / "python").is_symlink()
    assert len(start.NEXT) == len(start.VENV)


def test_the_paths_of_windows(start, monkeypatch):
    monkeypatch.setattr(start.os, "name", "nt")
    assert start.venv_program("python").endswith(os.path.join("Scripts", "python.exe"))


def test_variables_that_mislead_are_dropped(start, monkeypatch):
    for name in start.MISLEADING:
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("UV_CACHE_DIR", "/my/cache")
    kept = start.clean_environment()
    assert not set(start.MISLEADING) & set(kept)
    assert (kept["PIP_USER"], kept["UV_CACHE_DIR"]) == ("0", "/my/cache")


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ([], ["course_utils.cli", "lab"]),
        (["doctor", "--room"], ["course_utils.cli", "doctor", "--room"]),
        (["test", "fast"], ["course_utils.cli", "test", "fast"]),
        (["torchtext"], ["tools.torchtext_kernel"]),
    ],
)
def test_the_course_runs_with_the_python_of_the_environment(start, monkeypatch, arguments, command):
    finish(start, with_tests="test" in arguments)
    seen = []
    monkeypatch.setattr(start, "run", lambda command: seen.append(command) or 3)
    assert start.main(arguments) == 3
    assert seen == [[start.venv_program("python"), "-m", *command]]


# --- what an installer prints


UV = """Resolved 4 packages in 1.10s
Downloading torch (514.2MiB)
Downloading numpy (16.1MiB)
Downloading nvidia-cublas (1.5GiB)
 Downloaded numpy
"""
PIP = """Collecting torch
  Downloading torch-2.15.0-cp311-manylinux_2_28_x86_64.whl (899.8 MB)
Collecting six
  Downloading six-1.17.0-py2.py3-none-any.whl (11 kB)
Collecting numpy
  Downloading numpy-2.3.1.whl (16.2 MB)
"""


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("Resolved 4 packages in 1.10s\n", ""),
        (UV, "fetched 17 of 2,130 MB"),
        (UV + " Downloaded nvidia-cublas\n Downloaded torch\n", "fetched 2,130 of 2,130 MB"),
        (PIP, "fetched 900 of 916 MB"),
    ],
    ids=["before", "uv", "uv, at the end", "pip, one after the other"],
)
def test_progress_is_told_in_mb(output, text):
    assert installer.progress(output) == text


def test_while_it_fetches_it_says_how_far_it_is(start, monkeypatch, capsys):
    monkeypatch.setattr(installer, "SECONDS_BETWEEN_REPORTS", 0.02)
    free = itertools.count(9 * 10**9, -(10**7))
    monkeypatch.setattr(installer.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, next(free)))
    program = "import sys, time\nfor line in sys.stdin: print(line, end='', flush=True); time.sleep(0.3)"
    attempt = load("start_under_test", Path(start.HERE) / "start.py").attempt
    with open(Path(start.HERE) / "printed", "w+") as printed:
        printed.write(UV + " Downloaded torch\n Downloaded nvidia-cublas\n")
        printed.seek(0)
        monkeypatch.setattr(sys, "stdin", printed)
        script = f"import sys; sys.stdin = open({printed.name!r}); exec({program!r})"
        assert attempt([sys.executable, "-c", script])[0] == 0
    said = capsys.readouterr().out.splitlines()
    assert any(line.startswith("[start]   fetched 17 of 2,130 MB, ") and line.endswith(" MB on the disk") for line in said)
    assert said[-1] == "[start]   fetched 2,130 of 2,130 MB"
    assert len(set(said)) == len(said)


def test_the_output_of_an_installer_may_hold_any_bytes(start):
    attempt = load("start_under_test", os.path.join(start.HERE, "start.py")).attempt
    program = "import sys; sys.stdout.buffer.write(b'Downloading \\xff\\xfe \\xe4\\n'); sys.exit(7)"
    status, output = attempt([sys.executable, "-c", program])
    assert status == 7
    assert output.startswith("Downloading ")


def test_an_installer_that_cannot_start_is_a_failure_like_any_other(start):
    attempt = load("start_under_test", os.path.join(start.HERE, "start.py")).attempt
    status, output = attempt([os.path.join(start.HERE, "no such program")])
    assert status == 1
    assert "no such program" in output


# --- for real, on small packages


def course_of(folder, *wheels):
    """Write a small course with a bundle of wheels; its lock pins them all."""
    shutil.copytree(ROOT / "tools", folder / "tools", dirs_exist_ok=True)
    (folder / "course_utils").mkdir(exist_ok=True)
    (folder / "course_utils" / "__init__.py").touch()
    for name in ("start.py", "requirements-test.lock"):
        shutil.copy(ROOT / name, folder)
    source = (folder / "start.py").read_text().replace("(8, 3) if", "(0.1, 3) if")
    (folder / "start.py").write_text(source)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "fine-tuning-course"\nversion = "0"\n[tool.setuptools]\npackages = ["course_utils"]\n'
    )
    (folder / "requirements.lock").write_text("".join(map(pin, wheels)))


def start_in(folder, *arguments):
    command = [sys.executable, "start.py", *arguments]
    offline = {"UV_OFFLINE": "1", "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | offline)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the uv that is wrapped here is a POSIX program")
@pytest.mark.parametrize("with_uv", [True, False], ids=["uv", "pip alone"])
def test_an_environment_made_beside_works_where_it_is_moved_to(tmp_path, with_uv):
    folder, wheels = tmp_path / "a course", tmp_path / "a course" / "wheels"
    wheels.mkdir(parents=True)
    (wheels / "made-for.json").write_text(json.dumps(installer.this_machine()))
    says = "def main(): import sys; print('{}', sys.prefix)"
    uv = wheel_of_installed(wheels, "uv") if with_uv else make_wheel(wheels, "uv", source="raise SystemExit(1)")
    made = [wheel_of_installed(wheels, "setuptools"), *(make_wheel(wheels, name) for name in ("torch", "jupyterlab")), uv]
    course_of(folder, *made, make_wheel(wheels, "greeter", "1.0", says.format("one"), program="greet"))
    first = start_in(folder, "setup")
    assert first.returncode == 0, first.stdout + first.stderr
    assert ("trying again with pip" in first.stdout) != with_uv

    def greets():
        greeted = subprocess.run([folder / ".venv" / "bin" / "greet"], capture_output=True, text=True)
        return greeted.stdout.strip(), greeted.stderr

    assert greets() == (f"one {folder / '.venv'}", "")
    newer = make_wheel(wheels, "greeter", "2.0", says.format("two"), program="greet")
    course_of(folder, *made, newer)
    hidden = newer.rename(tmp_path / newer.name)
    failed = start_in(folder, "setup")  # a lock that has changed, and a package that is not to be had
    assert failed.returncode == 1 and "was not changed" in failed.stdout and "What to do" in failed.stderr, failed
    assert greets() == (f"one {folder / '.venv'}", "") and not (folder / ".next").exists()
    hidden.rename(newer)
    second = start_in(folder, "setup")
    assert second.returncode == 0, second.stdout + second.stderr
    assert greets() == (f"two {folder / '.venv'}", "")
    assert sorted(path.name for path in folder.glob(".*")) == [".venv"]
    assert start_in(folder, "setup").stdout.count("[start]") == 1, "the fourth call has nothing to do"


@pytest.mark.slow
def test_without_an_index_a_working_environment_stays(tmp_path):
    folder = tmp_path / "course"
    course_of(folder, *(make_wheel(tmp_path, name) for name in ("uv", "torch")))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    (folder / ".venv" / "installed-from").write_text(json.dumps({"folder": str(folder), "lab": "another lock"}))
    failed = start_in(folder, "setup")
    assert failed.returncode == 1 and "there seems to be no network" in failed.stderr, failed.stdout + failed.stderr
    assert "was not changed" in failed.stdout
    assert subprocess.call([folder / ".venv" / "bin" / "python", "-c", ""]) == 0
    assert json.loads((folder / ".venv" / "installed-from").read_text())["lab"] == "another lock"
