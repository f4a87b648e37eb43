"""Time the course's ways side by side with others, and write bench/results/speed_DEVICE_PRECISION.json.

    course bench                     every comparison but the long ones
    course bench --list              what there is, and what each answers
    course bench sentences lstm      these only; the record of the others is kept
    course bench --rounds 5          more rounds, narrower medians
    course bench --quick             tiny sizes: does it run? (writes outputs/speed_quick.json)

In each round every side trains or predicts once, on the same texts with the same seed, and the order is reversed
from one round to the next. Loading a model is not timed. Of each side the median of the rounds is kept with its
range; ratios are taken within rounds. The tokens that a side computes are counted too, padding included.
The results hold for an idle machine: close other programs first.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import records
from bench.comparisons import COMPARISONS, ONLY_IF_NAMED, QUICK, Comparison, Side, Sizes
from bench.jobs import import_what_fit_needs
from course_utils import cost, device
from course_utils.evaluation import block_interval

QUICK_RESULT = records.ROOT / "outputs" / "speed_quick.json"


@dataclass
class Measured:
    """What the rounds of one side gave."""

    seconds: list[float] = field(default_factory=list)
    tokens: int = 0  # computed, padding included
    flops: float = 0.0
    correct: list[np.ndarray] = field(default_factory=list)
    step_rates: list[float] = field(default_factory=list)  # FLOP/s of training steps, before each run


def measure(comparison: Comparison, rounds: int) -> tuple[dict[str, Measured], list[float]]:
    """Return what each side gave, and the GEMM rate (FLOP/s) measured before each round."""
    import_what_fit_needs()
    measured = {side.name: Measured() for side in comparison.sides}
    rates = []
    for number in range(rounds):
        rates.append(cost.gemm_rate())
        for side in comparison.sides if number % 2 == 0 else reversed(comparison.sides):
            measure_once(comparison, side, number, measured[side.name])
            print(f"  round {number + 1}, {side.name}: {measured[side.name].seconds[-1]:.2f} s", flush=True)
    return measured, rates


def measure_once(comparison: Comparison, side: Side, seed: int, into: Measured) -> None:
    """Prepare one run of a side, time it, and add what it gave to `into`."""
    job = side.prepare(seed)
    if job.flops and side is comparison.sides[0]:
        into.step_rates.append(cost.step_rate(job.model))
    gc.collect()
    started = time.perf_counter()
    into.tokens = job.run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    into.seconds.append(time.perf_counter() - started)
    into.flops = job.flops
    if comparison.test and job.model is not None:
        into.correct.append(comparison.test.correct(job.model))


def spread(values: Iterable[float], digits: int = 3) -> dict[str, float]:
    """Return median, lowest and highest."""
    values = list(values)
    return {name: round(f(values), digits) for name, f in (("median", statistics.median), ("low", min), ("high", max))}


def row(comparison: Comparison, side: Side, got: Measured, first: Measured, rates: list[float]) -> dict[str, Any]:
    """Return one side as it is kept in the file, beside the first side."""
    kept: dict[str, Any] = {"name": side.name, "differs": side.differs, "seconds": spread(got.seconds)}
    kept["times_first"] = spread(a / b for a, b in zip(got.seconds, first.seconds, strict=True))
    kept["tokens_per_second"] = round(comparison.tokens / statistics.median(got.seconds))
    kept["texts_per_second"] = round(comparison.texts / statistics.median(got.seconds), 1)
    kept["places"] = got.tokens  # the name that the records have had from the start
    if got.flops:
        kept["share_of_gemm"] = spread(got.flops / s / r for s, r in zip(got.seconds, rates, strict=True))
    if got.step_rates:
        predicted = [got.flops / rate for rate in got.step_rates]
        kept["foretold_over_measured"] = spread(p / s for p, s in zip(predicted, got.seconds, strict=True))
    if got.correct and comparison.test:
        mean = np.mean(got.correct, axis=0)  # (n,), over seeds
        kept["accuracy"] = asdict(block_interval(mean, comparison.test.blocks))
        gain = mean - np.mean(first.correct, axis=0)
        kept["accuracy_over_first"] = asdict(block_interval(gain, comparison.test.blocks))
    return kept


def record(comparison: Comparison, measured: dict[str, Measured], rates: list[float]) -> dict[str, Any]:
    """Return one comparison as it is kept in the file."""
    first = measured[comparison.sides[0].name]
    return {
        "question": comparison.question, "equal": comparison.equal, "trades": comparison.trades, "rounds": len(rates),
        "tokens": comparison.tokens, "texts": comparison.texts, "gemm_gflops": spread((r / 1e9 for r in rates), 1),
        "sides": [row(comparison, side, measured[side.name], first, rates) for side in comparison.sides],
        "measured": surroundings(),
    }  # fmt: skip


def surroundings() -> dict[str, str]:
    """Return where and with what a comparison was measured."""
    here = device.choose_device()
    return {
        "hardware": f"{device.hardware()}, {here.type}",
        "threads": str(torch.get_num_threads()),
        "precision": str(device.choose_precision(here)).removeprefix("torch."),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "transformers", "accelerate")},
        "commit": records.commit(short=True),
        "date": date.today().isoformat(),
    }


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="course bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which comparisons (default: all but the long ones)")
    parser.add_argument("--list", action="store_true", help="list the comparisons and stop")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round: only to see that it runs")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs (default: 3)")
    parser.add_argument("--out", type=Path, help="where to write (default: as above)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.list:
        for name, (_, says) in COMPARISONS.items():
            print(f"{name:<19} {says}")
        return 0
    if unknown := set(options.names) - set(COMPARISONS):
        parser.error(f"There is no comparison {', '.join(sorted(unknown))}. Choose from: {', '.join(COMPARISONS)}.")
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more.")
    sizes, rounds = (QUICK, 1) if options.quick else (Sizes(), options.rounds)
    out = options.out or (QUICK_RESULT if options.quick else records.RESULTS / f"speed_{device.machine_kind()}.json")
    kept = json.loads(out.read_text())["comparisons"] if out.exists() else {}
    for name in options.names or [name for name in COMPARISONS if name not in ONLY_IF_NAMED]:
        comparison = COMPARISONS[name][0](sizes)
        print(f"{name}: {comparison.question}", flush=True)
        kept[name] = record(comparison, *measure(comparison, rounds))
        ordered = {each: kept[each] for each in COMPARISONS if each in kept}
        records.write(out, {"comparisons": ordered})
    print(f"written: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
