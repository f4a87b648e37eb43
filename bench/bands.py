"""Measure the tolerances (bands) that training claims are held to in tests, and keep them in course_utils/claims.json.

    python -m bench.bands 03 06              run these notebooks for seeds 0 to 4 and make their tolerances
    python -m bench.bands 03 --seeds 5 6 7   more seeds, added to those measured before

Every `claims.check_claim(name, value)` that a notebook reaches is recorded, seed by seed, in
bench/results/band_values.jsonl; a tolerance is made from all values of a claim (`make_band`). The seconds that
`claims.compare_run` gets are recorded too, and kept if the run had the machine to itself (one job).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy import stats

from bench import records
from course_utils.device import hardware
from tools import notebooks

VALUES = records.RESULTS / "band_values.jsonl"
BANDS = records.ROOT / "course_utils" / "claims.json"


def record(number: str, seed: int) -> None:
    """Run one notebook with one seed; its claims are appended to the file of values."""
    os.environ |= {"COURSE_PROFILE": "workshop", "COURSE_SEED": str(seed), "COURSE_RECORD_CLAIMS": str(VALUES)}
    (script,) = notebooks.scripts([number])
    with tempfile.TemporaryDirectory() as folder:  # seeds may run side by side, and would share their outputs
        cost = notebooks.execute(notebooks.read(script), folder=Path(folder))
    print(f"{script.stem}, seed {seed}: {cost['seconds']} s", flush=True)


def attempt(run: tuple[str, int]) -> str | None:
    """Record one run and return what went wrong, so that one failure does not lose the others."""
    try:
        record(*run)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[-600:]}"
    return None


def recorded() -> list[dict]:
    """Return the lines recorded so far."""
    return [json.loads(line) for line in VALUES.read_text().splitlines()] if VALUES.exists() else []


def keep(lines: list[dict]) -> None:
    """Write these lines in place of those recorded so far."""
    VALUES.parent.mkdir(parents=True, exist_ok=True)
    VALUES.write_text("".join(json.dumps(line) + "\n" for line in lines))


def is_of(line: dict, runs: list[tuple[str, int]]) -> bool:
    """Return whether a line was recorded by one of these runs (notebook, seed)."""
    return any(line["name"].split()[0] == number and line["seed"] == seed for number, seed in runs)


def forget(runs: list[tuple[str, int]]) -> None:
    """Drop what was recorded by these runs before, so that a run repeated counts once."""
    keep([line for line in recorded() if not is_of(line, runs)])


def forget_times(runs: list[tuple[str, int]]) -> None:
    """Drop the seconds of runs that shared the cores: on an idle machine they would be shorter."""
    lines = recorded()
    for line in lines:
        if is_of(line, runs):
            line.pop("seconds", None)
    keep(lines)


def make_band(values: list[float], *, smallest: float = 0.005) -> tuple[float, float]:
    """Return (low, high): where the next run should fall, from the values of at least five seeds.

    A 99 % prediction interval, mean +- t(n - 1) * s * sqrt(1 + 1 / n), but never narrower than
    +- `smallest`. Source: Hahn and Meeker, 1991, section 4.7.
    """
    if len(values) < 5:
        raise ValueError(f"A band needs at least 5 seeds, not {len(values)}.")
    spread = stats.t.ppf(0.995, len(values) - 1) * np.std(values, ddof=1) * np.sqrt(1 + 1 / len(values))
    half, centre = max(float(spread), smallest), float(np.mean(values))
    return round(centre - half, 4), round(centre + half, 4)


def make() -> None:
    """Write claims.json from the recorded values; a claim with fewer than five seeds gets no tolerance."""
    claims: dict[str, dict[int, dict]] = defaultdict(lambda: defaultdict(dict))
    for line in recorded():
        claims[line["name"]][line["seed"]] |= line
    bands = {}
    for name, by_seed in sorted(claims.items()):
        if len(by_seed) < 5:
            print(f"{name}: only {len(by_seed)} seeds, no tolerance")
            continue
        seeds = sorted(by_seed)
        values = [round(by_seed[seed]["value"], 4) for seed in seeds]
        seconds = [round(by_seed[seed]["seconds"], 1) for seed in seeds if "seconds" in by_seed[seed]]
        low, high = make_band(values)
        bands[name] = {"low": low, "high": high, "values": values, "seeds": seeds} | (
            {"seconds": seconds} if seconds else {}
        )
        print(f"{name}: {low} to {high} from {values}")
    measured = {"date": date.today().isoformat(), "hardware": hardware()}
    records.write(BANDS, {"measured": measured, "profiles": {"workshop": bands}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", help="numbers, such as 03 06; none only makes the tolerances anew")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side; the cores are shared among them")
    options = parser.parse_args()
    runs = [(number, seed) for number in options.notebooks for seed in options.seeds]
    forget(runs)
    if options.jobs > 1:
        os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // options.jobs))
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        failures = [(run, error) for run, error in zip(runs, pool.map(attempt, runs), strict=True) if error]
    if options.jobs > 1:
        forget_times(runs)
    make()
    sys.exit("\n".join(f"notebook {run[0]}, seed {run[1]}: {error}" for run, error in failures) or None)


if __name__ == "__main__":
    main()
