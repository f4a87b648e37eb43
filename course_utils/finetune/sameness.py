"""When two texts or two labels are the same: equal but for case, spaces and codes of letters, or nearly equal."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter

import numpy as np
import pandas as pd

from ..tables import Fault, shown
from ..tables.shape import is_number

ENOUGH = 3  # different near-copies of a class that it must have left, one for each part, if they are to stay together
_NO_WIDTH = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|\S{1,80}@\S+")
_TRUTHS = {"true": "1.0", "false": "0.0"}
_LIKE_LATIN = str.maketrans("аеорсухіѕјԁԛԝαορνι", "aeopcyxisjdqwaopvi")  # Cyrillic and Greek letters that look the same


def normalise(text: str) -> str:
    """Return `text` in lower case with single spaces: texts that are equal after this count as the same.

    Letters that differ in their code alone are the same too (NFKC: full-width, ligatures, accents in one sign or in two),
    and signs that have no width are none.
    """
    plain = unicodedata.normalize("NFKC", text)
    if not plain.isascii():
        plain = unicodedata.normalize("NFKC", _NO_WIDTH.sub("", plain))
    return " ".join(plain.casefold().split())


def near_key(text: str) -> str:
    """Return what near-copies share: words in lower case without addresses, numbers and punctuation, if any are left."""
    same = normalise(text)
    letters = re.sub(r"\d+", "0", _ADDRESS.sub(" ", same))
    return " ".join(re.findall(r"\w+", letters)) or same


def blocks_of(texts: pd.Series, labels: pd.Series) -> tuple[np.ndarray, list[Fault]]:
    """Return int64 (n,), equal for texts that must stay in one part of a split, and what there is to say about them.

    Copies stay together, and so do near-copies of one label, unless that would leave a label with hardly any different
    texts: then what distinguishes them may be all there is to learn.
    """
    same, near = texts.map(normalise), texts.map(near_key)
    frame = pd.DataFrame({"same": same, "near": near, "label": labels})
    left = frame.groupby("label")["near"].transform("nunique") >= ENOUGH
    unit = np.where(left, frame["near"] + "\n" + frame["label"], frame["same"])
    _, first = np.unique(same, return_index=True)
    different = frame.iloc[np.sort(first)]
    copies = int(different.duplicated(["near", "label"]).sum())
    kept = "" if left.all() else " of the larger classes"
    says = (
        f"differ from another text only in numbers, addresses or punctuation; those{kept} are kept in one part of the split"
    )
    if not left.any():
        says = "differ from another text only in numbers, addresses or punctuation; scores may be too good"
    return pd.factorize(pd.Series(unit))[0].astype(np.int64), [Fault("near-copies", copies, says)] if copies else []


def one_spelling(labels: pd.Series) -> tuple[pd.Series, list[Fault]]:
    """Return labels that are the same in their most frequent spelling, and the faults that there are some, or look-alikes.

    The same are labels that differ by case, spaces, codes of letters, or a full stop at the end; numbers of one value; and,
    if a column contains nothing else, true and 1, false and 0.
    """
    values = {*labels} - {""}
    truths = {normalise(value) for value in values} <= {*_TRUTHS, "0", "1", "0.0", "1.0"}
    spelt = labels.map({value: _label_key(value, truths=truths) for value in values} | {"": ""})
    counts = pd.DataFrame({"label": labels, "spelt": spelt}).value_counts().reset_index()
    most = counts.sort_values(["count", "label"], ascending=[False, True]).drop_duplicates("spelt")
    spelling = dict(zip(most["spelt"], most["label"], strict=True))
    others = sorted(values - {*spelling.values()})
    named = [f"{shown(label)} as {shown(spelling[_label_key(label, truths=truths)])}" for label in others[:8]]
    faults = [Fault("spellings of a label", len(others), f"read {', '.join(named)}")] if others else []
    return spelt.map(spelling), faults


def look_alikes(names: tuple[str, ...]) -> list[Fault]:
    """Return the fault that names of classes differ by a letter or two, or by letters that look the same, if some do."""
    keys = [re.sub(r"[\W_]+", "", normalise(name)).translate(_LIKE_LATIN) for name in names]
    pairs = []
    for i, first in enumerate(keys):
        for j in range(i):
            words = min(len(first), len(keys[j])) >= 5 and not re.search(r"\d", first + keys[j])
            match = difflib.SequenceMatcher(None, keys[j][:80], first[:80])
            if (first and first == keys[j]) or (words and match.quick_ratio() > 0.85 and match.ratio() > 0.85):
                pairs.append(f"{shown(names[j])} and {shown(names[i])}")
    says = f"{'; '.join(pairs[:5])}. If two names mean one class, write one of them in the table"
    return [Fault("labels that look alike", len(pairs), says)] if pairs else []


def _label_key(label: str, *, truths: bool) -> str:
    key = normalise(label)
    if is_number(key):
        key = repr(float(key))
    elif truths:
        key = _TRUTHS.get(key, key)
    return re.sub(r"(?<=\w)[.,;:!]+$", "", key)


def repeated(texts: tuple[str, ...]) -> int:
    """Return how many texts are the same as an earlier one."""
    return sum(number - 1 for number in Counter(map(normalise, texts)).values())
