"""What was measured in accuracies and other scores, as Markdown: the parts of docs/RESULTS.md."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from tools import times
from tools.tables import row

CLAIMS = Path(__file__).resolve().parents[1] / "course_utils" / "claims.json"


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
            notebook, _, claim = name.partition(" ")
            lines.append(row(notebook, claim, f"{statistics.mean(values):.3f}", interval, seen, allowed, profile))
    if not lines:
        return "No claim has been measured yet: `python -m bench.bands`."
    head = ("notebook", "claim", "mean", "95 % interval of the mean", "seeds", "tests accept", "profile")
    measured = "Measured on {hardware}, no GPU, {date}, by `bench/bands.py`.".format(**record["measured"])
    return "\n".join([row(*head), row(*["---"] * len(head)), *lines, "", measured])


def listing() -> str:
    """Return the table of notebook 03b's listing beside the LSTM of notebook 03."""
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


def own_tables() -> str:
    """Return the table of `course finetune` beside other tools on five small faulty tables, and the speed of predicting."""
    file = times.RESULTS / "finetune_tables.json"
    if not file.exists():
        return "Not measured yet: `python -m bench.finetune_tables tables`, then `speed`."
    record = json.loads(file.read_text(encoding="utf-8"))
    head = ("table", "with", "rows, classes", "macro F1 (95 % interval)", "tested", "seconds", "what it said of the table")
    lines = [row(*head), row("---", "---", "---", "---", "--:", "--:", "---")]
    for name, tools in record["tables"].items():
        for tool, found in tools.items():
            if "stopped" in found:
                lines.append(row(name, tool, "", "", "", "", f"stopped: {_plain(found['stopped'])}"))
                continue
            score, low, high = found["macro F1"]
            size, said = f"{found['rows']}, {found['classes']}", _plain("; ".join(found["faults"])) or "nothing"
            seconds = f"{found['processor seconds']:.0f}"
            lines.append(row(name, tool, size, f"{score:.2f} ({low:.2f} to {high:.2f})", found["test texts"], seconds, said))
    sentence = (
        "Seconds are of the processor, summed over its cores. "
        f"Measured on {record['hardware']}, by `bench/finetune_tables.py`."
    )
    if "speed" in record:
        speed = record["speed"]
        sentence += (
            f" `course predict` answers {speed['texts']:,} short texts, file to file, {speed['ratio']:.1f} times as fast as "
            f"`transformers.pipeline(batch_size=32)`; {speed['same_prediction']:.1%} of the answers are the same."
        )
    return "\n".join([*lines, "", sentence])


def _plain(text: str) -> str:
    """Return text that can stand in a cell of a table."""
    return text.replace("|", "\\|").replace("<", "&lt;")
