"""Torch without CUDA where there is no NVIDIA driver: when it is chosen, what is installed, and what if that fails."""

import platform
import re
from pathlib import Path

import pytest

from course_utils import data, pretrained
from tools import installer

ROOT = Path(__file__).resolve().parents[1]
LOCK = """# made by hand
numpy==2.0.0 \\
    --hash=sha256:{0}
nvidia-cublas==13.1 ; sys_platform == "linux" \\
    --hash=sha256:{0}
cuda-bindings==13.5 \\
    --hash=sha256:{0}
torch==2.15.0 \\
    --hash=sha256:{0}
torchmetrics==1.0 \\
    --hash=sha256:{0}
triton==3.6 \\
    --hash=sha256:{0}
""".format("0" * 64)
SMALL = "torch==2.15.0+cpu \\\n    --hash=sha256:" + "1" * 64 + "\n"


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course with both locks, on Linux without a driver."""
    (tmp_path / "requirements.lock").write_text(LOCK)
    (tmp_path / installer.CPU_LOCK).write_text(SMALL)
    (tmp_path / "next").mkdir()
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(installer, "DRIVER", tmp_path / "driver")
    monkeypatch.setattr(installer.shutil, "which", lambda name: None)
    for name in ("COURSE_TORCH", "COURSE_DATA"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_it_is_chosen_on_linux_without_a_driver_if_the_small_lock_is_there(course, monkeypatch):
    assert installer.torch_flavour(str(course)) == "cpu"
    monkeypatch.setenv("COURSE_TORCH", "cuda")
    assert installer.torch_flavour(str(course)) == ""
    monkeypatch.delenv("COURSE_TORCH")
    (course / "driver").touch()
    assert installer.torch_flavour(str(course)) == ""
    monkeypatch.setenv("COURSE_TORCH", "cpu")
    assert installer.torch_flavour(str(course)) == "cpu"
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert installer.torch_flavour(str(course)) == ""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    (course / installer.CPU_LOCK).unlink()
    assert installer.torch_flavour(str(course)) == ""


def test_the_merged_lock_has_the_small_torch_and_nothing_of_cuda(course):
    text = Path(installer.adapted_lock(str(course / "requirements.lock"), str(course / "next"), cpu=True)).read_text()
    assert re.findall(r"^[\w-]+==[^ ]+", text, re.MULTILINE) == ["numpy==2.0.0", "torchmetrics==1.0", "torch==2.15.0+cpu"]
    assert text.count("--hash=sha256:") == 3


def test_of_the_real_lock_only_torch_and_cuda_are_replaced(course):
    real = (ROOT / "requirements.lock").read_text()
    (course / "requirements.lock").write_text(real)
    text = Path(installer.adapted_lock(str(course / "requirements.lock"), str(course / "next"), cpu=True)).read_text()
    names = [set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)) for lock in (real, text)]
    gone = names[0] - names[1]
    assert "triton" in gone and "torch" in names[1] and all(re.match(r"nvidia-|cuda-|triton$", name) for name in gone)
    assert not names[1] - names[0] and len(gone) > 10


def installed(course, answers, source=()):
    """Install with a stand-in for pip and uv; return the exit status, the commands and what was said."""
    commands, said = [], []

    def attempt(command):
        commands.append(" ".join(command))
        return next((answer for key, answer in answers.items() if key in commands[-1]), (0, ""))

    lock = str(course / "requirements.lock")
    status, _ = installer.install(str(course / "next"), "python", "uv==1\n", lock, [*source], attempt, said.append)
    return status, commands, " ".join(said)


def test_the_small_torch_is_installed_with_hashes_and_the_choice_is_explained(course):
    status, commands, said = installed(course, {})
    assert status == 0 and len(commands) == 2
    assert commands[1].endswith(f"--require-hashes -r {course / 'next' / 'adapted.lock'} --torch-backend cpu")
    assert "no NVIDIA driver" in said and "COURSE_TORCH=cuda python3 start.py" in said


def test_where_it_cannot_be_fetched_the_usual_torch_is_installed(course):
    status, commands, said = installed(course, {"--torch-backend": (1, "error: dns error")})
    assert status == 0 and commands[-1].endswith(f"-r {course / 'requirements.lock'}") and len(commands) == 3
    assert "installing the usual one" in said


def test_a_full_disk_is_not_filled_a_second_time(course):
    status, commands, _ = installed(course, {"--torch-backend": (1, "No space left on device")})
    assert status == 1 and len(commands) == 2


def test_a_bundle_keeps_its_own_torch(course):
    status, commands, said = installed(course, {}, source=["--no-index", "--find-links", "wheels"])
    assert status == 0 and not said and "--torch-backend" not in " ".join(commands)


def test_what_is_in_a_folder_of_ones_own_is_not_fetched(course, monkeypatch):
    lock = str(course / "requirements.lock")
    monkeypatch.setenv("COURSE_TORCH", "cuda")
    monkeypatch.setenv("COURSE_DATA", str(course / "own"))
    assert installer.adapted_lock(lock, str(course / "next"), cpu=False) == lock, "the folder has none of it"
    for package, files in installer.OWN.items():
        assert f"\n{package}==" in (ROOT / "requirements.lock").read_text()
        assert any(name.startswith(f"{files}/") for name in [*data.PACKAGE.sha256, *pretrained.PACKAGE.sha256])
        (course / "own" / files).mkdir(parents=True)
    (course / "requirements.lock").write_text((ROOT / "requirements.lock").read_text())
    status, commands, _ = installed(course, {})
    assert status == 0 and commands[1].endswith(f"-r {course / 'next' / 'adapted.lock'}")
    pins = [
        set(re.findall(r"^([\w.-]+)==", Path(path).read_text(), re.MULTILINE))
        for path in (lock, course / "next" / "adapted.lock")
    ]
    assert pins[0] - pins[1] == set(installer.OWN) and not pins[1] - pins[0]
