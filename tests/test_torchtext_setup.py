"""`start.py torchtext`: which Python it takes, what it installs, when it does nothing. Nothing is installed here."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbclient
import nbformat
import pytest
from helpers import load

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def start(tmp_path, monkeypatch):
    """start.py in a folder of its own, on a machine that torchtext was published for; commands are noted, not run."""
    folder = tmp_path / "course 微调"
    shutil.copytree(ROOT / "kernels", folder / "kernels")
    for name in ("start.py", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    module = load("start_under_test", folder / "start.py")
    module.ran, module.fails, module.uv = [], {}, True

    def attempt(command):
        line = " ".join(command)
        module.ran.append(line)
        if "venv" in command:
            python = Path(module.venv_program("python", module.KERNEL))
            python.parent.mkdir(parents=True)
            python.symlink_to(sys.executable)
        return next(((1, output) for key, output in module.fails.items() if key in line), (0, ""))

    def run(command, **options):
        if command[-1] == "--version":
            return SimpleNamespace(returncode=0 if module.uv else 1)
        if command[-1] == "import torchtext":
            return SimpleNamespace(returncode=int("import" in module.fails), stderr=module.fails.get("import", ""))
        return subprocess.run(command, **options)

    monkeypatch.setattr(module, "attempt", attempt)
    monkeypatch.setattr(module, "subprocess", SimpleNamespace(run=run))
    monkeypatch.setattr(module, "check_folder", lambda *_: None)
    monkeypatch.setattr(module, "check_torchtext_machine", lambda *_: None)
    return module


def test_it_makes_an_environment_from_the_lock_and_registers_the_kernel(start):
    start.set_up_torchtext()
    made, from_lock, course = start.ran
    assert f"uv venv --python {sys.executable if sys.version_info < (3, 13) else ''}" in made
    assert "--require-hashes" in from_lock and from_lock.endswith("requirements.lock")
    assert "--no-deps --no-build-isolation -e" in course
    spec = json.loads(Path(start.VENV, "share/jupyter/kernels/torchtext/kernel.json").read_text(encoding="utf-8"))
    assert spec["argv"] == [
        start.venv_program("python", start.KERNEL), "-m", "ipykernel_launcher", "-f", "{connection_file}"
    ]  # fmt: skip


def test_what_is_there_is_kept_but_registered_again(start):
    start.set_up_torchtext()
    shutil.rmtree(start.VENV)  # made anew by `start.py`, say
    start.ran.clear()
    start.set_up_torchtext()
    assert start.ran == []
    assert Path(start.VENV, "share/jupyter/kernels/torchtext/kernel.json").exists()


def test_a_new_main_environment_finds_the_kernel_again(start, monkeypatch):
    for step in ("make_environment", "install_packages", "install_course", "write_stamp"):
        monkeypatch.setattr(start, step, lambda *_: None)
    description = Path(start.VENV, "share/jupyter/kernels/torchtext/kernel.json")
    start.set_up()
    assert not description.exists()
    start.set_up_torchtext()
    shutil.rmtree(start.VENV)
    start.set_up()
    assert description.exists()


@pytest.mark.parametrize("change", ["lock", "moved", "half made", "python gone"])
def test_what_is_out_of_date_is_made_anew(start, monkeypatch, change):
    start.set_up_torchtext()
    start.ran.clear()
    if change == "lock":
        with open(Path(start.KERNEL_FILES, "requirements.lock"), "a") as lock:
            lock.write("# another\n")
    elif change == "moved":
        monkeypatch.setattr(start, "HERE", "/elsewhere")
    elif change == "half made":
        Path(start.KERNEL, "installed-from").unlink()
    else:
        Path(start.venv_program("python", start.KERNEL)).unlink()
    start.set_up_torchtext()
    assert len(start.ran) == 3


def test_without_uv_it_takes_pip(start):
    start.uv = False
    start.set_up_torchtext()
    assert "-m venv" in start.ran[0] and "-m pip install --require-hashes" in start.ran[1]


def test_with_python_3_13_alone_it_says_what_to_install(start, monkeypatch):
    start.uv = False
    monkeypatch.setattr(start, "python_for_torchtext", lambda uv: "3.12" if uv else None)
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or 3\.12(?s:.*)install Python 3\.12") as left:
        start.set_up_torchtext()
    assert "None" not in str(left.value) and not start.ran
    start.uv, start.fails = True, {"venv --python 3.12": "no network"}  # uv cannot bring one either
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or 3\.12"):
        start.set_up_torchtext()


def test_a_failed_install_names_its_own_folder_and_action(start):
    start.fails = {"--require-hashes": "error: dns error"}
    with pytest.raises(SystemExit, match=r"start\.py torchtext"):
        start.set_up_torchtext()
    start.fails = {"--require-hashes": "something odd"}
    with pytest.raises(SystemExit, match=r"delete \.kernels"):
        start.set_up_torchtext()
    start.fails = {"import": "Illegal instruction"}
    with pytest.raises(SystemExit, match="does not load: Illegal instruction"):
        start.set_up_torchtext()
    assert not Path(start.KERNEL, "installed-from").exists()


def test_this_python_comes_first_if_it_fits(start):
    if sys.version_info < (3, 13):
        assert Path(start.python_for_torchtext(True)).samefile(sys.executable)


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
    start = load("start_as_it_is", ROOT / "start.py")
    if there:
        start.check_torchtext_machine(system, machine)
    else:
        with pytest.raises(SystemExit, match=f"not for {system} on {machine}"):
            start.check_torchtext_machine(system, machine)


@pytest.mark.slow
def test_in_the_wrong_kernel_notebook_04_says_one_sentence():
    notebook = nbformat.read(ROOT / "notebooks" / "04_the_published_listing.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if "class WrongKernel" in cell.source)
    alone = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.source)])
    nbclient.NotebookClient(alone, kernel_name="python3", allow_errors=True).execute()
    (output,) = alone.cells[0].outputs
    assert output["output_type"] == "error"
    assert output["traceback"] == [output["evalue"]]
    assert "python3 start.py torchtext" in output["evalue"]
