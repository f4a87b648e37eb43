"""What a fine-tuned model in a folder predicts for new texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..device import choose_device, prepare_for_bfloat16, quiet_loading
from ..prediction import predict_proba
from ..text import encode_wordpieces


def predict(folder: str | Path, texts: Sequence[str | None]) -> pd.DataFrame:
    """Return text, prediction, confidence and the probability of each class, from the model in a folder.

    A text that is None gets no prediction.

    Raises:
        ValueError: the folder contains no classifier that can be read, or there is no text.
    """
    if isinstance(texts, str):
        raise ValueError("Give a list of texts: [text] for a single one.")
    model, tokenizer = _load(folder)
    there = np.array([text is not None for text in texts])
    given = [text for text in texts if text is not None]
    shares = np.full((len(texts), model.config.num_labels), np.nan, dtype=np.float32)  # (n, C)
    shares[there] = predict_proba(model, encode_wordpieces(given, tokenizer, max_length=tokenizer.model_max_length))
    names = np.array([model.config.id2label[i] for i in range(shares.shape[1])], dtype=object)
    predicted = np.where(there, names[shares.argmax(axis=1)], None)
    frame = pd.DataFrame({"text": texts, "prediction": predicted, "confidence": shares.max(axis=1)})
    return frame.join(pd.DataFrame(shares, columns=[f"p({name})" for name in names]))


def _load(folder: str | Path) -> tuple:
    """Return model and tokenizer of a folder, the model on the best device."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    config = Path(folder) / "config.json"
    if not config.is_file() or "ForSequenceClassification" not in config.read_text(encoding="utf-8"):
        raise ValueError(f"{folder} contains no fine-tuned classifier. Make one with: course finetune")
    options = {"local_files_only": True, "use_safetensors": True, "dtype": torch.float32}
    try:
        with quiet_loading():
            model = AutoModelForSequenceClassification.from_pretrained(folder, **options)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # a damaged file ends in many kinds of error
        raise ValueError(
            f"The model in {folder} cannot be read ({type(error).__name__}). Copy or train it again."
        ) from error
    return prepare_for_bfloat16(model).to(choose_device()), tokenizer
