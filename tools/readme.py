"""Write the generated parts of README.md: the map, the symbols, the results, the listing, the speed.

    python -m tools.readme           write them
    python -m tools.readme --check   say which parts are out of date, and exit with 1 if any is

Each part stands between two comments, <!-- generated: NAME --> and <!-- end: NAME -->. Minutes come from
bench/results/notebook_times_*.json, questions and symbols from notebook 00, results from course_utils/claims.json, the
published listing from bench/results/torchtext_listing.json, speed from bench/results/speed_*.json.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
SCRIPTS = ROOT / "notebooks" / "py"
START = SCRIPTS / "00_start_here.py"


def markdown(script: Path) -> str:
    """Return the text of a percent script, without the comment signs of its Markdown cells."""
    return "\n".join(re.sub(r"^# ?", "", line) for line in script.read_text(encoding="utf-8").splitlines())


def table_after(heading: str) -> list[list[str]]:
    """Return the rows, heads left out, of the first table under a heading of notebook 00."""
    section = markdown(START).split(heading, 1)[1]
    rows = re.search(r"(?:^\|.*\|\n)+", section, re.MULTILINE)
    if rows is None:
        raise ValueError(f"{START.name} has no table under {heading!r}.")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows[0].splitlines()[2:]]


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def notebook_times(kind: str) -> dict:
    """Return what building the notebooks took on one kind of machine (device.machine_kind)."""
    return json.loads((ROOT / "bench" / "results" / f"notebook_times_{kind}.json").read_text(encoding="utf-8"))


def course_map() -> str:
    """Return the table of notebooks: what each answers, and what it costs here."""
    record, fast = (notebook_times(kind) for kind in ("cpu_float32", "cpu_bfloat16"))
    questions = {re.search(r"\((\w+)\.ipynb\)", link)[1]: question for link, question in table_after("The map")}  # type: ignore[index]
    questions[START.stem] = "What is fine-tuning, and is this machine ready?"
    lines = [
        row("notebook", "the question it answers", "minutes to run", "slowest cell", "memory"),
        row(*["---"] * 2, *["--:"] * 3),
    ]
    for name, cost in sorted(record["notebooks"].items()):
        title = re.search(r"^# \d\d · (.*)$", markdown(SCRIPTS / f"{name}.py"), re.MULTILINE)
        link = f"[{name[:2]} {title[1] if title else name[3:]}](notebooks/{name}.ipynb)"
        measured = (
            f"{cost['seconds'] / 60:.1f}",
            f"{cost['slowest_cell_seconds']:.0f} s",
            f"{cost['peak_mib'] / 1024:.1f} GiB",
        )
        lines.append(row(link, questions.get(name, ""), *measured))
    minutes, fewer = (sum(cost["seconds"] for cost in each["notebooks"].values()) / 60 for each in (record, fast))
    measured_on = f"Measured in the `{record['profile']}` profile on {record['hardware']}, no GPU, {record['date']}; "
    return "\n".join(
        [
            *lines,
            "",
            f"{measured_on}all of it runs in {minutes:.1f} minutes, and in {fewer:.1f} where the "
            f"processor multiplies bfloat16 ({fast['date']}; `course doctor` says which yours does). "
            "Reading and playing take longer. Memory is what a notebook holds for itself, library files left out.",
        ]
    )


def symbols() -> str:
    """Return notebook 00's table of letters."""
    return "\n".join(
        [row("letter", "stands for", "here typically"), row(*["---"] * 3), *(row(*r) for r in table_after("The letters"))]
    )


def results() -> str:
    """Return the table of training claims with the band each is held to."""
    record = json.loads((ROOT / "course_utils" / "claims.json").read_text(encoding="utf-8"))
    lines = []
    for profile, bands in record["profiles"].items():
        for name, band in bands.items():
            values, seeds = band["values"], band.get("seeds", [])
            mean = sum(values) / len(values)
            seen = f"{len(values)}" + (f" ({seeds[0]} to {seeds[-1]})" if seeds else "")
            lines.append(row(name[:2], name[3:], f"{mean:.3f}", f"{band['low']:.3f} to {band['high']:.3f}", seen, profile))
    if not lines:
        return "No band has been measured yet."
    head = ("notebook", "claim", "mean", "band", "seeds", "profile")
    measured = "Measured on {hardware}, no GPU, {date}, by `bench/bands.py`.".format(**record["measured"])
    return "\n".join([row(*head), row(*["---"] * len(head)), *lines, "", measured])


def with_range(value: dict[str, float], *, percent: bool = False) -> str:
    """Return a median with the lowest and the highest of the rounds: 1.50 (1.42 to 1.61)."""
    median, low, high = (f"{value[key]:.0%}" if percent else f"{value[key]:.2f}" for key in ("median", "low", "high"))
    return f"{median} ({low} to {high})"


def listing() -> str:
    """Return the table of notebook 04's listing beside the LSTM of notebook 03."""
    file = ROOT / "bench" / "results" / "torchtext_listing.json"
    if not file.exists():
        return "Not measured yet: `python -m bench.torchtext_listing`."
    record = json.loads(file.read_text(encoding="utf-8"))
    times, accuracy = record["time"], record["accuracy"]
    lines = [row("", "seconds an epoch", "test accuracy", "torch"), row("---", "--:", "--:", "--:")]
    for side, name in (("listing", "the listing, repaired"), ("course", "the LSTM of notebook 03")):
        score = accuracy[side]
        tested = f"{score['accuracy']:.3f} ({score['low']:.3f} to {score['high']:.3f})"
        lines.append(row(name, f"{times[side]['epoch_seconds']:.0f}", tested, times[side]["torch"].partition("+")[0]))
    faster, gain = times["times_faster"], accuracy["course_minus_listing"]
    rounds = len(times["course"]["epoch_seconds_of_rounds"])
    sentence = (
        f"An epoch of all training reviews is {faster['median']:.0f} times faster (at least {faster['lowest']:.0f} in "
        f"{rounds} rounds). After {accuracy['epochs']} epochs of the same {accuracy['train_reviews']:,} reviews the LSTM is "
        f"{100 * gain['difference']:.1f} points more accurate ({100 * gain['low']:.1f} to {100 * gain['high']:.1f}). "
        f"Measured on {times['hardware']}, {times['date']}, by `bench/torchtext_listing.py`."
    )
    return "\n".join([*lines, "", sentence])


def vectors() -> str:
    """Return what word vectors made from the reviews are worth to the LSTM."""
    file = ROOT / "bench" / "results" / "word_vectors.json"
    if not file.exists():
        return "Not measured yet: `python -m bench.word_vectors`."
    record = json.loads(file.read_text(encoding="utf-8"))
    start, plain = (f"{statistics.mean(record['accuracy'][side]):.3f}" for side in ("with vectors", "without"))
    gain = "{mean:.1f} points ({low:.1f} to {high:.1f})".format(**{k: 100 * v for k, v in record["gain"].items()})
    return (
        f"Trained on {record['train_reviews']:,} reviews for {record['epochs']} epochs, the LSTM reaches {start} where its "
        f"embedding starts from word vectors that `text.ppmi_vectors` makes from all training reviews, and {plain} where it "
        f"starts from random numbers. The gain over {record['seeds']} seeds is {gain}. Measured on {record['hardware']}, "
        f"no GPU, {record['date']}, by `bench/word_vectors.py`."
    )


def lstm() -> str:
    """Return how far an LSTM of two directions gets with some minutes more."""
    file = ROOT / "bench" / "results" / "lstm_full.json"
    if not file.exists():
        return "Not measured yet: `python -m bench.lstm_full`."
    record = json.loads(file.read_text(encoding="utf-8"))
    seeds, minutes = record["accuracy"], [seconds / 60 for seconds in record["seconds"]]
    gap = {key: f"{100 * value:+.1f}" for key, value in record["over_word_counts"].items()}
    return (
        f"Trained on {record['train_reviews']:,} reviews for {record['num_epochs']} epochs, an LSTM of two directions that "
        f"reads {record['max_tokens']} words, {record['word_dropout']:.0%} of them as unknown while it trains, reaches "
        "{estimate:.3f} ({low:.3f} to {high:.3f}) ".format(**record["mean"])
        + f"on the test part; its {len(seeds)} seeds lie between {min(seeds):.3f} and {max(seeds):.3f}. That is "
        f"{gap['estimate']} points ({gap['low']} to {gap['high']}) from TF-IDF with logistic "
        f"regression on whole reviews. A run takes "
        f"{min(minutes):.1f} to {max(minutes):.1f} minutes with {record['threads']} thread. Measured on "
        f"{record['hardware']}, no GPU, {record['date']}, by `bench/lstm_full.py`."
    )


def speed() -> str:
    """Return what `course bench` measured, a table for each kind of machine; all after the first are folded."""
    files = sorted((ROOT / "bench" / "results").glob("speed_*.json"))
    if not files:
        return "No speed has been measured yet: `course bench`."
    first, *others = (speed_table(json.loads(file.read_text(encoding="utf-8"))["comparisons"].values()) for file in files)
    kinds = [file.stem.removeprefix("speed_").replace("_", ", ") for file in files[1:]]
    folded = (fold(f"The same on another kind of machine: {kind}", table) for kind, table in zip(kinds, others, strict=True))
    walks = [walk(file) for file in sorted((ROOT / "bench" / "results").glob("walk_*.json"))]
    return "\n\n".join([first, *walks, *folded])


def walk(file: Path) -> str:
    """Return how long notebooks take with every choice of the course off, beside what they take as they are."""
    record = json.loads(file.read_text(encoding="utf-8"))
    off, on = (sum(times[name] for times in record["notebooks"].values()) / 60 for name in ("off", "as it is"))
    numbers = ", ".join(name[:2] for name in record["notebooks"])
    return (
        f"With every choice off (float32, random batches, dropout, a whole last layer, AdamW in small kernels) notebooks "
        f"{numbers} take {off:.1f} minutes in place of {on:.1f}, {off / on:.1f} times as long ({record['hardware']}, "
        f"{file.stem.removeprefix('walk_').replace('_', ', ')}, {record['date']}, one run each, by `bench/walk.py`)."
    )


def fold(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{text}\n\n</details>"


def speed_table(comparisons) -> str:
    """Return one record of `course bench`: each rival beside the course's way, and what the comparison rests on."""
    head = ("the question", "the course", "against", "what differs", "times as long (range)")
    lines = [row(*head), row(*["---"] * 4, "--:")]
    for comparison in comparisons:
        ours, *rivals = comparison["sides"]
        first = f"{ours['name']}: {ours['seconds']['median']:.1f} s, {ours['tokens_per_second']:,} tokens/s"
        first += f", accuracy {ours['accuracy']['estimate']:.3f}" if "accuracy" in ours else ""
        for number, rival in enumerate(rivals):
            scored = ""
            if "accuracy" in rival:
                more, low, high = (100 * rival["accuracy_over_first"][key] for key in ("estimate", "low", "high"))
                scored = f"; accuracy {rival['accuracy']['estimate']:.3f}, {more:+.1f} points ({low:+.1f} to {high:+.1f})"
            lead = (comparison["question"], first) if number == 0 else ("", "")
            lines.append(row(*lead, rival["name"], rival["differs"] + scored, with_range(rival["times_first"])))
    notes = [f"- {' '.join([c['question'], 'Alike:', c['equal'] + '.', 'Traded:', c['trades']])}" for c in comparisons]
    foretold = [(c["question"], c["sides"][0]) for c in comparisons if "share_of_gemm" in c["sides"][0]]
    reached = [
        f"- {question} The step reached {with_range(side['share_of_gemm'], percent=True)} of the rate of a product of "
        "2,048 x 2,048 matrices"
        + (
            f"; the seconds foretold from three steps of 32 x 32 tokens were {with_range(side['foretold_over_measured'])} "
            "times those measured."
            if "foretold_over_measured" in side
            else "."
        )
        for question, side in foretold
    ]
    runs = [comparison["measured"] for comparison in comparisons]
    places = "; ".join(
        sorted({"{hardware}, {precision}, torch {torch}, transformers {transformers}".format(**run) for run in runs})
    )
    commits = ", ".join(sorted({f"{run['commit']} ({run['date']})" for run in runs}))
    rounds = sorted({str(c["rounds"]) for c in comparisons})
    measured = f"Medians and ranges of {' or '.join(rounds)} rounds, sides in turn, on {places}; commits {commits}."
    return "\n".join([*lines, "", measured, "", fold("What each comparison rests on", "\n".join([*notes, *reached]))])


PARTS = {
    "map": course_map,
    "symbols": symbols,
    "results": results,
    "listing": listing,
    "vectors": vectors,
    "lstm": lstm,
    "speed": speed,
}


def generated(text: str) -> str:
    """Return `text` with every generated part made anew.

    Raises:
        ValueError: a part's pair of comments is missing.
    """
    for name, make in PARTS.items():
        begins, ends = f"<!-- generated: {name} -->\n", f"\n<!-- end: {name} -->"
        if text.count(begins) != 1 or text.count(ends) != 1:
            raise ValueError(f"README.md needs one pair of comments 'generated: {name}' and 'end: {name}'.")
        before, rest = text.split(begins)
        text = before + begins + make() + ends + rest.split(ends)[1]
    return text


def main(arguments: list[str]) -> int:
    text = README.read_text(encoding="utf-8")
    fresh = generated(text)
    if "--check" in arguments:
        if fresh != text:
            print("README.md is out of date: python -m tools.readme", file=sys.stderr)
        return int(fresh != text)
    README.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
