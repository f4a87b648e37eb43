"""Build the website from the notebooks as they are kept; nothing is executed.

    uv venv build/site/venv && uv pip install --python build/site/venv --require-hashes -r requirements-site.lock
    build/site/venv/bin/python -m tools.site           the pages are then in build/site/html

MathJax is fetched once with npm, checked, and kept beside the pages: a reader's browser asks no other host for anything.
The build fails on any warning of Sphinx, on a link that leads nowhere, and on a page that would load something from outside.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat

from tools import site_api, site_notebooks, slides

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "site"
PAGES = ("*.md", "docs/*.md", "bench/*.md", "workshop/*.md", "workshop/notes/*.md")
NOTEBOOKS = ("notebooks/*.ipynb", "notebooks/zh/*.ipynb")
HOME = "README.md"  # becomes index.md
LINK = re.compile(r"(\]\()([^)#\s]+)")
MATHJAX = {"mathjax": slides.PACKAGES["mathjax"]}


# --- pages


def sources(root: Path = ROOT) -> list[str]:
    """Return the pages and notebooks of the site, as paths inside the course."""
    found = [path for pattern in (*PAGES, *NOTEBOOKS) for path in sorted(root.glob(pattern))]
    return [path.relative_to(root).as_posix() for path in found if path.name != "LICENSE-CONTENT.md"]


def with_links(text: str, name: str, kept: set[str], repository: str) -> str:
    """Return Markdown in which links to what is not on the site lead to the repository."""

    def moved(link: re.Match) -> str:
        if "://" in link[2] or link[2].startswith("mailto:"):
            return link[0]
        target = os.path.normpath(os.path.join(os.path.dirname(name), link[2])).replace(os.sep, "/")
        if target == HOME:
            return link[1] + os.path.relpath("index.md", os.path.dirname(name) or ".").replace(os.sep, "/")
        return link[0] if target in kept else f"{link[1]}{repository}/blob/main/{target}"

    return LINK.sub(moved, text)


def collect(target: Path, root: Path = ROOT) -> None:
    """Write the sources of the site into an empty folder that is laid out like the repository."""
    repository = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
    names = sources(root)
    images = [path.relative_to(root).as_posix() for path in (root / "docs" / "images").glob("*.*")]
    kept, figures = {*names, *images}, target / "extra" / "figures"
    figures.mkdir(parents=True)
    terms = site_notebooks.meanings((root / "docs" / "GLOSSARY.md").read_text(encoding="utf-8"))
    for name in [*images, "pyproject.toml"]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, target / name)
    for name in names:
        out = target / ("index.md" if name == HOME else name)
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".md":
            text = with_links((root / name).read_text(encoding="utf-8"), name, kept, repository)
            out.write_text(text + (root / "site" / "contents.md").read_text() * (name == HOME), encoding="utf-8")
            continue
        notebook = nbformat.read(root / name, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = site_notebooks.explain_terms(with_links(cell.source, name, kept, repository), terms)
        stem, up = name.removesuffix(".ipynb").removeprefix("notebooks/"), "../" * name.count("/")
        nbformat.write(site_notebooks.Page(notebook, stem, figures, up=up).made(), out)
    (target / "api.md").write_text(site_api.page(), encoding="utf-8")
    (target / "static").mkdir()
    for name in ("course.css", "course.js", "favicon.svg"):
        shutil.copy(root / "site" / name, target / "static")
    shutil.copy(root / "site" / "conf.py", target)
    shutil.copy(root / "course_utils" / "__init__.py", target / "version.txt")


# --- checks


class Reader(HTMLParser):
    """Collects what a page loads, where it links, and the ids that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.ids |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a":
            self.links += [given["href"]] if "href" in given else []
        elif tag == "link":
            self.loads += (
                [given["href"]] if given.get("rel") not in ("canonical", "author", "search", "next", "prev") else []
            )
        else:
            self.loads += [given[key] for key in ("src", "data", "poster") if given.get(key)]


def problems(folder: Path) -> Iterator[str]:
    """Yield a sentence for each thing that a page loads from outside, or that it refers to and that is not there."""
    found = [path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts]  # a theme's templates are there
    pages = {path: Reader(path.read_text(encoding="utf-8")) for path in found}
    for path, page in pages.items():
        name = path.relative_to(folder).as_posix()
        yield from (f"{name} loads {load} from outside" for load in page.loads if urlsplit(load).netloc)
        for link in {link for link in [*page.links, *page.loads] if not urlsplit(link).scheme and not urlsplit(link).netloc}:
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{name} refers to {link}, which is not there"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                yield f"{name} refers to {link}, but that page has no such id"
    for path in sorted(folder.rglob("*.css")):
        for address in re.findall(r"(?:url\(|@import\s+)[\"']?((?:https?:)?//[^\"')]+)", path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(folder).as_posix()} loads {address} from outside"


def main() -> int:
    """Build the site; return 0, or 1 after saying what is wrong with it."""
    if importlib.util.find_spec("sphinx") is None:
        print("Sphinx is not installed here. CONTRIBUTING.md, The website, has the three commands.", file=sys.stderr)
        return 1
    source, html, vendor = BUILD / "source", BUILD / "html", BUILD / "vendor"
    for folder in (source, html):
        shutil.rmtree(folder, ignore_errors=True)
    source.mkdir(parents=True)
    slides.fetch_vendor(vendor, MATHJAX)
    collect(source)
    shutil.copytree(vendor, source / "vendor")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(source), str(html)]
    )
    wrong = [] if built.returncode else list(problems(html))
    print("\n".join(wrong) or (f"{html}: {len(list(html.rglob('*.html')))} pages" if not built.returncode else ""))
    return 1 if wrong else built.returncode


if __name__ == "__main__":
    sys.exit(main())
