"""Which exercises are solved: the file that records it, the table that shows it, and a report that can be verified."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import date
from pathlib import Path

from filelock import FileLock

from . import definition


def progress_path() -> Path:
    """Return the file of solved exercises: `COURSE_PROGRESS`, or one in the user's data folder."""
    import platformdirs

    folder = platformdirs.user_data_path("fine-tuning-course", appauthor=False)
    return Path(os.environ.get("COURSE_PROGRESS") or folder / "progress.json")


def load_progress() -> dict:
    """Return what is recorded, `{"exercises": {id: {"tries": 2, "solved": "2026-03-01"}}}`.

    A file that cannot be read is renamed, and the new name printed. Entries of other versions are kept.
    """
    path = progress_path()
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        sum(entry["tries"] for entry in document["exercises"].values())  # raises unless it has the form above
        return document
    except FileNotFoundError:
        return {"exercises": {}}
    except (ValueError, KeyError, TypeError, AttributeError):
        aside = next(p for n in range(1, 10**6) if not (p := path.with_name(f"{path.stem}-damaged-{n}.json")).exists())
        path.replace(aside)
        print(f"Your progress file could not be read. It is kept as {aside}, and a new one is started.")
        return {"exercises": {}}


def record(exercise_id: str, *, solved: bool) -> None:
    """Count a try, up to the first that solves the exercise; the file is replaced as a whole or not at all.

    A lock beside the file lets notebooks that run at the same time wait for each other.

    Raises:
        OSError: the file cannot be written, or another notebook kept the lock for five seconds.
    """
    path = progress_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=5):
        document = load_progress()
        entry = document["exercises"].setdefault(exercise_id, {"tries": 0})
        if "solved" not in entry:
            entry |= {"tries": entry["tries"] + 1} | ({"solved": f"{date.today()}"} if solved else {})
            part = path.with_name(f"{path.name}.part")
            part.write_text(json.dumps(document, indent=1), encoding="utf-8")
            part.replace(path)


def progress_table() -> str:
    """Return a line for each notebook: solved of all, as numbers and as a bar, and what comes next."""
    done, lines = completion_report()["exercises"], []
    for number in definition.numbers():
        listed = definition.exercises(number)
        left = [f"next: {exercise.id} {exercise.title}" for exercise in listed if exercise.id not in done]
        count = len(listed) - len(left)
        bar = "#" * count + "." * len(left)
        lines.append(f"{number:3} {count:2} of {len(listed):2}  {bar:14}  {[*left, 'all solved'][0]}")
    return "\n".join(lines)


def completion_report(entries: dict | None = None, day: str = "") -> dict:
    """Return which exercises are solved (those recorded, or `entries`), of which list, with a SHA-256 over it all."""
    entries = load_progress()["exercises"] if entries is None else entries
    known = [exercise.id for number in definition.numbers() for exercise in definition.exercises(number)]
    solved = {name: entries[name] for name in known if isinstance(entries.get(name), dict) and "solved" in entries[name]}
    report = {"course": "fine-tuning-course", "date": day or f"{date.today()}", "solved": len(solved), "of": len(known)}
    texts = [(definition.FOLDER / f"nb{number}.py").read_text(encoding="utf-8") for number in definition.numbers()]
    report |= {"edition": hashlib.sha256("".join(texts).encode()).hexdigest(), "exercises": solved}
    return report | {"digest": hashlib.sha256(json.dumps(report, sort_keys=True).encode()).hexdigest()}


def verify_report(report: dict) -> tuple[bool, str]:
    """Return whether a completion report is what this course's exercise list gives for its entries, and what that means."""
    if not isinstance(report, dict) or not isinstance(report.get("exercises"), dict):
        return False, "Not verified: this is no completion report of the course."
    ours = completion_report(report["exercises"], str(report.get("date")))
    if report != ours:
        other = ", or belongs to another edition of the exercises" * (report.get("edition") != ours["edition"])
        return False, f"Not verified: it was changed after it was written{other}."
    says = f"Verified: {ours['solved']} of {ours['of']} solved. The file is whole and fits this course's exercises. Nothing"
    return True, f"{says} in it shows who solved them, or whether the solutions were read first."
