"""Verdicts and the words around them: what a notebook prints about a difference follows from the interval beside it."""

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
JUDGED = ("07", "09", "10", "12", "13", "14")  # notebooks whose comparisons print a verdict
POINTS = re.compile(r"([+-]\d+\.\d) \(([+-]\d+\.\d) to ([+-]\d+\.\d)\)")
VERDICT = re.compile(r"\b(better|worse|equal, within|cannot tell)\b")


def printed(number: str) -> str:
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    outputs = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("text", "") or output.get("data", {}).get("text/markdown", "") for output in outputs)


def judged(text: str) -> list[tuple[str, float, float, str]]:
    """Return line, ends of the interval in points, and verdict of each line that has an interval and a verdict."""
    found = []
    for line in text.splitlines():
        points = POINTS.search(line)
        if points and (verdict := VERDICT.search(line[points.end() :])):
            found.append((line, float(points[2]), float(points[3]), verdict[1]))
    return found


def agrees(low: float, high: float, verdict: str) -> bool:
    """Return whether a verdict follows from an interval; ends are rounded, so 0.0 may be on either side of zero."""
    if verdict in ("better", "worse"):
        return low >= 0 if verdict == "better" else high <= 0
    return low <= 0 <= high and (verdict == "cannot tell" or max(-low, high) <= 2)


@pytest.mark.parametrize("number", JUDGED)
def test_every_printed_verdict_follows_from_its_interval(number):
    lines = judged(printed(number))
    assert len(lines) >= 3
    assert [line for line, low, high, verdict in lines if not agrees(low, high, verdict)] == []


def test_a_verdict_that_contradicts_its_interval_is_found():
    wrong = "a +1.0 (-0.5 to +2.5) points: better\nb +1.0 (+0.5 to +1.5) points: cannot tell"
    text = f"{wrong}\nc +0.1 (-0.2 to +0.4)  equal, within 2 points"
    assert [agrees(*rest) for _, *rest in judged(text)] == [False, False, True]


@pytest.mark.parametrize("number", JUDGED)
def test_readings_are_printed_and_not_typed_after_one_run(number):
    (path,) = (NOTEBOOKS / "py").glob(f"{number}_*.py")
    prose = " ".join(
        line.removeprefix("#").strip() for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "#"
    )
    typed = re.findall(r"[Ii]n (?:our|this) run,? (?:\w+ ){0,6}", prose)
    assert typed == []


def test_few_comparisons_end_in_cannot_tell_and_those_say_what_they_could_have_seen():
    lines = {number: [line for line in judged(printed(number)) if line[0][0] != "|"] for number in JUDGED}  # no repeats
    undecided = {number: [line for line, *_, verdict in of if verdict == "cannot tell"] for number, of in lines.items()}
    assert sum(map(len, undecided.values())) <= sum(map(len, lines.values())) / 5
    named = [line for of in undecided.values() for line in of]
    assert named and all("could have seen" in line for line in named)


def test_the_verdict_of_a_table_of_ones_own_agrees_with_its_gains():
    text = printed("13")
    (low, high) = map(float, re.search(r"gain [^\n]*over TF-IDF[^(\n]*\((-?[\d.]+) to (-?[\d.]+)\)", text).groups())
    sentences = {"Fine-tuning beats the linear model": low > 0, "The linear model beats fine-tuning": high < 0,
                 "The test part is too small": low <= 0 <= high}  # fmt: skip
    said = {sentence for sentence in sentences if re.search(rf"^{sentence}", text, re.MULTILINE)}
    assert said == {sentence for sentence, follows in sentences.items() if follows}
