"""What was measured in seconds and GiB, as Markdown: parts of bench/RESULTS.md, and the minutes of README.md's map."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from tools.tables import fold, number_of, row

ROOT = Path(__file__).resolve().parents[1]
RESULTS, SCRIPTS = ROOT / "bench" / "results", ROOT / "notebooks" / "py"
SLOW, FAST = "cpu_float32", "cpu_bfloat16"  # the two kinds of machine that the map states minutes of


@dataclass(frozen=True)
class Walk:
    """What building every notebook cost on one kind of machine (`machine_kind`)."""

    kind: str
    profile: str
    hardware: str
    date: str
    notebooks: dict[str, dict]  # by name: seconds, slowest_cell_seconds, peak_mib, ...

    @property
    def minutes(self) -> float:
        """Minutes of all notebooks together."""
        return sum(cost.get("seconds", 0) for cost in self.notebooks.values()) / 60


def read(file: Path) -> dict:
    """Return a record."""
    return json.loads(file.read_text(encoding="utf-8"))


def kind(file: Path) -> str:
    """Return the kind of machine in a record's name as a reader sees it: "cpu, bfloat16"."""
    return re.sub(r"^[a-z]+_(times_)?", "", file.stem).replace("_", ", ")


def walk_on(machine: str) -> Walk:
    """Return what building the notebooks cost on a kind of machine."""
    record = read(RESULTS / f"notebook_times_{machine}.json")
    costs = dict(sorted(record["notebooks"].items()))
    return Walk(machine, record["profile"], record["hardware"], record["date"], costs)


def slowest_walk() -> Walk:
    """Return the walk on the slow kind of machine; a notebook that it has not built has the cost of the slowest that has.

    One that no machine has measured has an empty cost.
    """
    costs: dict[str, dict] = {}
    for machine in (SLOW, FAST, f"{FAST}_amx"):
        costs = walk_on(machine).notebooks | costs
    costs = {script.stem: {} for script in SCRIPTS.glob("[0-9][0-9]*_*.py")} | costs
    return replace(walk_on(SLOW), notebooks=dict(sorted(costs.items())))


def whole_minutes(cost: dict) -> str:
    """Return "2.5", the minutes of a notebook, or "" if they were not measured."""
    return f"{cost['seconds'] / 60:.1f}" if cost else ""


def minutes(cost: dict) -> str:
    """Return "2.5 min (47 s)": the minutes of a notebook and its slowest cell, as far as they were measured."""
    slowest = f" ({cost['slowest_cell_seconds']:.0f} s)" if "slowest_cell_seconds" in cost else ""
    return f"{cost['seconds'] / 60:.1f} min{slowest}" if cost else ""


def notebooks() -> str:
    """Return the minutes and the slowest cell of each notebook on every kind of machine, and its memory."""
    files = sorted(RESULTS.glob("notebook_times_*.json"))
    walks = {kind(file): walk_on(file.stem.removeprefix("notebook_times_")) for file in files}
    slow = walk_on(SLOW)
    lines = [row("notebook", *walks, "memory"), row("---", *["--:"] * (len(walks) + 1))]
    for name in sorted({name for walk in walks.values() for name in walk.notebooks}):
        costs = [walk.notebooks.get(name, {}) for walk in walks.values()]
        memory = f"{slow.notebooks[name]['peak_mib'] / 1024:.1f} GiB" if name in slow.notebooks else ""
        lines.append(row(f"[{number_of(name)}](../notebooks/{name}.ipynb)", *map(minutes, costs), memory))
    lines.append(row("all", *(f"{walk.minutes:.1f} min" for walk in walks.values()), ""))
    runs = "; ".join(f"{name}: {walk.hardware}, {walk.date}" for name, walk in walks.items())
    return "\n".join(
        [
            *lines,
            "",
            f"In parentheses: the slowest cell. Measured in the `{slow.profile}` profile without a GPU, when the notebooks "
            f"were built ({runs}). Memory is what a notebook needs for itself in float32, library files left out.",
        ]
    )


def with_range(value: dict[str, float], *, percent: bool = False) -> str:
    """Return a median with the lowest and the highest of the rounds: 1.50 (1.42 to 1.61)."""
    median, low, high = (f"{value[key]:.0%}" if percent else f"{value[key]:.2f}" for key in ("median", "low", "high"))
    return f"{median} ({low} to {high})"


def speed() -> str:
    """Return what `course bench` measured, a table for each kind of machine; all after the first are folded."""
    files = sorted(RESULTS.glob("speed_*.json"))
    if not files:
        return "No speed has been measured yet: `course bench`."
    first, *others = (speed_table(list(read(file)["comparisons"].values())) for file in files)
    folded = [fold(f"The same on another kind of machine: {kind(f)}", t) for f, t in zip(files[1:], others, strict=True)]
    return "\n\n".join([first, *folded])


def speed_table(comparisons: list[dict]) -> str:
    """Return one record of `course bench`: every other way beside the course's way, and what the comparison rests on."""
    head = ("the question", "the course", "against", "what differs", "times as long (range)")
    rows = [cells for comparison in comparisons for cells in sides(comparison)]
    runs = [comparison["measured"] for comparison in comparisons]
    places = {"{hardware}, {precision}, torch {torch}, transformers {transformers}".format(**run) for run in runs}
    commits = ", ".join(sorted({f"{run['commit']} ({run['date']})" for run in runs}))
    rounds = " or ".join(sorted({str(comparison["rounds"]) for comparison in comparisons}))
    measured = f"Medians and ranges of {rounds} rounds, sides in turn, on {'; '.join(sorted(places))}; commits {commits}."
    notes = [f"- {c['question']} Alike: {c['equal']}. Traded: {c['trades']}" for c in comparisons]
    table = [row(*head), row(*["---"] * 4, "--:"), *(row(*cells) for cells in rows)]
    return "\n".join(
        [*table, "", measured, "", fold("What each comparison rests on", "\n".join(notes + reached(comparisons)))]
    )


def sides(comparison: dict) -> list[tuple[str, ...]]:
    """Return the cells of a row for every other side; question and course are in the first row only."""
    ours, *others = comparison["sides"]
    first = f"{ours['name']}: {ours['seconds']['median']:.1f} s, {ours['tokens_per_second']:,} tokens/s"
    first += f", accuracy {ours['accuracy']['estimate']:.3f}" if "accuracy" in ours else ""
    rows = []
    for number, other in enumerate(others):
        scored = ""
        if "accuracy" in other:
            more, low, high = (100 * other["accuracy_over_first"][key] for key in ("estimate", "low", "high"))
            scored = f"; accuracy {other['accuracy']['estimate']:.3f}, {more:+.1f} points ({low:+.1f} to {high:+.1f})"
        lead = ("", "") if number else (comparison["question"], first)
        rows.append((*lead, other["name"], other["differs"] + scored, with_range(other["times_first"])))
    return rows


def reached(comparisons: list[dict]) -> list[str]:
    """Return, for each comparison that counts FLOPs, the share of the machine's rate and how the estimate did."""
    lines = []
    for comparison in comparisons:
        ours = comparison["sides"][0]
        if "share_of_gemm" not in ours:
            continue
        line = f"- {comparison['question']} The step reached {with_range(ours['share_of_gemm'], percent=True)} of the rate "
        line += "of a product of 2,048 x 2,048 matrices"
        if "foretold_over_measured" in ours:
            line += "; the seconds estimated from three steps of 32 x 32 tokens were "
            line += f"{with_range(ours['foretold_over_measured'])} times those measured"
        lines.append(f"{line}.")
    return lines


def walks() -> str:
    """Return how long notebooks take with every choice of the course off, beside what they take as they are."""
    lines = []
    for file in sorted(RESULTS.glob("walk_*.json")):
        record = read(file)
        off, on = (sum(times[name] for times in record["notebooks"].values()) / 60 for name in ("off", "as it is"))
        numbers = ", ".join(number_of(name) for name in record["notebooks"])
        lines.append(
            f"* {record['hardware']}, {kind(file)}: notebooks {numbers} take {off:.1f} minutes in place of {on:.1f}, "
            f"{off / on:.1f} times as long (one run each, {record['date']})."
        )
    return "\n".join(lines) or "Not measured yet: `python -m bench.walk`."


def faults() -> str:
    """Return a table of what was done to the course, and what the scripts of tests/faults said of it at their end."""
    file = RESULTS / "faults.json"
    if not file.exists():
        return "Not measured yet: `python -m bench.faults`."
    record = read(file)
    lines = [row("script", "what happens", "what came of it", "measured"), row("---", "---", "---", "---")]
    for name, found in record["scripts"].items():
        lines.append(row(f"`{name}`", found["what"], "<br>".join(found["says"]), found["date"]))
    return "\n".join([*lines, "", f"Measured on {record['hardware']}."])
