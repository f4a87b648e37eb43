"""Which exercises are solved: the file that records it, the table that shows it, and a report that can be verified."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext, suppress
from datetime import date
from pathlib import Path

from filelock import FileLock

from ..files import digest_of, write_aside
from . import definition


def progress_path() -> Path:
    """Return the file of solved exercises: `COURSE_PROGRESS`, or one in the user's data folder.

    Raises:
        FileNotFoundError: neither is known.
    """
    from platformdirs import user_data_path

    path = Path(os.environ.get("COURSE_PROGRESS") or "~")
    with suppress(RuntimeError):  # a user without an account has no folders; older versions of platformdirs return "~"
        path = path if path.name != "~" else user_data_path("fine-tuning-course", appauthor=False) / "progress.json"
    if path.parts[0] == "~":
        raise FileNotFoundError("You have no home folder here. Set the environment variable COURSE_PROGRESS to a file.")
    return path


def load_progress() -> dict:
    """Return what is recorded, `{"exercises": {id: {"tries": 2, "solved": "2026-03-01"}}}`.

    A file that is damaged is renamed, and the new name printed. Entries of other versions are kept.
    """
    with FileLock(f"{path}.lock", timeout=5) if (path := progress_path()).exists() else nullcontext():
        return _load(path)


def _load(path: Path) -> dict:
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        document = json.loads(path.read_text(encoding="utf-8") if path.exists() else '{"exercises": {}}')
        sum(entry["tries"] for entry in document["exercises"].values())  # raises unless it has the form above
        if document.get("sha256") in (None, digest_of(document["exercises"])):
            return document
    names = (path.with_name(f"{path.stem}-damaged-{number}.json") for number in range(1, 10**6))
    aside = path.replace(next(name for name in names if not name.exists()))
    print(f"Your progress file {path} is damaged. It is kept as {aside.name}, and a new one is started.")
    return {"exercises": {}}


def record(exercise_id: str, *, solved: bool) -> None:
    """Count a try, up to the first that solves the exercise; the file is replaced as a whole or not at all.

    A lock beside the file lets notebooks that run at the same time wait for each other.

    Raises:
        OSError: the file cannot be written, or another notebook kept the lock for five seconds.
    """
    path = progress_path()
    with FileLock(f"{path}.lock", timeout=5):
        document = _load(path)
        entry = document["exercises"].setdefault(exercise_id, {"tries": 0})
        if "solved" not in entry:
            entry |= {"tries": entry["tries"] + 1} | ({"solved": f"{date.today()}"} if solved else {})
            text = json.dumps(document | {"sha256": digest_of(document["exercises"])}, indent=1)
            write_aside(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def progress_table() -> str:
    """Return a line for each notebook: solved of all, as numbers and as a bar, and what comes next."""
    done, lines = completion_report()["exercises"], []
    for number in definition.numbers():
        listed = definition.exercises(number)
        left = [f"next: {exercise.id} {exercise.title}" for exercise in listed if exercise.id not in done]
        bar = "#" * (len(listed) - len(left)) + "." * len(left)
        lines.append(f"{number:3} {bar.count('#'):2} of {len(listed):2}  {bar:14}  {[*left, 'all solved'][0]}")
    return "\n".join(lines)


def completion_report(entries: dict | None = None, day: str = "") -> dict:
    """Return which exercises are solved (those recorded, or `entries`), of which list, with a SHA-256 over it all."""
    entries = load_progress()["exercises"] if entries is None else entries
    known = [exercise.id for number in definition.numbers() for exercise in definition.exercises(number)]
    solved = {name: entries[name] for name in known if isinstance(entries.get(name), dict) and "solved" in entries[name]}
    texts = [(definition.FOLDER / f"nb{number}.py").read_text(encoding="utf-8") for number in definition.numbers()]
    report = {"course": "fine-tuning-course", "date": day or f"{date.today()}", "solved": len(solved), "of": len(known)}
    report |= {"edition": digest_of(texts), "exercises": solved}
    return report | {"digest": digest_of(report)}


def verify_report(report: dict) -> tuple[bool, str]:
    """Return whether a completion report is what this course's exercise list gives for its entries, and what that means."""
    if not isinstance(report, dict) or not isinstance(report.get("exercises"), dict):
        return False, "Not verified: this is not a completion report of the course."
    ours = completion_report(report["exercises"], str(report.get("date")))
    if report != ours:
        other = ", or belongs to another edition of the exercises" * (report.get("edition") != ours["edition"])
        return False, f"Not verified: it was changed after it was written{other}."
    says = f"Verified: {ours['solved']} of {ours['of']} solved. The file is complete and matches this course's exercises. Nothing"
    return True, f"{says} in it shows who solved them, or whether the solutions were read first."
