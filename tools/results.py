"""Write the generated parts of README.md, docs/RESULTS.md (accuracies) and bench/RESULTS.md (times and memory), and the
drawing of the route that README.md shows.

    python -m tools.results           write them
    python -m tools.results --check   say which pages are out of date, and exit with 1 if any is

Each part is between two comments, <!-- generated: NAME --> and <!-- end: NAME -->. Questions come from
notebook 00, claims from course_utils/claims.json, all else from bench/results. No number is typed by hand.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from tools import accuracies, notebooks, route, tables, times
from tools.tables import row

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "notebooks" / "py"
START = SCRIPTS / "00_start_here.py"
HEADLINE = (
    "After fine-tuning on {train} film-review sentences, the small BERT of this course classifies **{tuned:.1%}** of the "
    "test sentences correctly. Word counts with logistic regression reach {counts:.1%}. If the same BERT stays frozen and "
    "only a linear classifier is trained on its states, it reaches {frozen:.1%}. Fine-tuning gains {gain:.1f} points "
    "over word counts (95 % interval of the mean of {seeds} seeds: {low:.1f} to {high:.1f}). Measured on {hardware}, "
    "no GPU, {date}."
)
COSTS = (
    "Measured in the `{profile}` profile on {hardware}, no GPU: notebooks that have not changed since {date} in float32, "
    "the others, which take longer there, on a processor that multiplies bfloat16 ({fast_date}; `course doctor` tells you "
    "whether yours does). On such a one all notebooks together run in {fewer:.0f} minutes. Reading and playing take longer."
)


def course_map() -> str:
    """Return the table of notebooks: the question each answers, its minutes here, and where it opens in Colab."""
    questions = {re.search(r"\((\w+)\.ipynb\)", link)[1]: question for link, question in table("The map")[1:]}  # type: ignore[index]
    questions[START.stem] = "What is fine-tuning, and is this machine ready?"
    lines = [row("notebook", "the question it answers", "minutes", "open"), row("---", "---", "--:", "---")]
    for name, cost in times.slowest_walk().notebooks.items():
        link = f"[{title(name)}](notebooks/{name}.ipynb)"
        colab = f"[Colab]({notebooks.colab(name)})"
        lines.append(row(link, questions.get(name, ""), times.whole_minutes(cost), colab))
    return "\n".join([*lines, "", COSTS.format(**costs())])


def title(name: str) -> str:
    """Return "06 Fine-tune BERT" for the name of a notebook."""
    found = re.search(r"^# \d\d[a-z]? · (.*)$", tables.prose(SCRIPTS / f"{name}.py"), re.MULTILINE)
    return f"{tables.number_of(name)} {found[1] if found else name[3:]}"


def drawing() -> str:
    """Return the drawing of the route, for the notebooks of the map."""
    return route.svg({tables.number_of(name): title(name) for name in times.slowest_walk().notebooks}, route.ENGLISH)


def table(heading: str) -> list[list[str]]:
    """Return the first table under a heading of notebook 00, its head first."""
    return tables.table_after(START, heading)


def costs() -> dict[str, object]:
    """Return the numbers of `COSTS`."""
    slow, fast = times.slowest_walk(), times.walk_on(times.FAST)
    return {
        "profile": slow.profile, "hardware": slow.hardware, "date": slow.date, "fewer": fast.minutes, "fast_date": fast.date,
    }  # fmt: skip


def headline() -> str:
    """Return the one result that README.md states: fine-tuning beside word counts and the frozen encoder."""
    return HEADLINE.format(**headline_numbers())


def headline_numbers() -> dict[str, object]:
    """Return the numbers of `HEADLINE`; accuracies of the baselines are those of the same seeds."""
    record = json.loads(accuracies.CLAIMS.read_text(encoding="utf-8"))
    claims = {name: band["values"] for name, band in record["profiles"]["workshop"].items()}
    tuned = claims["06 fine-tuned encoder on Rotten Tomatoes, block split"]
    over_counts = claims["06 gain of fine-tuning over TF-IDF"]
    over_frozen = claims["06 gain of fine-tuning over the frozen encoder"]
    mean, (low, high) = statistics.mean(tuned), accuracies.mean_interval(over_counts)
    train = next(typical for letter, _, typical in table("The letters") if letter == "$n$").split()[0]
    return {
        "train": train, "tuned": mean, "counts": mean - statistics.mean(over_counts),
        "frozen": mean - statistics.mean(over_frozen), "gain": 100 * statistics.mean(over_counts),
        "low": 100 * low, "high": 100 * high, "seeds": len(tuned), **record["measured"],
    }  # fmt: skip


DRAWING = "docs/images/route.svg"
PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"map": course_map, "headline": headline},
    "docs/RESULTS.md": {
        "claims": accuracies.claims,
        "listing": accuracies.listing,
        "vectors": accuracies.vectors,
        "lstm": accuracies.lstm,
        "own tables": accuracies.own_tables,
    },
    "bench/RESULTS.md": {"notebooks": times.notebooks, "walks": times.walks, "speed": times.speed, "faults": times.faults},
}


def generated(page: str, text: str) -> str:
    """Return the text of a page with every generated part made anew."""
    for name, make in PAGES[page].items():
        text = tables.fill(text, name, make())
    return text


def main(arguments: list[str]) -> int:
    kept = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
    fresh = {page: generated(page, text) for page, text in kept.items()} | {DRAWING: drawing()}
    kept[DRAWING] = (ROOT / DRAWING).read_text(encoding="utf-8") if (ROOT / DRAWING).exists() else ""
    old = [page for page in fresh if fresh[page] != kept[page]]
    if "--check" in arguments:
        if old:
            print(f"Out of date: {', '.join(old)}. Type: python -m tools.results", file=sys.stderr)
        return int(bool(old))
    for page in old:
        (ROOT / page).write_text(fresh[page], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
