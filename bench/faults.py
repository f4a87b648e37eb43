"""Run the scripts of tests/faults in their long form, and keep what they say at the end in bench/results/faults.json.

    python -m bench.faults                 all of them, one after the other
    python -m bench.faults two_hosts hub   only these; of the others, what they said before is kept

A record is kept only of a script that ends, well or not. `python -m tools.results` writes the table of bench/RESULTS.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from typing import NamedTuple

from bench import records
from course_utils.device import hardware

RECORD = records.RESULTS / "faults.json"


class Form(NamedTuple):
    """The long form of a script: what it does, its argument, and how many of its last lines say what came of it."""

    what: str
    argument: str
    lines: int = 1


FORMS = {
    "killed_at_any_moment": Form("a run is killed or stopped at random moments, saving included, and resumed", "50", 3),
    "corruptions": Form("bits flipped, files truncated, deleted and swapped, tensors renamed, in all that is read", "200"),
    "pairs_of_runs": Form("pairs of runs into one folder at once; four processes that record progress at once", "8", 9),
    "disk_full": Form("the disk is full at another write each time; a place is read-only; there is no home", "12"),
    "two_hosts": Form("the cable between two hosts is cut in the middle of their job, and joined again", "10"),
    "unpacking": Form("programs that unpack the language model are killed, while others wait for it", "100"),
    "hub": Form("the hub truncates, stalls, trickles, resets, refuses, or sends other bytes", "15"),
}


def run(name: str) -> dict[str, object]:
    """Return what a script says at the end, its exit status and the day."""
    form = FORMS[name]
    command = [sys.executable, "-m", f"tests.faults.{name}", form.argument]
    done = subprocess.run(command, cwd=records.ROOT, capture_output=True, text=True)
    says = [line for line in done.stdout.splitlines() if line.strip()][-form.lines :]
    print(*says, done.stderr[-2000:] if done.returncode else "", sep="\n", flush=True)
    return {"what": form.what, "says": says, "status": done.returncode, "date": date.today().isoformat()}


def main(chosen: list[str]) -> int:
    """Run the chosen scripts, or all, keep what they say, and return 1 if one of them found a fault."""
    if unknown := sorted(set(chosen) - FORMS.keys()):
        sys.exit(f"There is no script {', '.join(unknown)}. There are: {', '.join(FORMS)}.")
    kept = json.loads(RECORD.read_text())["scripts"] if RECORD.exists() else {}
    for name in chosen or FORMS:
        kept[name] = run(name)
        records.write(RECORD, {"hardware": hardware(), "scripts": {known: kept[known] for known in FORMS if known in kept}})
    return int(any(kept[name]["status"] for name in chosen or FORMS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
