"""Whether a checkpoint can read the texts of a table: tokens that it does not know, and texts longer than it reads."""

from __future__ import annotations

import unicodedata
from collections import Counter

import numpy as np

from ..batching import TokenDataset
from ..data import Reviews
from ..tables import Fault
from ..text import encode_wordpieces

MANY = 0.1  # unknown tokens: with more of them a model reads gaps
SEVERAL_LANGUAGES = "distilbert/distilbert-base-multilingual-cased"
EMOJI = "FacebookAI/xlm-roberta-base"  # its tokenizer has pieces for them
CHECKPOINTS = {"CJK": "google-bert/bert-base-chinese"}  # by the script that most letters of a table have


def truncated_texts(reviews: Reviews, tokenizer, *, max_length: int) -> list[Fault]:
    """Return the fault that texts have more than `max_length` word pieces and so lose their end, or an empty list."""
    return _truncated(encode_wordpieces(reviews, tokenizer, max_length=1_000_000_000), max_length)


def _truncated(encoded: TokenDataset, max_length: int) -> list[Fault]:
    truncated, longest = int((encoded.lengths > max_length).sum()), encoded.lengths.max()
    says = f"lose their end at {max_length} word pieces; the longest has {longest}"
    return [Fault("truncated texts", truncated, says)] if truncated else []


def examine(reviews: Reviews, tokenizer, *, max_length: int, english: bool) -> list[Fault]:
    """Return the faults that texts are truncated, or that the checkpoint cannot read them, with one that can.

    Args:
        english: whether the checkpoint was trained on English alone, so that it knows single letters of others at most.
    """
    encoded = encode_wordpieces(reviews, tokenizer, max_length=1_000_000_000)
    unknown = np.concatenate(encoded.input_ids) == (-1 if tokenizer.unk_token_id is None else tokenizer.unk_token_id)
    share = unknown.sum() / max(len(unknown) - 2 * len(reviews), 1)  # without [CLS] and [SEP]
    letters = scripts(reviews.texts)
    (script, number), *_ = [*(pair for pair in letters.most_common() if pair[0] != "LATIN"), ("LATIN", 0)]
    foreign = english and number > 0.5 * letters.total()
    faults = _truncated(encoded, max_length)
    if share > MANY or foreign:
        says = f"{share:.0%} of the tokens of these texts are unknown ({tokenizer.unk_token}) to this checkpoint"
        most = script if script == "CJK" else script.capitalize()
        says += f", which is for English, and most letters are {most}" * foreign
        otherwise = EMOJI if not letters else "embedded" if script == "LATIN" and not english else SEVERAL_LANGUAGES
        says += f". Try: --model {CHECKPOINTS.get(script, otherwise)}"
        faults.append(Fault("unknown tokens", int(unknown.sum()), says))
    return faults


def scripts(texts: tuple[str, ...]) -> Counter[str]:
    """Return how many letters of some texts belong to each script, by the first word of Unicode's names ("LATIN", "CJK")."""
    letters = Counter(letter for text in texts for letter in text[:1_000] if letter.isalpha())
    found: Counter[str] = Counter()
    for letter, number in letters.items():
        found[unicodedata.name(letter, "?").split()[0]] += number
    if kana := found.pop("HIRAGANA", 0) + found.pop("KATAKANA", 0):  # Japanese has signs of Chinese too
        found["JAPANESE"] = kana + found.pop("CJK", 0)
    return found
