"""The next token of notebook 14: what temperature and top-p make of a language model's logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import softmax

from .. import plots
from .page import Page, page


def shaped(logits: Sequence[float], *, temperature: float = 1.0, top_p: float = 1.0) -> np.ndarray:
    """Return the probabilities (n,) that are drawn from: softmax of logits / temperature, cut to the nucleus, renormalised.

    The nucleus is the fewest most probable tokens that together have at least `top_p`; the others get 0.

    Raises:
        ValueError: the temperature is not above 0, or top_p is not above 0 and up to 1.
    """
    if not (temperature > 0 and 0 < top_p <= 1):
        raise ValueError(f"temperature must be above 0 and top_p in (0, 1], not {temperature} and {top_p}.")
    p = softmax(np.asarray(logits, dtype=float) / temperature)
    order = np.argsort(-p, kind="stable")
    before = np.cumsum(p[order]) - p[order]  # what the more probable ones have
    kept = np.zeros(len(p))
    kept[order[before < top_p - 1e-12]] = 1
    return kept * p / (kept * p).sum()


def next_token_explorer(prompts: Mapping[str, Sequence[tuple[str, float]]]) -> Page:
    """Return temperature and top-p to choose, over the likeliest next tokens of each prompt, as (token, logit).

    Probabilities are among these tokens, so give enough of them: 20 or more.
    """
    prompt, listed = next(iter(prompts.items()))
    tokens, logits = [token for token, _ in listed][:12], [logit for _, logit in listed]
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True)
    for ax, temperature in zip(axes, (0.5, 1.0, 1.5), strict=True):
        ax.barh(range(len(tokens)), shaped(logits, temperature=temperature)[: len(tokens)], color=plots.COLOURS[0])
        ax.set(title=f"temperature {temperature}", xlabel="probability", xlim=(0, 1))
    axes[0].set_yticks(range(len(tokens)), tokens, parse_math=False)
    axes[0].invert_yaxis()
    best = shaped(logits)[0]
    alt = (
        f"The next token after {prompt!r} at temperatures 0.5, 1 and 1.5: the likeliest, {tokens[0]!r}, has probability "
        f"{shaped(logits, temperature=0.5)[0]:.2f}, {best:.2f} and {shaped(logits, temperature=1.5)[0]:.2f}."
    )
    cells = [{"prompt": text, "tokens": [t for t, _ in pairs], "logits": [round(float(z), 4) for _, z in pairs]}
             for text, pairs in prompts.items()]  # fmt: skip
    return page("next_token", {"prompts": cells}, figure, alt=alt)
