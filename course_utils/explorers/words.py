"""Which words mattered, of notebook 06: the same sentence for several models, each word by what its absence changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from .. import plots
from .page import Page, page


def occlusion_effects(score: Callable[[list[str]], Sequence[float]], words: Sequence[str]) -> np.ndarray:
    """Return how much each word adds to a score, float (T,): that of the sentence, minus that of it without the word.

    Args:
        score: takes sentences and gives a number for each, such as the logit of positive minus negative.
    """
    without = [" ".join([*words[:i], *words[i + 1 :]]) for i in range(len(words))]
    whole, *others = score([" ".join(words), *without])
    return float(whole) - np.array(others, dtype=float)


def words_explorer(sentences: Mapping[str, Mapping[str, Sequence[float]]]) -> Page:
    """Return sentences to choose, each with the effect of its words on several models, underlined with its sign.

    Args:
        sentences: for each sentence, whose words are separated by spaces, the effects (T,) by the name of the model.

    Raises:
        ValueError: a sentence has not one effect for each word.
    """
    cells: list[dict[str, Any]] = []
    for sentence, effects in sentences.items():
        words = sentence.split()
        if any(len(values) != len(words) for values in effects.values()):
            raise ValueError(f"{sentence!r} has {len(words)} words, so each model must have {len(words)} effects.")
        rounded = {name: np.round(np.asarray(values, dtype=float), 3).tolist() for name, values in effects.items()}
        cells.append({"words": words, "effects": rounded})
    first, models = cells[0], cells[0]["effects"]
    figure, axes = plt.subplots(len(models), 1, figsize=(9, 1.2 + 1.3 * len(models)), sharex=True, squeeze=False)
    for ax, (name, values) in zip(axes[:, 0], models.items(), strict=True):
        ax.bar(range(len(values)), values, color=[plots.COLOURS[v < 0] for v in values])
        ax.set(ylabel=name)
        ax.axhline(0, color="black", linewidth=0.8)
    axes[-1, 0].set_xticks(range(len(first["words"])), first["words"], rotation=45, ha="right", parse_math=False)
    axes[0, 0].set_title("What each word adds to the score")
    tops = [f"{name}: {first['words'][i]} ({values[i]:+.2f})" for name, values in models.items()
            for i in [int(np.argmax(np.abs(values)))]]  # fmt: skip
    alt = f"What each word of one sentence adds to the score of each model. The strongest word of {', '.join(tops)}."
    return page("words", {"sentences": cells}, figure, alt=alt)
