"""Find words that the field does not use: `python -m tools.words` prints each with what to write, and exits with 1.

The list is words.toml, beside this file. The scripts of the notebooks, the package, the documents, the workshop and
README.md are searched; what is generated from them (.ipynb) is not.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEARCHED = ("notebooks/py", "course_utils", "docs", "README.md", "workshop")


@dataclass(frozen=True)
class Word:
    pattern: re.Pattern[str]
    say: str
    allow: re.Pattern[str] | None


def load_words(path: Path = ROOT / "tools" / "words.toml") -> list[Word]:
    """Return the entries of a list, with their patterns compiled."""
    return [
        Word(
            re.compile(rf"\b(?:{entry['pattern']})\b", re.IGNORECASE),
            entry["say"],
            re.compile("|".join(entry["allow"])) if "allow" in entry else None,
        )
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["word"]
    ]


def hits(text: str, words: list[Word]) -> Iterator[tuple[int, str, str]]:
    """Yield for each hit the line number (from 1), the words found, and what to write instead."""
    for number, line in enumerate(text.splitlines(), 1):
        for word in words:
            rest = word.allow.sub("", line) if word.allow else line
            yield from ((number, found[0], word.say) for found in word.pattern.finditer(rest))


def main(root: Path = ROOT, names: Iterable[str] = SEARCHED) -> int:
    """Print each hit in these files and folders as file:line: 'words' -> what to write; return 1 if there is any, else 0."""
    words, count = load_words(), 0
    for path in [path for name in names for path in [root / name, *sorted((root / name).rglob("*"))]]:
        if path.suffix in {".py", ".md", ".toml"} and path.is_file():
            for number, found, say in hits(path.read_text(encoding="utf-8"), words):
                print(f"{path.relative_to(root).as_posix()}:{number}: {found!r} -> {say}")
                count += 1
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
