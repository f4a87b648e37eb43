"""Check that a version may be released, and print its notes.

    python -m tools.release v0.2.0     print the notes of a tag, if all files name its version
    python -m tools.release --check    say all that is missing before a tag can be set (or: course release-check)

The tag, the package, CITATION.cff and CHANGELOG.md must name the same version; the notes are its part of the changelog.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 5e6  # bytes of the wheel, which is fetched anew in each session of Colab


def versions(root: Path = ROOT) -> dict[str, str]:
    """Return the version that each file names: the package, the citation, and the newest one of the changelog."""
    patterns = {
        "course_utils/__init__.py": r'__version__ = "([^"]+)"',
        "CITATION.cff": r"(?m)^version: (\S+)$",
        "CHANGELOG.md": r"(?m)^## (\d\S*)",
    }
    texts = {name: (root / name).read_text(encoding="utf-8") for name in patterns}
    return {name: found[1] if (found := re.search(pattern, texts[name])) else "" for name, pattern in patterns.items()}


def notes(version: str, root: Path = ROOT) -> str:
    """Return what CHANGELOG.md says about a version; empty if it says nothing."""
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"(?ms)^## {re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)", changelog)
    return found[1].strip() if found else ""


def main(tag: str, root: Path = ROOT) -> int:
    """Print the notes of a tag and return 0, or say what does not agree and return 1."""
    version = tag.removeprefix("v")
    wrong = [f"{name} names {found or 'no version'}" for name, found in versions(root).items() if found != version]
    if wrong or not notes(version, root):
        print(f"{tag} cannot be released: {'; '.join(wrong) or 'CHANGELOG.md says nothing about it'}.", file=sys.stderr)
        print("Write the same version in all three files, then set the tag again.", file=sys.stderr)
        return 1
    print(notes(version, root))
    return 0


# --- everything else


def agreement(root: Path = ROOT) -> str:
    """Return what is wrong with versions and notes; "" if nothing is."""
    found = versions(root)
    if len(set(found.values())) > 1:
        return "; ".join(f"{name} names {version or 'no version'}" for name, version in found.items())
    version = found["CHANGELOG.md"]
    return "" if notes(version, root) else f"CHANGELOG.md says nothing about {version or 'any version'}"


def says(*command: str, root: Path = ROOT) -> str:
    """Return the end of what a failing program printed; "" if it does not fail."""
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    return (done.stderr or done.stdout or "it failed").strip()[-500:] if done.returncode else ""


def changes(root: Path = ROOT) -> str:
    """Return which files are not committed; "" if all are."""
    listed = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True).stdout
    return "not committed: " + ", ".join(line[3:] for line in listed.splitlines()[:8]) if listed else ""


def build(place: Path, root: Path = ROOT) -> Path:
    """Return the wheel of the course, built in an empty folder: in its own, files of earlier builds would get into it.

    Raises:
        OSError: it could not be built; the message is the end of what pip said.
    """
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, place)
    shutil.copytree(root / "course_utils", place / "course_utils", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "."]
    if wrong := says(*pip, root=place):
        raise OSError(wrong)
    (wheel,) = place.glob("*.whl")
    return wheel


def wheel(root: Path = ROOT) -> str:
    """Return why the wheel may not be released: it cannot be built or started, or is too large; "" if it may."""
    with tempfile.TemporaryDirectory() as place:
        try:
            built = build(Path(place), root)
        except OSError as error:
            return str(error)
        if (size := built.stat().st_size) > LARGEST:
            return f"{built.name} has {size / 1e6:.1f} MB; more than {LARGEST / 1e6:.0f} is too large"
        target = str(Path(place, "only"))
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target]
        if wrong := says(*pip, str(built), root=Path(place)):
            return wrong
        return says(sys.executable, "-m", "course_utils", "--version", root=Path(target))


def generated(tool: str, *arguments: str) -> Callable[[], str]:
    """Return the check of a tool that says whether what it writes is up to date."""
    return lambda: says(sys.executable, "-m", f"tools.{tool}", *arguments)


CHECKS: dict[str, Callable[[], str]] = {
    "one version in all files, with notes": agreement,
    "everything committed": changes,
    "notebooks are those of their scripts": generated("notebooks", "check"),
    "numbers and drawings": generated("results", "--check"),
    "Chinese pages": generated("chinese", "--check"),
    "run-sheets": generated("workshop", "--check"),
    "links": generated("links"),
    "the wheel is small and starts by itself": wheel,
}


def check(checks: dict[str, Callable[[], str]]) -> int:
    """Print a line for each check, and return 1 if one found something."""
    wrong = 0
    for name, find in checks.items():
        found = find()
        wrong += bool(found)
        print(f"{'FIX' if found else 'ok '} {name}{f': {found}' if found else ''}", flush=True)
    tag = f"v{versions()['CHANGELOG.md']}"
    last = f"Fix what is marked before you set the tag {tag}." if wrong else f"All tests pass too? Then: git tag {tag}"
    print(last)
    return int(bool(wrong))


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(check(CHECKS))
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else f"Type: python -m tools.release v{versions()['CHANGELOG.md']}")
