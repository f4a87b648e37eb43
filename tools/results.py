"""Write the generated parts of README.md, docs/RESULTS.md (accuracies) and bench/RESULTS.md (times and memory).

    python -m tools.results           write them
    python -m tools.results --check   say which pages are out of date, and exit with 1 if any is

Each part is between two comments, <!-- generated: NAME --> and <!-- end: NAME -->. Questions and letters come from
notebook 00, claims from course_utils/claims.json, all else from bench/results. No number is typed by hand.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from tools import tables, times
from tools.tables import row

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "notebooks" / "py"
START = SCRIPTS / "00_start_here.py"
CLAIMS = ROOT / "course_utils" / "claims.json"
HEADLINE = (
    "Fine-tuned on {train} film-review sentences, the small BERT of this course classifies **{tuned:.1%}** of the test "
    "sentences correctly. Word counts with logistic regression reach {counts:.1%}, and the same BERT left frozen "
    "{frozen:.1%}. The gain over word counts is {gain:.1f} points (95 % interval of the mean of {seeds} seeds: "
    "{low:.1f} to {high:.1f}). Measured on {hardware}, no GPU, {date}."
)
COSTS = (
    "Measured in the `{profile}` profile on {hardware}, no GPU, {date}; all of it runs in {minutes:.1f} minutes, and in "
    "{fewer:.1f} where the processor multiplies bfloat16 ({fast_date}; `course doctor` says which yours does). Reading and "
    "playing take longer."
)


# --- README.md


def course_map() -> str:
    """Return the table of notebooks: the question each answers, and its minutes here."""
    questions = {re.search(r"\((\w+)\.ipynb\)", link)[1]: question for link, question in table("The map")[1:]}  # type: ignore[index]
    questions[START.stem] = "What is fine-tuning, and is this machine ready?"
    lines = [row("notebook", "the question it answers", "minutes"), row("---", "---", "--:")]
    for name, cost in times.walk_on(times.SLOW).notebooks.items():
        title = re.search(r"^# \d\d · (.*)$", tables.prose(SCRIPTS / f"{name}.py"), re.MULTILINE)
        link = f"[{name[:2]} {title[1] if title else name[3:]}](notebooks/{name}.ipynb)"
        lines.append(row(link, questions.get(name, ""), f"{cost['seconds'] / 60:.1f}"))
    return "\n".join([*lines, "", COSTS.format(**costs())])


def table(heading: str) -> list[list[str]]:
    """Return the first table under a heading of notebook 00, its head first."""
    return tables.table_after(START, heading)


def costs() -> dict[str, object]:
    """Return the numbers of `COSTS`."""
    slow, fast = times.walk_on(times.SLOW), times.walk_on(times.FAST)
    return {
        "profile": slow.profile, "hardware": slow.hardware, "date": slow.date, "minutes": slow.minutes,
        "fewer": fast.minutes, "fast_date": fast.date,
    }  # fmt: skip


def symbols() -> str:
    """Return notebook 00's table of letters."""
    lines = [row(*cells) for cells in table("The letters")[1:]]
    return "\n".join([row("letter", "stands for", "here typically"), row(*["---"] * 3), *lines])


def headline() -> str:
    """Return the one result that README.md states: fine-tuning beside word counts and the frozen encoder."""
    return HEADLINE.format(**headline_numbers())


def headline_numbers() -> dict[str, object]:
    """Return the numbers of `HEADLINE`; accuracies of the baselines are those of the same seeds."""
    record = json.loads(CLAIMS.read_text(encoding="utf-8"))
    claims = {name: band["values"] for name, band in record["profiles"]["workshop"].items()}
    tuned = claims["06 fine-tuned encoder on Rotten Tomatoes, block split"]
    over_counts = claims["06 gain of fine-tuning over TF-IDF"]
    over_frozen = claims["06 gain of fine-tuning over the frozen encoder"]
    mean, (low, high) = statistics.mean(tuned), mean_interval(over_counts)
    train = next(typical for letter, _, typical in table("The letters") if letter == "$n$").split()[0]
    return {
        "train": train, "tuned": mean, "counts": mean - statistics.mean(over_counts),
        "frozen": mean - statistics.mean(over_frozen), "gain": 100 * statistics.mean(over_counts),
        "low": 100 * low, "high": 100 * high, "seeds": len(tuned), **record["measured"],
    }  # fmt: skip


# --- docs/RESULTS.md


def mean_interval(values: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean over seeds (Student's t, n - 1 degrees of freedom)."""
    from scipy import stats

    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return statistics.mean(values) - half, statistics.mean(values) + half


def claims() -> str:
    """Return the table of training claims: mean, interval of the mean, and the tolerance that tests allow a run."""
    record = json.loads(CLAIMS.read_text(encoding="utf-8"))
    lines = []
    for profile, bands in record["profiles"].items():
        for name, band in bands.items():
            values, seeds = band["values"], band.get("seeds", [])
            (low, high), seen = mean_interval(values), f"{len(values)}" + (f" ({seeds[0]} to {seeds[-1]})" if seeds else "")
            interval, allowed = f"{low:.3f} to {high:.3f}", f"{band['low']:.3f} to {band['high']:.3f}"
            lines.append(row(name[:2], name[3:], f"{statistics.mean(values):.3f}", interval, seen, allowed, profile))
    if not lines:
        return "No claim has been measured yet: `python -m bench.bands`."
    head = ("notebook", "claim", "mean", "95 % interval of the mean", "seeds", "tests accept", "profile")
    measured = "Measured on {hardware}, no GPU, {date}, by `bench/bands.py`.".format(**record["measured"])
    return "\n".join([row(*head), row(*["---"] * len(head)), *lines, "", measured])


def listing() -> str:
    """Return the table of notebook 04's listing beside the LSTM of notebook 03."""
    file = times.RESULTS / "torchtext_listing.json"
    if not file.exists():
        return "Not measured yet: `python -m bench.torchtext_listing`."
    record = json.loads(file.read_text(encoding="utf-8"))
    seconds, accuracy = record["time"], record["accuracy"]
    lines = [row("", "seconds an epoch", "test accuracy", "torch"), row("---", "--:", "--:", "--:")]
    for side, name in (("listing", "the listing, repaired"), ("course", "the LSTM of notebook 03")):
        score = accuracy[side]
        tested = f"{score['accuracy']:.3f} ({score['low']:.3f} to {score['high']:.3f})"
        lines.append(row(name, f"{seconds[side]['epoch_seconds']:.0f}", tested, seconds[side]["torch"].partition("+")[0]))
    faster, gain = seconds["times_faster"], accuracy["course_minus_listing"]
    rounds = len(seconds["course"]["epoch_seconds_of_rounds"])
    sentence = (
        f"An epoch of all training reviews is {faster['median']:.0f} times faster (at least {faster['lowest']:.0f} in "
        f"{rounds} rounds). After {accuracy['epochs']} epochs of the same {accuracy['train_reviews']:,} reviews the LSTM is "
        f"{100 * gain['difference']:.1f} points more accurate ({100 * gain['low']:.1f} to {100 * gain['high']:.1f}). "
        f"Measured on {seconds['hardware']}, {seconds['date']}, by `bench/torchtext_listing.py`."
    )
    return "\n".join([*lines, "", sentence])


def vectors() -> str:
    """Return what word vectors made from the reviews are worth to the LSTM."""
    file = times.RESULTS / "word_vectors.json"
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
    file = times.RESULTS / "lstm_full.json"
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


# --- the pages

PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"map": course_map, "headline": headline, "symbols": symbols},
    "docs/RESULTS.md": {"claims": claims, "listing": listing, "vectors": vectors, "lstm": lstm},
    "bench/RESULTS.md": {"notebooks": times.notebooks, "walks": times.walks, "speed": times.speed},
}


def generated(page: str, text: str) -> str:
    """Return the text of a page with every generated part made anew."""
    for name, make in PAGES[page].items():
        text = tables.fill(text, name, make())
    return text


def main(arguments: list[str]) -> int:
    kept = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
    fresh = {page: generated(page, text) for page, text in kept.items()}
    old = [page for page in PAGES if fresh[page] != kept[page]]
    if "--check" in arguments:
        if old:
            print(f"Out of date: {', '.join(old)}. Type: python -m tools.results", file=sys.stderr)
        return int(bool(old))
    for page in old:
        (ROOT / page).write_text(fresh[page], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
