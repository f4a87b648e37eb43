"""`start.py torchtext`: which Python it takes, what it installs, when it does nothing. Nothing is installed here."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
from helpers import load

from tools import torchtext_kernel as kernel

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def start(tmp_path, monkeypatch):
    """start.py in a folder of its own, on a machine that torchtext was published for; commands are noted, not run."""
    folder = tmp_path / "course 微调"
    shutil.copytree(ROOT / "kernels", folder / "kernels")
    for name in ("start.py", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    module = load("start_under_test", folder / "start.py")
    module.ran, module.fails, module.uv, module.compiled = [], {}, True, []

    def attempt(command):
        line = " ".join(command)
        module.ran.append(line)
        if "venv" in command:
            python = Path(module.venv_program("python", kernel.KERNEL))
            python.parent.mkdir(parents=True)
            python.symlink_to(sys.executable)
        return next(((1, output) for key, output in module.fails.items() if key in line), (0, ""))

    def ask(command):
        if command[-1] == "--version":
            return 0 if module.uv else 1, ""
        if "sys.version_info" in command[-1]:  # this Python is too new for torchtext, so another is looked for
            return 0, "/usr/bin/python3.12"
        if command[-1] == kernel.COMPILE:
            module.compiled.append(command[0])
            return 0, ""
        assert command[-1] == "import torchtext"
        return int("import" in module.fails), module.fails.get("import", "")

    monkeypatch.setattr(module, "attempt", attempt)
    monkeypatch.setattr(module, "ask", ask)
    monkeypatch.setattr(kernel, "start", module)
    monkeypatch.setattr(kernel, "KERNEL", str(folder / ".kernels" / "torchtext"))
    monkeypatch.setattr(kernel, "STAMP", str(folder / ".kernels" / "torchtext" / "installed-from"))
    monkeypatch.setattr(kernel, "FILES", str(folder / "kernels" / "torchtext"))
    monkeypatch.setattr(kernel, "LOCK", str(folder / "kernels" / "torchtext" / "requirements.lock"))
    monkeypatch.setattr(kernel.installer, "folder_problem", lambda *_: None)
    monkeypatch.setattr(kernel.sys, "platform", "linux")
    monkeypatch.setattr(kernel.platform, "machine", lambda: "x86_64")
    return module


def test_it_makes_an_environment_from_the_lock_and_registers_the_kernel(start):
    kernel.set_up()
    made, from_lock, course = start.ran
    assert f"uv venv --python {sys._base_executable if sys.version_info < (3, 13) else '/usr/bin/python3.12'} " in made
    assert "--require-hashes" in from_lock and from_lock.endswith("requirements.lock")
    assert "--no-deps --no-build-isolation -e" in course
    spec = json.loads(Path(start.VENV, "share/jupyter/kernels/torchtext/kernel.json").read_text(encoding="utf-8"))
    assert spec["argv"] == [
        start.venv_program("python", kernel.KERNEL), "-m", "ipykernel_launcher", "-f", "{connection_file}"
    ]  # fmt: skip


def test_torchtext_is_compiled_at_set_up_even_in_a_kernel_that_was_there(start):
    for _ in range(2):
        kernel.set_up()
    assert start.compiled == [start.venv_program("python", kernel.KERNEL)] * 2


def test_what_is_compiled_warns_no_more_when_imported_and_no_bytecode_may_be_written(tmp_path):
    package = tmp_path / "torchtext"
    package.mkdir()
    (package / "__init__.py").write_text('pattern = "\\d"\n')  # an escape that Python warns of when it compiles
    variables = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}

    def fails(*words):
        return subprocess.run([sys.executable, *words], env=variables, capture_output=True).returncode

    imports = ("-W", "error", "-c", "import torchtext")
    assert fails(*imports)
    assert not fails("-c", kernel.COMPILE) and not fails(*imports)


def test_what_is_there_is_kept_but_registered_again(start):
    kernel.set_up()
    shutil.rmtree(start.VENV)  # made anew by `start.py`, say
    start.ran.clear()
    kernel.set_up()
    assert start.ran == []
    assert Path(start.VENV, "share/jupyter/kernels/torchtext/kernel.json").exists()


def test_a_new_main_environment_finds_the_kernel_again(start):
    description = Path(start.VENV, "share/jupyter/kernels/torchtext/kernel.json")
    kernel.main(["--register"])
    assert not description.exists() and start.ran == []
    kernel.set_up()
    shutil.rmtree(start.VENV)
    start.ran.clear()
    kernel.main(["--register"])
    assert description.exists() and start.ran == []


def test_a_kernel_that_is_out_of_date_is_named_and_not_registered(start, capsys):
    kernel.set_up()
    shutil.rmtree(start.VENV)
    with open(kernel.LOCK, "a") as lock:
        lock.write("another==1.0\n")
    capsys.readouterr()
    kernel.main(["--register"])
    assert "python3 start.py torchtext" in capsys.readouterr().out and not Path(start.VENV).exists()


def test_a_remark_in_the_lock_changes_nothing(start):
    kernel.set_up()
    start.ran.clear()
    with open(kernel.LOCK, "a") as lock:
        lock.write("\n# another remark\n")
    kernel.set_up()
    assert start.ran == []


@pytest.mark.parametrize("change", ["lock", "moved", "half made", "python gone"])
def test_what_is_out_of_date_is_made_anew(start, monkeypatch, change):
    kernel.set_up()
    start.ran.clear()
    if change == "lock":
        with open(kernel.LOCK, "a") as lock:
            lock.write("another==1.0\n")
    elif change == "moved":
        monkeypatch.setattr(start, "HERE", "/elsewhere")
    elif change == "half made":
        Path(kernel.KERNEL, "installed-from").unlink()
    else:
        Path(start.venv_program("python", kernel.KERNEL)).unlink()
    kernel.set_up()
    assert len(start.ran) == 3


def test_without_uv_it_takes_pip(start):
    start.uv = False
    kernel.set_up()
    assert "-m venv" in start.ran[0] and "-m pip install --require-hashes" in start.ran[1]


def test_with_python_3_13_alone_it_says_what_to_install(start, monkeypatch):
    start.uv = False
    monkeypatch.setattr(kernel, "python_for_torchtext", lambda uv: "3.12" if uv else None)
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or 3\.12(?s:.*)install Python 3\.12") as left:
        kernel.set_up()
    assert "None" not in str(left.value) and not start.ran
    start.uv, start.fails = True, {"venv --python 3.12": "no network"}  # uv cannot bring one either
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or 3\.12"):
        kernel.set_up()


def test_a_failed_install_names_its_own_folder_and_action(start):
    start.fails = {"--require-hashes": "error: dns error"}
    with pytest.raises(SystemExit, match=r"start\.py torchtext"):
        kernel.set_up()
    start.fails = {"--require-hashes": "something odd"}
    with pytest.raises(SystemExit, match="Installing failed: something odd"):
        kernel.set_up()
    start.fails = {"import": "Illegal instruction"}
    with pytest.raises(SystemExit, match="does not load: Illegal instruction"):
        kernel.set_up()
    assert not Path(kernel.KERNEL, "installed-from").exists()


@pytest.mark.parametrize("found", [None, "/a/python3.12"])
@pytest.mark.parametrize("uv", [False, True])
def test_this_python_comes_first_if_it_fits_then_another_then_uv(start, monkeypatch, found, uv):
    monkeypatch.setattr(start, "find_python", lambda versions: found if versions == ("3.12", "3.11") else None)
    monkeypatch.setattr(kernel.sys, "version_info", (3, 11, 7))
    assert kernel.python_for_torchtext(uv) == sys._base_executable
    monkeypatch.setattr(kernel.sys, "version_info", (3, 13, 0))
    assert kernel.python_for_torchtext(uv) == (found or ("3.12" if uv else None))


@pytest.mark.parametrize(
    ("system", "machine", "there"),
    [
        ("linux", "x86_64", True),
        ("linux", "aarch64", False),
        ("win32", "AMD64", True),
        ("win32", "ARM64", False),
        ("darwin", "arm64", True),
        ("darwin", "x86_64", False),
    ],
)
def test_machines_without_a_release_are_told(system, machine, there):
    if there:
        kernel.check_machine(system, machine)
    else:
        with pytest.raises(SystemExit, match=f"not for {system} on {machine}"):
            kernel.check_machine(system, machine)


@pytest.mark.slow
def test_in_the_wrong_kernel_notebook_03b_says_one_sentence():
    notebook = nbformat.read(ROOT / "notebooks" / "03b_the_published_listing.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if "class WrongKernel" in cell.source)
    alone = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.source)])
    nbclient.NotebookClient(alone, kernel_name="python3", allow_errors=True).execute()
    (output,) = alone.cells[0].outputs
    assert output["output_type"] == "error"
    assert output["traceback"] == [output["evalue"]]
    assert "python3 start.py torchtext" in output["evalue"]
