"""Names in a figure: in a font that has their letters, or written so that nothing is an empty box or a formula."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

_DEFAULT = "DejaVu Sans"


def drawable(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return names as matplotlib can draw them, and the fonts to draw them with, the first that has a letter first.

    A letter that no font of this machine has is written by its number, as "\\\\u6c34"; a dollar sign starts no formula.
    """
    letters = {letter for name in names for letter in name if not letter.isspace()}
    fonts, lacking = [_DEFAULT], {letter for letter in letters if not _has(_DEFAULT, letter)}
    while covered := Counter(font for font in _fonts() for letter in lacking if _has(font, letter)):
        ((best, _),) = covered.most_common(1)
        fonts.append(best)
        lacking = {letter for letter in lacking if not _has(best, letter)}
    written = {letter: letter.encode("unicode_escape").decode() for letter in lacking} | {"$": r"\$"}
    return ["".join(written.get(letter, letter) for letter in " ".join(name.split()))[:40] for name in names], fonts


@cache
def _fonts() -> tuple[str, ...]:
    from matplotlib import font_manager

    names = {font.name for font in font_manager.fontManager.ttflist}
    return tuple(sorted(name for name in names if not name.startswith("Last Resort")))  # that one draws boxes


@cache
def _letters(font: str) -> frozenset[int]:
    from matplotlib import font_manager

    path = font_manager.findfont(font_manager.FontProperties(family=[font]), fallback_to_default=font == _DEFAULT)
    return frozenset(font_manager.get_font(path).get_charmap())


def _has(font: str, letter: str) -> bool:
    return ord(letter) in _letters(font)
