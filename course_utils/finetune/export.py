"""A fine-tuned model for other programs than torch."""

from __future__ import annotations

import copy
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..batching import collate
from ..text import encode_wordpieces
from .judgement import Run


def check_export(export: str | None) -> None:
    """Make sure that a model can be exported, before it is trained.

    Raises:
        ValueError: a format that there is not, or packages that are missing; the message says what to type.
    """
    if export not in (None, "onnx"):
        raise ValueError(f"There is no export {export!r}. Choose onnx.")
    missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if export and not find_spec(name)]
    if missing:
        raise ValueError(f"--export onnx needs packages that are not here. Type: pip install {' '.join(missing)}")


def write_onnx(run: Run, path: Path) -> None:
    """Write a model for ONNX Runtime: input_ids and attention_mask int64 (B, T) to logits float32 (B, C).

    Raises:
        ValueError: what was written computes something else than the model.
    """
    import onnxruntime

    texts = encode_wordpieces(list(run.splits.test.texts[:2]), run.tokenizer, max_length=run.max_length)
    example, model = collate([texts[0], texts[1]]), copy.deepcopy(run.model).cpu().eval()
    options: dict[str, Any] = {
        "input_names": [*example],
        "output_names": ["logits"],
        "external_data": False,
        "verbose": False,
    }
    changing = {name: dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC) for name in example}  # B and T
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # else it lists what it misses for pictures
    torch.onnx.export(model, f=str(path), kwargs=example, dynamic_shapes=changing, **options)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    asked = {name: tensor.numpy() for name, tensor in example.items()}
    with torch.no_grad():
        wanted = model(**example).logits.numpy()
    if not np.allclose(session.run(["logits"], asked)[0], wanted, atol=1e-3):
        raise ValueError("The exported model computes something else than the trained one. Leave --export away.")
