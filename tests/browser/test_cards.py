"""Cards of checks and quizzes: in a page alone, and in JupyterLab with stub, wrong and right answer and a kernel restart."""

import json
import os
import re
from pathlib import Path

import pytest

from course_utils.exercises import checks
from course_utils.exercises.definition import exercises
from tools import screenshot as lab

CELLS = (
    "from course_utils.exercises import checks",
    "after_three_steps = ...",
    'checks.check("01.2", after_three_steps)',
    'checks.quiz("01")',
)


@pytest.fixture
def card(monkeypatch):
    """Return the HTML that a check or a quiz shows: `card(checks.quiz, "01")`."""
    found = []
    monkeypatch.setattr("IPython.display.display", found.append)

    def shown(call, *arguments) -> str:
        call(*arguments)
        return found[-1]._repr_html_()

    return shown


def test_answers_turn_right_or_wrong_by_mouse_and_keyboard_at_any_width(show, card):
    question = next(exercise for exercise in exercises("01") if exercise.id == "01.q1")
    for width in (1400, 400):
        browser = show(card(checks.quiz, "01"))
        browser.set_viewport_size({"width": width, "height": 900})
        wrong = browser.locator("summary", has_text=question.options["a"][0])
        wrong.click()
        assert browser.get_by_text(question.options["a"][1]).first.is_visible()
        wide = browser.locator(".course-card").first.bounding_box()["width"]
        assert wrong.bounding_box()["width"] > 0.9 * wide and wide <= width
        right = browser.locator("summary", has_text=question.options["b"][0])
        right.focus()
        browser.keyboard.press("Enter")
        verdict = f"✓ Correct. {question.options['b'][1]}"  # a browser says that something was opened a little later
        browser.get_by_role("status").filter(has_text=re.compile(f"^{re.escape(verdict)}$")).wait_for()
        colours = [node.evaluate("node => getComputedStyle(node).borderTopColor") for node in (wrong, right)]
        assert colours == ["rgb(213, 94, 0)", "rgb(0, 158, 115)"]
        assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_has_nothing_serious_to_say_whatever_was_answered(show, card, axe_at_every_width, theme):
    faulty = next(exercise for exercise in exercises("01") if exercise.id == "01.5").given
    answered = [("01.2", ...), ("01.2", 64), ("01.2", -64), ("01.3", ...), ("01.5", faulty)]
    cards = [card(checks.check, *answer) for answer in answered] + [card(checks.quiz, "01")]
    page = show("\n".join(cards), theme=theme)
    states = page.locator(".course-card").evaluate_all("cards => cards.map(card => card.dataset.state)")
    assert states == ["empty", "refused", "solved", "empty", "given", "asked"]
    assert axe_at_every_width(page, ".course-card") == []
    page.evaluate("() => document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert axe_at_every_width(page, ".course-card") == []


@pytest.fixture
def opened(made):
    """A notebook with a stub, its check and a quiz, and the file that records progress, which is not there yet."""
    progress = Path(os.environ["COURSE_PROGRESS"])  # of the tests (conftest.py), not of whoever runs them
    progress.unlink(missing_ok=True)
    return made, progress


def run(page, answer: str) -> None:
    """Write an answer into the stub, run all cells, and wait for the card of the check."""
    page.evaluate(
        """answer => { const cells = window.jupyterapp.shell.currentWidget.content.widgets;
            cells[1].model.sharedModel.setSource(answer); }""",
        f"after_three_steps = {answer}",
    )
    for command in ("notebook:clear-all-cell-outputs", "notebook:run-all-cells"):
        lab.run_command(page, command, wait=False)


def test_stub_wrong_and_right_answer_a_failed_cell_and_a_restart(opened):
    page, progress = opened
    card = page.locator(".course-card").first
    for answer, verdict, tries in (("...", "Not attempted yet", 0), ("64", "Not yet", 1)):
        run(page, answer)
        card.get_by_text(verdict).wait_for(timeout=120_000)
        assert (json.loads(progress.read_text())["exercises"]["01.2"]["tries"] if tries else progress.exists()) == tries
    cells = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
    before = page.evaluate(cells)
    hint = card.locator("summary", has_text="Hint 1")
    hint.focus()
    for key in ("Enter", "b", "a", "d", "d"):  # in command mode letters insert and delete cells
        page.keyboard.press(key)
    assert card.get_by_text("each step multiplies").is_visible() and page.evaluate(cells) == before
    lab.run_command(page, "kernelmenu:restart", wait=False)
    page.get_by_role("button", name="Confirm Kernel Restart").or_(page.get_by_role("button", name="Restart")).last.click()
    lab.wait_until_idle(page)
    run(page, "-64")
    card.get_by_text("✓ Correct").wait_for(timeout=120_000)
    assert json.loads(progress.read_text())["exercises"]["01.2"]["solved"]
    page.locator("input[placeholder=course-answer]").wait_for(state="attached", timeout=60_000)
    lab.wait_until_idle(page)
    page.locator("details[data-answers='01.q1 b'] > summary").click()
    for _ in range(100):  # the kernel writes it
        if solved := json.loads(progress.read_text())["exercises"].get("01.q1", {}).get("solved"):
            break
        page.wait_for_timeout(300)
    assert solved


def test_an_answer_left_by_a_cell_that_failed_is_not_judged(opened):
    page, progress = opened
    run(page, "-64; raise ValueError('on the way')")
    page.get_by_text("ValueError: on the way").wait_for(timeout=120_000)
    lab.wait_until_idle(page)  # what is sent before is not run after an error
    page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2 }")
    lab.run_command(page, "notebook:run-cell", wait=False)
    page.locator(".course-card").get_by_text("ended with ValueError").wait_for(timeout=120_000)
    assert not progress.exists()
