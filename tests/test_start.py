"""start.py: what it says in each bad case, and what it does not do twice. Nothing is installed here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import load

ROOT = Path(__file__).resolve().parents[1]
OLD_PYTHONS = ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10")


@pytest.fixture
def start(tmp_path, monkeypatch):
    """start.py in a folder of its own, with spaces and letters beyond ASCII in its path, and no installer."""
    folder = tmp_path / "Kurs für 微调 (1)"
    folder.mkdir()
    for name in ("start.py", "requirements.lock", "pyproject.toml"):
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


def finish(start, stamp=None):
    """Put a finished environment in place, with the Python that runs this test."""
    python = Path(start.venv_program("python"))
    python.parent.mkdir(parents=True, exist_ok=True)
    if not python.exists():
        python.symlink_to(sys.executable)
    Path(start.STAMP).write_text("\n".join(stamp or start.fingerprint()), encoding="utf-8")


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
    """start.py on a machine with room, whose new environments appear at once."""
    monkeypatch.setattr(start, "NEEDED_GB", 0)
    monkeypatch.setattr(start, "make_environment", lambda: os.makedirs(os.path.dirname(start.venv_program("python"))))
    return start


@pytest.mark.parametrize("version", [(2, 7), (3, 10), (3, 14), (4, 0)])
def test_a_python_that_does_not_fit_is_named(start, version):
    with pytest.raises(SystemExit) as left:
        start.check_python(version)
    assert f"This is Python {version[0]}.{version[1]};" in message(left)


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_a_python_that_fits_passes(start, version):
    start.check_python(version)


def test_the_file_uses_nothing_that_old_pythons_cannot_read():
    source = (ROOT / "start.py").read_text(encoding="ascii")
    assert "from __future__ import print_function" in source
    for modern in (' f"', "(f'", " := ", "async ", "[*", "nonlocal "):
        assert modern not in source


@pytest.mark.parametrize("version", OLD_PYTHONS)
def test_old_pythons_get_a_sentence_and_no_traceback(version):
    pythons = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    if not pythons:
        pytest.skip(f"there is no Python {version} here to try it with")
    run = subprocess.run([pythons[0], ROOT / "start.py", "setup"], capture_output=True, text=True)
    assert run.returncode == 1
    assert f"This is Python {version}; the course runs on" in run.stderr
    assert "Traceback" not in run.stderr


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
    monkeypatch.setattr(start.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**12, 10**12, 2**30))
    with pytest.raises(SystemExit) as left:
        start.set_up()
    assert "The disk has 1.0 GB free; the environment needs about" in message(left)
    assert not os.path.exists(start.VENV)


def test_a_folder_that_cannot_be_written_to(start, monkeypatch):
    monkeypatch.setattr(start.os, "access", lambda folder, mode: False)
    with pytest.raises(SystemExit) as left:
        start.set_up()
    assert f"cannot be written to: {start.HERE}" in message(left)


def test_a_python_without_ensurepip(start, monkeypatch):
    output = b"The virtual environment was not created successfully because ensurepip is not available."
    monkeypatch.setattr(start.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 1, output))
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
        start.explain_failure(output)
    assert sentence in message(left)


def test_a_set_up_uses_uv_and_the_hashes(fresh, monkeypatch):
    installer = Installer()
    monkeypatch.setattr(fresh, "attempt", installer)
    fresh.set_up()
    fetch, lock, course = installer.commands
    assert "pip install" in fetch
    assert "--require-hashes" in fetch
    assert "-m uv pip install" in lock
    assert "--require-hashes" in lock
    assert course.endswith(f"--no-deps --no-build-isolation -e {fresh.HERE}")
    assert fresh.read_stamp() == fresh.fingerprint()


def test_uv_is_fetched_as_the_lock_pins_it(start):
    lines = start.locked("uv").splitlines()
    assert lines[0].startswith("uv==")
    assert len(lines) > 1
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])
    assert not lines[-1].endswith("\\")


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
    assert fresh.read_stamp() == [], "an environment that was not finished must not look finished"


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


def test_a_changed_declaration_installs_the_course_alone(start, monkeypatch):
    finish(start)
    with open(start.PROJECT, "a") as file:
        file.write("\n# changed\n")
    installer = Installer()
    monkeypatch.setattr(start, "attempt", installer)
    start.set_up()
    assert len(installer.commands) == 1
    assert "-e" in installer.commands[0]
    assert start.read_stamp() == start.fingerprint()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda start: os.remove(start.STAMP), "left half made"),
        (lambda start: finish(start, ["/elsewhere", *start.fingerprint()[1:]]), "moved or copied"),
        (lambda start: finish(start, [start.HERE, "another lock", start.fingerprint()[2]]), "requirements.lock has changed"),
        (lambda start: os.remove(start.venv_program("python")), "does not start"),
    ],
    ids=["interrupted", "moved", "new lock", "Python gone"],
)
def test_an_environment_that_does_not_fit_is_made_anew(fresh, monkeypatch, capsys, spoil, reason):
    finish(fresh)
    spoil(fresh)
    monkeypatch.setattr(fresh, "attempt", Installer())
    fresh.set_up()
    assert reason in capsys.readouterr().out
    assert fresh.read_stamp() == fresh.fingerprint()


def test_an_environment_in_use_cannot_be_replaced(fresh, monkeypatch):
    finish(fresh, ["/elsewhere", "", ""])

    def refuse(folder):
        raise PermissionError("[WinError 5] Access is denied: 'python.exe'")

    monkeypatch.setattr(fresh.shutil, "rmtree", refuse)
    with pytest.raises(SystemExit) as left:
        fresh.set_up()
    assert "close JupyterLab" in message(left)


def test_ctrl_c_leaves_an_unfinished_environment_and_a_sentence(fresh, monkeypatch):
    def interrupt(command):
        raise KeyboardInterrupt

    monkeypatch.setattr(fresh, "attempt", interrupt)
    with pytest.raises(SystemExit) as left:
        fresh.main(["setup"])
    assert "Stopped." in message(left)
    assert fresh.read_stamp() == []


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


def test_the_course_runs_with_the_python_of_the_environment(start, monkeypatch):
    finish(start)
    seen = []
    monkeypatch.setattr(start, "run", lambda command: seen.append(command) or 3)
    assert start.main(["test", "fast"]) == 3
    assert seen == [[start.venv_program("python"), "-m", "course_utils.cli", "test", "fast"]]


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
