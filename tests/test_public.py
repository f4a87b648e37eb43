"""What the repository says to the outside: workflows whose commands exist, templates, a release that agrees with itself."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

import course_utils
import start
from course_utils import cli
from tools import notebooks, release

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[a-z]*.yml"))
INSTALLED = {"ruff", "mypy", "gh", "cd"}  # programs that the workflow installs or that a runner brings


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow: dict) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def unknown(command: str) -> str:
    """Return what is wrong with a command line of a workflow or container: a program, module, action or file not here."""
    words = [word for word in shlex.split(command) if "=" not in word]
    program, rest = Path(words[0]).name, words[1:]
    if program == "course":
        return "" if cli.make_parser().parse_args(rest) else command
    if program == "bash":
        return "" if (ROOT / rest[0]).is_file() else f"no file {rest[0]}"
    if not re.fullmatch(r"(python3?|py)", program):
        return "" if program in INSTALLED else f"no program {program}"
    if rest[0] == "start.py":
        return "" if rest[1] in start.ACTIONS else f"no action {rest[1]}"
    assert rest[0] == "-m", command
    folder = ROOT.joinpath(*rest[1].split("."))
    known = rest[1] in ("pip", "venv", "pytest") or folder.with_suffix(".py").is_file()
    files = [rest[i + 1] for i, word in enumerate(rest) if word == "-r"]
    missing = [name for name in files if not (ROOT / name).is_file()]
    return f"no module {rest[1]}" if not known else f"no file {missing[0]}" if missing else ""


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_few_rights_a_time_limit_and_commands_that_exist(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}, "more rights are given to the job that needs them"
    assert all(1 < job["timeout-minutes"] <= 180 for job in workflow["jobs"].values())
    for step in steps(workflow):
        if uses := step.get("uses"):
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", uses), f"{uses}: pin the major version"
        if uses and uses.startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False
    lines = [line for step in steps(workflow) for line in step.get("run", "").splitlines()]
    assert [problem for line in lines if (problem := unknown(line))] == []


def test_a_command_that_does_not_exist_is_found():
    wrong = (
        "python start.py tset",
        "python -m tools.webpage",
        "pytset",
        "python -m pip install -r no.lock",
        "bash .ci/walk",
    )
    assert all(unknown(command) for command in wrong)
    with pytest.raises(SystemExit):
        unknown("bin/course docter")


def test_the_tests_run_on_every_system_and_every_python_that_is_declared():
    matrix = read(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]["lock"]["strategy"]["matrix"]
    assert matrix["python"] == [f"3.{minor}" for minor in range(start.OLDEST[1], start.NEWEST[1] + 1)]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "windows", "macos"}


def test_the_form_for_bugs_asks_what_the_doctor_prints():
    assert [path.stem for path in FORMS] == ["bug", "config", "content", "idea"]
    for path in FORMS:
        form = read(path)
        assert path.stem == "config" or {"name", "description", "body"} <= set(form)
    assert "course doctor" in str(read(FORMS[0])["body"])


def test_a_release_needs_one_version_in_all_files(tmp_path, capsys):
    (tmp_path / "course_utils").mkdir()
    (tmp_path / "course_utils" / "__init__.py").write_text('__version__ = "2.0.0"\n')
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 2.0.0\n")
    changelog = "# Changelog\n\n## Unreleased\n\n* later\n\n## 2.0.0 (2027-01-01)\n\n* new\n\n## 1.0.0\n\n* old\n"
    (tmp_path / "CHANGELOG.md").write_text(changelog)
    assert release.main("v2.0.0", tmp_path) == 0 and capsys.readouterr().out == "* new\n"
    assert release.main("v2.0.1", tmp_path) == 1 and "CITATION.cff names 2.0.0" in capsys.readouterr().err
    (tmp_path / "CITATION.cff").write_text("version: 1.9.0\n")
    assert release.main("v2.0.0", tmp_path) == 1 and "CITATION.cff names 1.9.0" in capsys.readouterr().err


def test_this_version_agrees_with_itself():
    assert release.agreement() == ""


def test_a_release_is_checked_and_each_fault_is_named(tmp_path, capsys):
    assert release.check({"good": lambda: "", "bad": lambda: "the reason"}) == 1
    assert capsys.readouterr().out.splitlines()[:2] == ["ok  good", "FIX bad: the reason"]
    assert release.check({"good": lambda: ""}) == 0 and f"git tag v{course_utils.__version__}" in capsys.readouterr().out
    (tmp_path / "course_utils").mkdir()
    (tmp_path / "course_utils" / "__init__.py").write_text('__version__ = "2.0.0"\n')
    (tmp_path / "CITATION.cff").write_text("version: 2.0.0\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 2.0.0\n\n## 1.0.0\n\n* old\n")
    assert release.agreement(tmp_path) == "CHANGELOG.md says nothing about 2.0.0"
    (tmp_path / "CITATION.cff").write_text("version: 1.0.0\n")
    assert "CITATION.cff names 1.0.0" in release.agreement(tmp_path)
    failing = release.says("git", "no-such-command")
    assert "no-such-command" in failing and release.says("git", "--version") == ""


@pytest.mark.slow
def test_the_wheel_may_be_released_unless_it_is_large(monkeypatch):
    assert release.wheel() == ""
    monkeypatch.setattr(release, "LARGEST", 10)
    assert "is too large" in release.wheel()


def test_bytes_that_are_checked_are_the_same_on_every_system():
    """A CRLF in a tokeniser or lock would change its SHA-256."""
    lines = (ROOT / ".gitattributes").read_text().splitlines()
    attributes = dict(line.split(" ", 1) for line in lines if line.startswith("*"))
    assert attributes["*"] == "text=auto eol=lf"
    assert attributes["*.safetensors"] == attributes["*.png"] == "binary"


# --- other places


ANYWHERE = (ROOT / "docs" / "ANYWHERE.md").read_text(encoding="utf-8")
INSTALL = ROOT / "binder" / "postBuild"


@pytest.mark.skipif(not shutil.which("bash") or not shutil.which("sed"), reason="there is no bash here")
def test_the_install_script_holds_every_version_of_the_lock(tmp_path):
    """With a stand-in for Python: it installs uv from the lock, then the course, with all pins as constraints."""
    stand_in = tmp_path / "python"
    keep = 'for word in "$@"; do [ -f "$word" ] && cat "$word" > "$SEEN/pins"; done'
    stand_in.write_text(f'#!/bin/sh\necho "$@" >> "$SEEN/calls"\n{keep}\ntrue\n')
    stand_in.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SEEN": str(tmp_path)}
    subprocess.run(["bash", str(INSTALL)], env=environment, cwd=tmp_path, check=True)
    lock = (ROOT / "requirements.lock").read_text()
    pins = [line.rstrip(" \\") for line in lock.splitlines() if re.match(r"[A-Za-z0-9._-]+==", line)]
    assert (tmp_path / "pins").read_text().splitlines() == pins and len(pins) > 100
    first, second = (tmp_path / "calls").read_text().splitlines()
    assert re.fullmatch(r"-m pip install --quiet uv==[\d.]+", first) and first.split()[-1] in pins
    assert "--torch-backend cpu" in second and second.endswith("--editable .[lab]")


def test_the_container_copies_and_calls_what_is_there():
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    assert steps[0] == ["FROM", "python:3.13-slim"] and "3.13" in start.PREFERRED
    assert ["RUN", "bash binder/postBuild"] in steps and INSTALL.is_file()
    names = [name for name, _ in steps]
    assert names.index("USER") > len(names) - 1 - names[::-1].index("RUN"), "the notebooks do not run as root"
    assert json.loads(dict(steps)["CMD"])[-1] == cli.LAB[0]
    device = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert (ROOT / ".devcontainer" / device["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert device["remoteUser"] in dict(steps)["USER"] and device["workspaceFolder"] == dict(steps)["WORKDIR"]
    assert not unknown(device["postCreateCommand"])


def test_the_links_open_a_notebook_that_is_there():
    (binder,) = re.findall(r"https://mybinder\.org\S+?(?=\))", ANYWHERE)
    (puller,) = re.findall(r"https://HUB/\S+", ANYWHERE)
    asked = parse_qs(urlsplit(puller).query)
    assert asked["repo"] == [notebooks.repository()]
    folder = notebooks.repository().rpartition("/")[2]
    for path in (parse_qs(urlsplit(binder).query)["urlpath"][0], asked["urlpath"][0].replace(f"{folder}/", "", 1)):
        assert (ROOT / path.removeprefix("lab/tree/")).is_file()
    assert notebooks.repository().removeprefix("https://github.com/") in binder


def test_the_hub_is_as_large_as_the_measured_memory_says():
    record = json.loads((ROOT / "bench" / "results" / "notebook_times_cpu_float32.json").read_text())
    peak = max(cost["peak_mib"] for cost in record["notebooks"].values()) / 1024
    assert f"needs {peak:.1f} GiB" in ANYWHERE
    (memory,) = map(int, re.findall(r"\| memory \| (\d+) GB", ANYWHERE))
    assert 30 * peak * 2**30 / 1e9 < memory < 1.5 * 30 * peak * 2**30 / 1e9
    (limit,) = map(int, re.findall(r"limits.memory (\d+)G", ANYWHERE))
    assert peak < limit
    blocks = [yaml.safe_load(block) for block in re.findall(r"```\n(singleuser:.*?)```", ANYWHERE, re.DOTALL)]
    (hub,) = (block["singleuser"] for block in blocks)
    each, most = (float(hub["memory"][name].removesuffix("G")) for name in ("guarantee", "limit"))
    assert peak * 2**30 / 1e9 < each < most and hub["cpu"]["guarantee"] == 1
    learners = min(8 - 0.5, (16 - 1.5) / each)  # half a core and 1.5 GB of a node are the system's
    assert "five nodes of 8 cores and 16 GB, seven on each" in ANYWHERE and int(learners) == 7 and 5 * 7 >= 30
    hook = hub["lifecycleHooks"]["postStart"]["exec"]["command"]
    assert hook[1] == notebooks.repository() and hook[3] == f"{hub['storage']['homeMountPath']}/fine-tuning-course"
    assert hub["image"]["tag"] == f"v{course_utils.__version__}" and hub["defaultUrl"].endswith(cli.LAB[0].split("tree/")[1])
