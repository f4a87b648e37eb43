"""Run notebooks as they are and with every choice of the course off, and write bench/results/walk_DEVICE_PRECISION.json.

    python -m bench.walk          the notebooks that fine-tune at length (a quarter of an hour)
    python -m bench.walk 06 08    these

"Off" means: products in float32, random batches, dropout of 0.1 in the pretrained model (but for notebook 06, which loads
it with plain transformers and says itself that dropout is off), and models as transformers makes them
(`COURSE_PLAIN_MODELS=1`). Frozen layers and their caches stay, since they are what the notebooks teach. Claims
are not checked in the run that is off. The results hold for an idle machine.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import date
from pathlib import Path

import nbformat

from bench import records
from course_utils import device
from tools import notebooks

OFF = """\
import os
import torch
from course_utils import batching, device, pretrained

os.environ["COURSE_PLAIN_MODELS"] = "1"
device.has_fast_bfloat16 = torch.cuda.is_bf16_supported = lambda: False
batching.make_batches.__kwdefaults__["bucketed"] = False
pretrained.load_classifier.__kwdefaults__["dropout"] = 0.1
"""


def seconds(script: Path, *, off: bool) -> float:
    """Return how long a notebook takes, the start of its kernel included."""
    notebook = notebooks.read(script)
    if off:
        notebook.cells.insert(2, nbformat.v4.new_code_cell(OFF))
    cost = notebooks.execute(notebook, allow_errors=off)
    errors = [output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"]
    for error in errors:
        print(f"  {script.stem}: {error.ename}: {error.evalue[:100]}", flush=True)
    return cost["seconds"]


def main(chosen: list[str]) -> None:
    os.environ["COURSE_PROFILE"] = "workshop"
    out = records.RESULTS / f"walk_{device.machine_kind()}.json"
    kept = json.loads(out.read_text(encoding="utf-8"))["notebooks"] if out.exists() else {}
    for script in notebooks.scripts(chosen or ["06", "08", "10", "13"]):
        kept[script.stem] = {name: seconds(script, off=name == "off") for name in ("off", "as it is")}
        print(script.stem, kept[script.stem], flush=True)
        record = {"notebooks": kept, "hardware": device.hardware(), "date": date.today().isoformat()}
        records.write(out, record)


if __name__ == "__main__":
    main(sys.argv[1:])
