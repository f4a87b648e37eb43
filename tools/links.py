"""Find links that lead nowhere, in the pages and in the prose of the notebooks.

python -m tools.links             relative links: is the file there, and the heading after the #?
python -m tools.links --online    also ask every outside address, which needs a network and a minute
"""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import nbformat

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "*.md",
    "docs/*.md",
    "bench/*.md",
    "workshop/*.md",
    "workshop/notes/*.md",
    ".github/**/*.md",
    "notebooks/**/*.ipynb",
)
LINK = re.compile(r"\]\(([^)\s]+)(?: [^)]*)?\)")
SLOW = 15  # seconds for an answer


@cache
def prose(path: Path) -> str:
    """Return the Markdown of a page or notebook, without its fenced code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n\n".join(c.source for c in nbformat.reads(text, as_version=4).cells if c.cell_type == "markdown")
    return re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return the anchors that GitHub gives to the headings of a page: small letters, hyphens, a number for a repetition."""
    found: dict[str, int] = {}
    names = set(re.findall(r'<a (?:id|name)="([^"]+)"', prose(path)))
    for heading in re.findall(r"^#{1,6} +(.*?) *#*$", prose(path), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|<[^>]+>", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = found[slug] = found.get(slug, -1) + 1
        names.add(f"{slug}-{count}" if count else slug)
    return frozenset(names)


def pages(root: Path = ROOT) -> list[Path]:
    """Return every page and notebook of the course."""
    found = {path for pattern in PAGES for path in root.glob(pattern)}
    return sorted(path for path in found if "learner" not in path.parts and ".ipynb_checkpoints" not in path.parts)


def broken(root: Path = ROOT) -> Iterator[str]:
    """Yield a sentence for each relative link without its file or its heading."""
    for page in pages(root):
        name = page.relative_to(root).as_posix()
        for link in dict.fromkeys(LINK.findall(prose(page))):
            if re.match(r"[a-z][a-z+.-]*:", link):
                continue
            file, _, anchor = unquote(link).partition("#")
            target = (page.parent / file).resolve() if file else page
            if not target.exists():
                yield f"{name} refers to {link}, which is not there"
            elif anchor and target.suffix in (".md", ".ipynb") and anchor not in anchors(target):
                yield f"{name} refers to {link}, but that page has no such heading"


def outside(root: Path = ROOT) -> dict[str, str]:
    """Return each outside address, with the first page that has it."""
    found: dict[str, str] = {}
    for page in pages(root):
        for link in LINK.findall(prose(page)):
            if link.startswith(("https://", "http://")):
                found.setdefault(link.partition("#")[0], page.relative_to(root).as_posix())
    return found


def answer(address: str) -> str:
    """Return what is wrong with an address: its status or the error; "" if it answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers={"User-Agent": "course"}), timeout=SLOW):
            return ""
    except urllib.error.HTTPError as error:
        return "" if error.code in (403, 429) else f"HTTP {error.code}"  # they are there, and refuse programs
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def main(arguments: list[str]) -> int:
    """Print each link that leads nowhere; return 1 if there is one."""
    wrong = list(broken())
    if "--online" in arguments:
        wrong += [f"{page} refers to {link}: {said}" for link, page in outside().items() if (said := answer(link))]
    print("\n".join(wrong) or f"{len(pages())} pages: every link leads somewhere.")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
