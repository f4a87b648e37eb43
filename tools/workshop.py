"""Make the instructor's kit in workshop/ from the notebooks, their measured times and workshop/plan.toml.

    python -m tools.workshop            write run-sheets, the learner edition and the slides
    python -m tools.workshop sheets     write the run-sheets and MINUTES.md alone (they are kept in git)
    python -m tools.workshop learner    write workshop/learner/: the notebooks without solutions and without outputs
    python -m tools.workshop slides     write workshop/slides/ (fetches reveal.js and MathJax once; see tools/slides.py)
    python -m tools.workshop --check    say which run-sheets are out of date, and exit with 1 if any is

Minutes are counted like this: prose and code at the rates of plan.toml, exercises at its allowance, and running at what
was measured (`running`). Slides are a deck for each notebook, and one for each run-sheet with the sections that it teaches.
Speaker notes are in workshop/notes/ and are written by hand.
"""

from __future__ import annotations

import argparse
import copy
import functools
import math
import re
import sys
import tomllib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from course_utils.exercises import checks
from tools import times
from tools.tables import number_of, row

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
WORKSHOP = ROOT / "workshop"
BADGE = re.compile(r"^\[!\[Open in Colab\]\([^)]*\)\]\([^)]*\)(?: · )?", re.MULTILINE)
LONG_RUN = 20  # seconds from which on it pays to start a cell first and to talk while it runs

HOW_TO_READ = """\
Times count from the start of each part. Sections that are not taught still have to be run: put the cursor into the section
you jump to and choose *Run > Run All Above Selected Cell*. How minutes are counted is said in [MINUTES.md](MINUTES.md)."""
HOW_COUNTED = """\
The whole course, for plans of your own: change [plan.toml](plan.toml) and run `python -m tools.workshop`. Teaching is
counted at {words_a_minute} words and {code_lines_a_minute} lines of code a minute, {figure_minutes} minutes for a figure or
a widget, {exercise_minutes} for an exercise and {quiz_minutes} for a quiz. To these the seconds of running are added. They
are those of a machine without fast bfloat16, in the `workshop` profile; where a section was measured on a faster kind of
machine only, its seconds are multiplied by how much longer the whole notebook takes. A dash: not measured."""


@dataclass(frozen=True)
class Section:
    """What stands under one heading of a notebook."""

    notebook: str  # its name, without .ipynb
    heading: str  # as it stands there, with its number
    words: int
    code_lines: int
    figures: int  # pictures and widgets, which are looked at and talked about
    exercises: tuple[str, ...]  # their ids
    quizzes: int
    run_seconds: float | None  # None: not measured

    @property
    def name(self) -> str:
        """The heading without its number, by which plan.toml knows it."""
        return re.sub(r"^\d+ ", "", self.heading)

    def minutes(self, rates: dict, solved: Collection[str]) -> int:
        """Return the whole minutes that it takes, with these of its exercises solved in the room."""
        counted = self.words / rates["words_a_minute"] + self.code_lines / rates["code_lines_a_minute"]
        counted += self.figures * rates["figure_minutes"] + self.quizzes * rates["quiz_minutes"]
        counted += len(solved) * rates["exercise_minutes"]
        return max(1, math.ceil(counted + (self.run_seconds or 0) / 60))


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def notebooks() -> dict[str, Path]:
    """Return the notebooks that are there, by their numbers."""
    return {number_of(path.name): path for path in sorted(NOTEBOOKS.glob("[0-9][0-9]*_*.ipynb"))}


def title(path: Path) -> str:
    """Return "06 · Fine-tune BERT" for a notebook."""
    return nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].removeprefix("# ")


def running(notebook: str, headings: Collection[str]) -> dict[str, float]:
    """Return the seconds that sections run on the slow kind of machine, from the record that knows most of them."""
    records = [times.walk_on(kind).notebooks.get(notebook, {}) for kind in (times.SLOW, times.FAST, f"{times.FAST}_amx")]
    best = max(records, key=lambda record: len(record.get("section_seconds", {}).keys() & set(headings)))
    if not best.get("section_seconds"):
        return {}
    slower = times.slowest_walk().notebooks[notebook]["seconds"] / best["seconds"]
    return {heading: slower * seconds for heading, seconds in best["section_seconds"].items()}


@dataclass
class Counts:
    """What has been counted of a section so far."""

    words: int = 0
    code_lines: int = 0
    figures: int = 0
    exercises: list[str] = field(default_factory=list)
    quizzes: int = 0


@functools.cache  # each notebook is read once, so that all pages agree
def sections(path: Path) -> list[Section]:
    """Return the sections of a notebook; what stands above the first heading belongs to none of them."""
    counts: dict[str, Counts] = {}
    heading = ""
    for cell in learner(nbformat.read(path, as_version=4)).cells:
        lines = [line for line in cell.source.splitlines() if line.strip()]
        if cell.cell_type == "markdown":
            for line in lines:
                if line.startswith("## "):
                    heading = line[3:].strip()
                if heading:
                    counted = counts.setdefault(heading, Counts())
                    counted.words += len(re.findall(r"\w+", re.sub("<[^>]*>", "", line)))
        elif heading:
            counted = counts[heading]
            counted.figures += bool(re.search(r"\b(?:plots|diagrams)\.show\(|\bwidgets\.\w+\(", cell.source))
            counted.exercises += re.findall(r'checks\.check\("([\w.]+)"', cell.source)
            counted.quizzes += bool(re.search(r"\bquiz\w*\(", cell.source))
            counted.code_lines += 0 if "check" in tags(cell) else len(lines)
    ran = running(path.stem, counts)
    return [
        Section(path.stem, head, c.words, c.code_lines, c.figures, tuple(c.exercises), c.quizzes, ran.get(head))
        for head, c in counts.items()
    ]


# --- the learner edition


def gives_away(cell) -> bool:
    """Return whether a cell is a solution, or the check of one."""
    return "solution" in tags(cell) or ("check" in tags(cell) and "mine=False" in cell.source)


def learner(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return a copy without solutions, outputs and the badge (it leads to the edition that has solutions).

    The check of a solution goes with it. Links lead out of workshop/learner/.
    """
    stripped = copy.deepcopy(notebook)
    stripped.metadata.pop("widgets", None)
    kept = [cell for cell in stripped.cells if not gives_away(cell)]
    for cell in kept:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = BADGE.sub("", cell.source).replace("](../", "](../../")
    stripped.cells = kept
    return stripped


def write_learner() -> None:
    """Write workshop/learner/, anew."""
    folder = WORKSHOP / "learner"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.ipynb"):
        old.unlink()
    for path in notebooks().values():
        nbformat.write(learner(nbformat.read(path, as_version=4)), folder / path.name)
    print(f"workshop/learner: {len(notebooks())} notebooks without solutions")


# --- the run-sheets


@dataclass(frozen=True)
class Item:
    """A section that is taught in a part of a run-sheet."""

    section: Section
    minutes: int
    solved: tuple[str, ...]  # ids of the exercises that are solved in the room
    skip: int  # 0: never; otherwise skipped as the 1st, 2nd, ...


def find(all_sections: list[Section], name: str) -> Section:
    """Return the section that plan.toml names.

    Raises:
        ValueError: the notebook has no such heading.
    """
    for section in all_sections:
        if section.name == name:
            return section
    raise ValueError(f"plan.toml names the section {name!r}, which {all_sections[0].notebook} does not have.")


def schedule(part: dict, plan: dict, *, first: bool) -> tuple[list[Item], int]:
    """Return what is taught in one part, in the order of the notebooks, and the minutes left over.

    All of "core" is taught; of "extra" what fits, in the order of the plan, one from each notebook in turn. The minutes of
    "own" (a slot at the end) and of "slack" stay free.

    Raises:
        ValueError: an exercise that is to be solved stands in no section of the core.
    """
    rates, pauses, there = plan["rates"], plan["pauses"], notebooks()
    blocks = [(block, sections(there[block["notebook"]])) for block in part["block"] if block["notebook"] in there]
    left = part["minutes"] - part.get("slack", 0) - pauses["break"] - (pauses["arrive"] if first else 0)
    left -= part.get("own", {}).get("minutes", 0)
    solved: dict[Section, tuple[str, ...]] = {}
    core: set[Section] = set()
    for block, every in blocks:
        core |= {find(every, name) for name in block["core"]}
        solved |= {section: tuple(id for id in block["exercises"] if id in section.exercises) for section in every}
        for id in block["exercises"]:
            if not any(id in section.exercises for section in core):
                raise ValueError(
                    f"plan.toml has exercise {id} solved, which stands in no section of the core of {part['name']}."
                )
    left -= sum(section.minutes(rates, solved[section]) for section in core)
    added: list[Section] = []
    for turn in range(max((len(block["extra"]) for block, _ in blocks), default=0)):
        for block, every in blocks:
            if turn < len(block["extra"]):
                section = find(every, block["extra"][turn])
                if (minutes := section.minutes(rates, solved[section])) <= left:
                    added.append(section)
                    left -= minutes
    while True:
        order = {section: len(added) - number for number, section in enumerate(added)}
        taught = [section for _, every in blocks for section in every if section in core or section in order]
        items = [Item(s, s.minutes(rates, solved[s]), solved[s], order.get(s, 0)) for s in taught]
        planned = sum(minutes for minutes, *_ in layout(part, items, plan, first=first))
        left = part["minutes"] - part.get("slack", 0) - planned
        if left >= 0 or not added:
            return items, left
        added.pop()


def clock(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02d}"


def layout(part: dict, items: list[Item], plan: dict, *, first: bool) -> list[tuple[int, str, str]]:
    """Return the rows of one part, pauses among them: minutes, what, and what to watch."""
    pauses, now, since, rested = plan["pauses"], 0, 0, False
    rows: list[tuple[int, str, str]] = []
    if first:
        arrival = "Arrive: `course doctor --room`, open notebook 00"
        rows.append((pauses["arrive"], arrival, "every screen says OK, all with the same code"))
        now = pauses["arrive"]
    for item in items:
        section = item.section
        watch = [f"skip as no. {item.skip}"] if item.skip else []
        if (section.run_seconds or 0) >= LONG_RUN:
            watch.append(f"runs {section.run_seconds:.0f} s: start it, then talk")
        if item.solved:
            watch.append(f"solve {' and '.join(item.solved)}")
        rows.append((item.minutes, f"{number_of(section.notebook)} · {section.heading}", "; ".join(watch)))
        now += item.minutes
        if item is items[-1]:
            break
        if not rested and now >= 0.45 * part["minutes"]:
            rows.append((pauses["break"], "**Break**", "the next notebook can run from its top meanwhile"))
            now += pauses["break"]
            rested, since = True, now
        elif now - since >= pauses["questions_after"]:
            rows.append((pauses["questions"], "**Pause for questions**", ""))
            now += pauses["questions"]
            since = now
    if own := part.get("own"):
        rows.append((own["minutes"], f"**{own['what']}**", own["watch"]))
    return rows


def timetable(part: dict, items: list[Item], plan: dict, *, first: bool) -> list[str]:
    """Return the table of one part: when, how long, what, and what to watch."""
    lines, now = [row("at", "minutes", "what", "watch"), row("--:", "--:", "---", "---")], 0
    for minutes, what, watch in layout(part, items, plan, first=first):
        lines.append(row(clock(now), minutes, what, watch))
        now += minutes
    slack = f"; {part['minutes'] - now} are free, for what takes longer" if part.get("slack") else ""
    return [*lines, "", f"Planned: {now} of {part['minutes']} minutes{slack}."]


def behind(items: list[Item]) -> list[str]:
    """Return what to leave out when time runs short, in that order."""
    extras = sorted((item for item in items if item.skip), key=lambda item: item.skip)
    gained = 0
    lines = []
    for item in extras:
        gained += item.minutes
        where = f"{number_of(item.section.notebook)} · {item.section.heading}"
        lines.append(f"{item.skip}. {where} ({item.minutes}, in all {gained} minutes)")
    return lines or ["Nothing: everything planned is core. Leave the exercises for home."]


def untaught(items: list[Item]) -> list[str]:
    """Return, for each notebook of a part, what is left for home, and how long it runs before the last section taught."""
    lines = []
    for name in dict.fromkeys(item.section.notebook for item in items):
        taught = [item.section for item in items if item.section.notebook == name]
        every = sections(NOTEBOOKS / f"{name}.ipynb")
        above = every[: every.index(taught[-1])]
        seconds = sum(section.run_seconds or 0 for section in above if section not in taught)
        left = [section.heading for section in every if section not in taught and section.name != "Summary"]
        runs = f" What lies between the sections taught runs {seconds:.0f} s." if seconds >= 1 else ""
        lines.append(f"* {number_of(name)}: {'; '.join(left) if left else 'nothing'}.{runs}")
    return lines


def misunderstandings(number: str, solved: Collection[str]) -> list[str]:
    """Return a line for each of these exercises of a notebook, with the wrong answers that its check knows."""
    return [
        f"{exercise.id} {exercise.title}: {'; '.join(first_sentence(mistake.says) for mistake in exercise.mistakes)}."
        for exercise in checks.exercises(number)
        if exercise.id in solved and exercise.mistakes
    ]


def first_sentence(text: str) -> str:
    """Return the first sentence of a message without its full stop."""
    return re.split(r"\.(?:\s|$)", text, maxsplit=1)[0]


def mistakes(items: list[Item]) -> list[str]:
    """Return the common mistakes in the exercises of a part and the bugs of its notebooks, and where speaker notes are."""
    lines = []
    for name in dict.fromkeys(item.section.notebook for item in items):
        notes = (
            f"[speaker notes](notes/{name}.md)" if (WORKSHOP / "notes" / f"{name}.md").exists() else "no speaker notes yet"
        )
        bugs = [section.name for section in sections(NOTEBOOKS / f"{name}.ipynb") if section.name.startswith("Classic bug")]
        shown = "; ".join(bug.partition(": ")[2] or bug for bug in bugs)
        lines.append(f"* {number_of(name)} ({notes}){f': {shown}' if shown else ''}")
        solved = [id for item in items if item.section.notebook == name for id in item.solved]
        lines += [f"    * {line}" for line in misunderstandings(number_of(name), solved)]
    return lines


def sheet(plan: dict, chosen: dict) -> str:
    """Return one run-sheet in Markdown."""
    lines = [f"# Run-sheet: {chosen['title'].lower()}", "", f"**The promise.** {chosen['promise']}", "", HOW_TO_READ]
    for number, part in enumerate(chosen["part"]):
        items, _ = schedule(part, plan, first=number == 0)
        lines += ["", f"## {part['name']}", "", *timetable(part, items, plan, first=number == 0)]
        lines += ["", "### When you are behind, skip in this order", "", *behind(items)]
        lines += ["", "### Common mistakes", "", *mistakes(items)]
        lines += ["", "### Left for home", "", *untaught(items)]
    return "\n".join([*lines, ""])


def minutes_page(plan: dict) -> str:
    """Return the minutes of every section of every notebook."""
    rates = plan["rates"]
    lines = ["# Minutes, section by section", "", HOW_COUNTED.format(**rates)]
    for path in notebooks().values():
        every = sections(path)
        lines += ["", f"## {title(path)}", ""]
        lines += [row("section", "words", "lines", "figures", "exercises", "runs (s)", "minutes")]
        lines += [row("---", *["--:"] * 6)]
        total = 0
        for section in every:
            minutes = section.minutes(rates, section.exercises)
            total += minutes
            run = "-" if section.run_seconds is None else f"{section.run_seconds:.0f}"
            lines.append(
                row(
                    section.heading, section.words, section.code_lines, section.figures, len(section.exercises), run, minutes
                )
            )
        lines.append(row("**all**", "", "", "", sum(len(section.exercises) for section in every), "", f"**{total}**"))
    return "\n".join([*lines, ""])


def pages() -> dict[Path, str]:
    """Return every generated page that is kept in git, by its path."""
    plan = tomllib.loads((WORKSHOP / "plan.toml").read_text(encoding="utf-8"))
    made = {WORKSHOP / f"run-sheet-{chosen['name']}.md": sheet(plan, chosen) for chosen in plan["sheet"]}
    return made | {WORKSHOP / "MINUTES.md": minutes_page(plan)}


def deck(plan: dict, chosen: dict) -> nbformat.NotebookNode:
    """Return a notebook of what a run-sheet teaches, in its order, without exercises that are left for home."""
    cells = [nbformat.v4.new_markdown_cell(f"# {chosen['title']}\n\n{chosen['promise']}")]
    for number, part in enumerate(chosen["part"]):
        items, _ = schedule(part, plan, first=number == 0)
        for name in dict.fromkeys(item.section.notebook for item in items):
            taught, heading = {item.section.heading for item in items if item.section.notebook == name}, ""
            solved = {id for item in items if item.section.notebook == name for id in item.solved}
            for cell in nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells:
                found = re.search(r"^## (.*)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
                heading = found[1].strip() if found else heading
                exercise = re.match(r"\*\*Exercise ([\w.]+)", cell.source)
                if heading in taught and (exercise is None or exercise[1] in solved):
                    cells.append(copy.deepcopy(cell))
                    if found:
                        cells[-1].source = cell.source.replace(f"## {found[1]}", f"## {number_of(name)} · {heading}", 1)
        if own := part.get("own"):
            cells.append(nbformat.v4.new_markdown_cell(f"## {own['what']}\n\n{own['minutes']} minutes."))
    return nbformat.v4.new_notebook(cells=cells)


def write_sheets() -> None:
    made = pages()
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    print(f"workshop: {', '.join(path.name for path in made)}")
    missing = [path.stem for path in notebooks().values() if not (WORKSHOP / "notes" / f"{path.stem}.md").exists()]
    if missing:
        print(f"workshop/notes: no speaker notes yet for {', '.join(missing)}")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=("all", "sheets", "learner", "slides"), default="all")
    parser.add_argument("--check", action="store_true", help="write nothing; say which run-sheets are out of date")
    options = parser.parse_args(arguments)
    if options.check:
        old = [path.name for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
        if old:
            print(f"Out of date: {', '.join(old)}. Type: python -m tools.workshop sheets", file=sys.stderr)
        return int(bool(old))
    if options.part in ("all", "sheets"):
        write_sheets()
    if options.part in ("all", "learner"):
        write_learner()
    if options.part in ("all", "slides"):
        from tools import slides

        try:
            plan = tomllib.loads((WORKSHOP / "plan.toml").read_text(encoding="utf-8"))
            decks = {path.stem: nbformat.read(path, as_version=4) for path in notebooks().values()}
            decks |= {f"run-sheet-{chosen['name']}": deck(plan, chosen) for chosen in plan["sheet"]}
            slides.write_slides(decks, WORKSHOP / "slides")
        except OSError as error:
            print(f"workshop: {error}.", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
