"""How nbval compares the notebooks, besides its own rules.

In a cell tagged `approx` (or, say, `approx-0.05`) words are compared exactly and numbers within a relative
tolerance (0.02, or the one in the tag). In every cell as many pictures and widgets must come as were recorded;
what is in a picture is not compared, its alternative text is. A summary says what was compared and what was not.
"""

from __future__ import annotations

import atexit
import math
import os
import re
import shutil
import tempfile
from collections import Counter, defaultdict

import pytest

NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d[\d,]*)(?:\.\d+)?(?:[eE][-+]?\d+)?")
TAG = re.compile(r"approx(?:-(\d*\.?\d+))?")
DEFAULT_TOLERANCE = 0.02
UNCOMPARED = ("image/png", "image/jpeg", "image/svg+xml", "application/vnd.jupyter.widget-view+json")

_nobody = tempfile.mkdtemp()  # tests and notebooks under test solve no exercise on behalf of whoever runs them
atexit.register(shutil.rmtree, _nobody, ignore_errors=True)
os.environ["COURSE_PROGRESS"] = os.path.join(_nobody, "progress.json")


def tolerance_of(tags: list[str]) -> float | None:
    """Return the relative tolerance that a cell's tags ask for; None means exact."""
    for tag in tags:
        if found := TAG.fullmatch(tag):
            return float(found[1] or DEFAULT_TOLERANCE)
    return None


def close(new: str, recorded: str, tolerance: float) -> bool:
    """Return whether two printed numbers agree: relatively, or but for a step in the last of two or more decimals."""
    a, b = (float(number.replace(",", "")) for number in (new, recorded))
    decimals = len(recorded.partition(".")[2]) if "e" not in recorded.lower() else 0
    step = 1.01 * 10**-decimals if decimals >= 2 else 0.0
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=step)


def agree(new: str, recorded: str, tolerance: float) -> bool:
    """Return whether two texts hold the same words, and numbers within the tolerance; runs of spaces are alike."""
    if [part.split() for part in NUMBER.split(new)] != [part.split() for part in NUMBER.split(recorded)]:
        return False
    pairs = zip(NUMBER.findall(new), NUMBER.findall(recorded), strict=True)
    return all(close(a, b, tolerance) for a, b in pairs)


def kinds(outputs: list) -> Counter:
    """Return how many pictures and widgets of each kind the outputs hold."""
    return Counter(kind for output in outputs for kind in output.get("data", {}) if kind in UNCOMPARED)


def adopt(new: list, recorded: list, tolerance: float) -> None:
    """Put the recorded text in place of each new text that agrees with it, so that the exact comparison passes."""
    for output, model in zip(new, recorded, strict=False):
        texts = [(output, model, "text")] if "text" in output and "text" in model else []
        texts += [(output.data, model.data, kind) for kind in output.get("data", {}) if kind in model.get("data", {})]
        for here, there, key in texts:
            both_text = isinstance(here[key], str) and isinstance(there[key], str) and key not in UNCOMPARED
            if both_text and agree(here[key], there[key], tolerance):
                here[key] = there[key]


def _install(item) -> None:
    """Wrap the comparison of one notebook cell."""
    exact, tolerance = item.compare_outputs, tolerance_of(item.cell.metadata.get("tags", []))

    def compare(new: list, recorded: list, *rest: object) -> bool:
        if kinds(new) != kinds(recorded):
            item.comparison_traceback = [f"pictures and widgets: recorded {dict(kinds(recorded))}, now {dict(kinds(new))}"]
            return False
        if tolerance is not None:
            adopt(new, recorded, tolerance)
        return exact(new, recorded, *rest)

    item.compare_outputs = compare


def _no_language_model() -> str:
    """Return why notebook 14 cannot run here, or "" if its model has been fetched."""
    from course_utils import language_model

    return "" if language_model.is_here() else "the language model of notebook 14 is not here: python3 start.py setup"


def pytest_collection_modifyitems(items: list) -> None:
    cells = [item for item in items if hasattr(item, "compare_outputs")]  # of nbval
    for item in cells:
        _install(item)
    of_14 = [item for item in cells if item.path.name.startswith("14_")]
    if of_14 and (reason := _no_language_model()):
        for item in of_14:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter) -> None:
    """Write a line for each notebook: its cells, how they were compared, and its seconds."""
    counts: dict[str, Counter] = defaultdict(Counter)
    seconds: Counter = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            name, _, cell = getattr(report, "nodeid", "").partition(".ipynb::")
            if not cell:
                continue
            seconds[name] += report.duration
            if report.when == "call" or report.skipped:
                how = dict(report.user_properties).get("comparison", "skipped")
                counts[name]["FAILED" if report.failed else how] += 1
    if counts:
        terminalreporter.section("notebooks")
    for name, count in sorted(counts.items()):
        parts = ", ".join(f"{number} {how}" for how, number in count.items() if number)
        terminalreporter.line(f"{name.rpartition('/')[2]}: {parts}; {seconds[name]:.0f} s")


def pytest_runtest_call(item) -> None:
    if hasattr(item, "compare_outputs"):
        tolerance = tolerance_of(item.cell.metadata.get("tags", []))
        how = "compared exactly" if tolerance is None else f"compared within {tolerance:g}"
        skipped, checked = item.options["skip"], item.options["check"]
        item.user_properties.append(("comparison", "skipped" if skipped else how if checked else "run but not compared"))
