"""Build and check the notebooks from their percent scripts.

    python -m tools.notebooks build [01 03]   write ipynb from py, execute, keep outputs, note times and memory
    python -m tools.notebooks prose [01 03]   write changed prose, tags, explorers into ipynb; the code must be unchanged
    python -m tools.notebooks check           say whether each pair holds the same sources
    python -m tools.notebooks badges          write the Colab badge and first cell of every notebook

Stub and solution cells are written from the exercises' definitions, `course_utils/exercises/nbNN.py`; `check` names those
that differ. Addresses in badges and first cells come from `[project.urls] Repository` in pyproject.toml and the version.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import tomllib
from datetime import date
from pathlib import Path

import jupytext
import nbformat
import psutil
from nbclient import NotebookClient

from course_utils import __version__
from course_utils.explorers.page import filled
from tools.exercise_cells import defined_cells
from tools.tables import number_of

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "notebooks" / "py"
RESULTS = ROOT / "bench" / "results"
EXPLORER = re.compile(
    r'<div class="course-explorer" data-explorer="(\w+)">\n(<img [^\n]*>)\n.*?\nconst data = ([^\n]*);\n', re.DOTALL
)
KERNELS = {
    "python3": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "torchtext": {"display_name": "torchtext 0.18 (torch 2.3.1)", "language": "python", "name": "torchtext"},
}
SETUP = """# @title Start here: on Colab, Kaggle and Binder this adds the course; it changes no package that is there
import importlib.util
import os
import subprocess
import sys

keep_progress_in_drive = False  # @param {{type:"boolean"}}
here = importlib.util.find_spec("course_utils") is not None
hosted = "google.colab" in sys.modules or not {{"KAGGLE_KERNEL_RUN_TYPE", "BINDER_SERVICE_HOST"}}.isdisjoint(os.environ)
if hosted and not here:
    pip = [sys.executable, "-m", "pip"]
    there = subprocess.run([*pip, "list", "--format=freeze"], capture_output=True).stdout
    wheel = "{wheel}"
    install = [*pip, "install", "--quiet", "--constraint", "/dev/stdin", wheel]
    added = subprocess.run(install, input=there, capture_output=True)
    if added.returncode:
        print(added.stderr.decode(), "Nothing was changed: the course was not found, or does not fit here.", sep="\\n")
elif not here:
    print(sys.executable, "does not have the course. Choose the kernel of its .venv, or type: python3 start.py")
if keep_progress_in_drive:
    from course_utils import away

    away.keep_progress_in_drive()"""
COLAB = "https://colab.research.google.com/github/{slug}/blob/v{version}/notebooks/{name}.ipynb"
WHEEL = "{repository}/releases/download/v{version}/fine_tuning_course-{version}-py3-none-any.whl"
BADGE = "[![Open in Colab](../docs/images/colab.svg)]({colab}) · [words and terms 术语表](../docs/GLOSSARY.md)"


def repository() -> str:
    """Return the address of the repository; with the version it is the one setting behind badges and the first cell."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["urls"]["Repository"].rstrip("/")


def colab(name: str) -> str:
    """Return the address that opens a notebook in Colab, as it was released."""
    return COLAB.format(slug=repository().removeprefix("https://github.com/"), version=__version__, name=name)


def wheel() -> str:
    """Return the address of the release's wheel, which the first cell installs."""
    return WHEEL.format(repository=repository(), version=__version__)


def scripts(chosen: list[str]) -> list[Path]:
    """Return the percent scripts with the chosen numbers, such as "03" or "03b" (all, if none is named)."""
    found = sorted(SCRIPTS.glob("[0-9][0-9]*_*.py"))
    picked = [path for path in found if not chosen or number_of(path.name) in map(number_of, chosen)]
    if not picked:
        sys.exit(f"There is no notebook {', '.join(chosen)}. There are: {', '.join(path.stem for path in found)}.")
    return picked


def with_badge(notebook: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    """Return the notebook with the badge under its title and the guarded install as its first code cell."""
    title = notebook.cells[0]
    kept = [line for line in title.source.splitlines() if not line.startswith("[![Open in Colab]")]
    title.source = "\n".join([kept[0], "", BADGE.format(colab=colab(name)), *kept[1:]]).replace("\n\n\n", "\n\n")
    if notebook.cells[1].cell_type != "code" or "nbval-skip" not in notebook.cells[1].metadata.get("tags", []):
        notebook.cells.insert(1, nbformat.v4.new_code_cell(metadata={"tags": ["nbval-skip"]}))
    notebook.cells[1].source = SETUP.format(wheel=wheel())
    notebook.cells[1].metadata["cellView"] = "form"
    return notebook


def read(script: Path) -> nbformat.NotebookNode:
    """Return the notebook of a percent script, with the cells that are generated, stable ids and its header's kernel."""
    notebook = with_badge(jupytext.read(script, fmt="py:percent"), script.stem)
    for cell, _, source in defined_cells(notebook):
        cell.source = source
    kernel = KERNELS[notebook.metadata.get("kernelspec", KERNELS["python3"])["name"]]
    notebook.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    for index, cell in enumerate(notebook.cells):
        cell.id = f"{number_of(script.stem)}-{index:03d}"
    return notebook


def section_seconds(cells: list, seconds: dict[int, float]) -> dict[str, float]:
    """Return the seconds of each section, by its heading of second level; what stands above the first is "start"."""
    heading, total = "start", {"start": 0.0}
    for index, cell in enumerate(cells):
        found = [line[3:].strip() for line in cell.source.splitlines() if line.startswith("## ")]
        if cell.cell_type == "markdown" and found:  # several headings in one cell: its code follows the last
            total |= dict.fromkeys(found, 0.0)
            heading = found[-1]
        total[heading] += seconds.get(index, 0.0)
    return {name: round(value, 1) for name, value in total.items()}


class PeakMemory(threading.Thread):
    """Watches the most memory, in MiB, that a process holds for itself.

    Pages of library files are left out where the system tells them apart (Linux): it drops and rereads them at will,
    and how many they are depends on the build of torch.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process, self.peak, self.running = psutil.Process(pid), 0.0, True

    def run(self) -> None:
        while self.running:
            try:
                memory = self.process.memory_info()
                self.peak = max(self.peak, (memory.rss - getattr(memory, "shared", 0)) / 2**20)
            except psutil.Error:
                return
            time.sleep(0.2)


def execute(notebook: nbformat.NotebookNode, *, allow_errors: bool = False, folder: Path = ROOT / "notebooks") -> dict:
    """Execute a notebook in place and return its seconds, in all and by section, its slowest cell and its peak memory.

    With `allow_errors` a cell that fails keeps its error as an output, and the next one runs. It runs in `folder`, where
    it keeps its outputs: runs side by side need folders of their own.
    """
    started: dict[int, float] = {}
    seconds: dict[int, float] = {}
    client = NotebookClient(
        notebook,
        timeout=900,
        allow_errors=allow_errors,
        kernel_name=notebook.metadata.kernelspec.name,
        resources={"metadata": {"path": str(folder)}},
        on_cell_execute=lambda cell, cell_index: started.__setitem__(cell_index, time.monotonic()),
        on_cell_executed=lambda cell, cell_index, execute_reply: seconds.__setitem__(
            cell_index, time.monotonic() - started[cell_index]
        ),
    )
    begun = time.monotonic()
    nobody = Path(tempfile.mkdtemp()) / "progress.json"  # exercises are not solved on behalf of whoever builds
    with client.setup_kernel(env={**os.environ, "COURSE_PROGRESS": str(nobody)}):
        watcher = PeakMemory(client.km.provisioner.pid)  # type: ignore[union-attr]
        watcher.start()
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        client.set_widgets_metadata()
        watcher.running = False
    shutil.rmtree(nobody.parent)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    slowest = max(seconds, key=lambda index: seconds[index])
    return {
        "seconds": round(time.monotonic() - begun, 1),
        "slowest_cell_seconds": round(seconds[slowest], 1),
        "slowest_cell": notebook.cells[slowest].source.splitlines()[0][:70],
        "peak_mib": round(watcher.peak),
        "section_seconds": section_seconds(notebook.cells, seconds),
    }


def build(chosen: list[str]) -> None:
    """Write, execute and save notebooks, and record what they cost."""
    os.environ.setdefault("COURSE_PROFILE", "workshop")
    from course_utils.device import hardware, machine_kind  # brings torch, which the other commands do without

    times = RESULTS / f"notebook_times_{machine_kind()}.json"
    record = json.loads(times.read_text()) if times.exists() else {"notebooks": {}}
    for script in scripts(chosen):
        notebook = read(script)
        jupytext.write(notebook, script, fmt="py:percent")
        cost = execute(notebook)
        nbformat.write(notebook, ROOT / "notebooks" / f"{script.stem}.ipynb")
        print(f"{script.stem}: {cost}", flush=True)
        if os.environ["COURSE_PROFILE"] == "workshop":
            record["notebooks"][script.stem] = cost
    record |= {"date": date.today().isoformat(), "profile": "workshop", "hardware": hardware()}
    times.parent.mkdir(parents=True, exist_ok=True)
    times.write_text(json.dumps(record, indent=1) + "\n")


def badges(chosen: list[str]) -> None:
    """Write badge and first cell into scripts and notebooks; nothing is executed."""
    for script in scripts(chosen):
        jupytext.write(read(script), script, fmt="py:percent")
        target = ROOT / "notebooks" / f"{script.stem}.ipynb"
        if target.exists():
            notebook = with_badge(nbformat.read(target, as_version=4), script.stem)
            nbformat.write(notebook, target)


def with_explorer_of_today(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return an output; an explorer in it has the style and script of today, around the picture and the data of its run."""
    if made := EXPLORER.match(output.get("data", {}).get("text/html", "")):
        return nbformat.from_dict({**output, "data": {**output.data, "text/html": filled(*made.groups())}})
    return output


def prose(chosen: list[str]) -> None:
    """Write prose and tags of the scripts, and explorers as they are today, into notebooks, whose code must be unchanged."""
    for script in scripts(chosen):
        new, target = read(script), ROOT / "notebooks" / f"{script.stem}.ipynb"
        old = nbformat.read(target, as_version=4)
        pairs = [[cell for cell in nb.cells if cell.cell_type == "code"] for nb in (new, old)]
        if [cell.source for cell in pairs[0]] != [cell.source for cell in pairs[1]]:
            sys.exit(f"{target.name}: its code has changed, so its outputs are old. Type: build {number_of(script.stem)}")
        for fresh, run in zip(*pairs, strict=True):
            fresh.outputs, fresh.execution_count = list(map(with_explorer_of_today, run.outputs)), run.execution_count
        new.metadata = old.metadata
        nbformat.write(new, target)


def differences() -> list[str]:
    """Return a sentence for each notebook that differs from its percent script, and each script from its exercises."""
    found = []
    for script in scripts([]):
        defined = defined_cells(jupytext.read(script, fmt="py:percent"))
        if changed := sorted({name for cell, name, source in defined if cell.source != source}):
            command = f"python -m tools.notebooks build {number_of(script.stem)}"
            found.append(f"{script.name} differs from the definition of {', '.join(changed)}: {command}")
        target = ROOT / "notebooks" / f"{script.stem}.ipynb"
        if not target.exists():
            found.append(f"{target.name} is missing: python -m tools.notebooks build {number_of(script.stem)}")
            continue
        pair = (jupytext.read(script, fmt="py:percent"), nbformat.read(target, as_version=4))
        cells = [[(c.cell_type, c.source, tuple(c.metadata.get("tags", []))) for c in nb.cells] for nb in pair]
        if cells[0] != cells[1]:
            found.append(f"{target.name} differs from its script: python -m tools.notebooks build {number_of(script.stem)}")
        outputs = [output for cell in pair[1].cells for output in cell.get("outputs", [])]
        if outputs != list(map(with_explorer_of_today, outputs)):
            found.append(f"{target.name} has old explorers: python -m tools.notebooks prose {number_of(script.stem)}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("build", "prose", "check", "badges"))
    parser.add_argument("notebooks", nargs="*", help="numbers, such as 01 03; none means all")
    options = parser.parse_args()
    if options.action == "check":
        sys.exit("\n".join(differences()) or None)
    {"build": build, "prose": prose, "badges": badges}[options.action](options.notebooks)


if __name__ == "__main__":
    main()
