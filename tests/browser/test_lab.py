"""Notebook 01 in a real browser: JupyterLab opens it, every cell runs, and the sliders answer to the keyboard."""

import os
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tools import screenshot as lab

BADGE = "colab.research.google.com"  # a picture; without a network its text stands there


@pytest.fixture(scope="module")
def opened(browser, address):
    """Notebook 01 after all cells have run, and the hosts that the page asked for anything."""
    hosts = set()
    with closing(browser.context.new_page()) as page:
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        lab.open_notebook(page, address, "01_minimise_the_loss")
        lab.run_all(page, seconds=900)
        yield page, hosts


def test_every_cell_runs_without_an_error(opened):
    page, _ = opened
    counts = page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
            .filter(cell => cell.model.type === 'code').map(cell => cell.model.executionCount)"""
    )
    assert counts == list(range(1, len(counts) + 1))
    outputs = page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
            .filter(cell => cell.model.type === 'code').flatMap(cell => cell.model.outputs.toJSON())"""
    )
    assert len(outputs) > 10
    assert [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"] == []


@pytest.mark.parametrize("name", ["logit z", "learning rate of gradient descent", "momentum μ"])
def test_the_arrow_keys_move_a_slider_and_the_sentence_and_picture_change(opened, name):
    page, _ = opened
    slider = page.get_by_label(name, exact=True).first
    view = page.locator(".course-explorer").filter(has=slider).first
    slider.scroll_into_view_if_needed()
    said, drawn, read = (get() for get in now(view, slider))
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert all(get() != before for get, before in zip(now(view, slider), (said, drawn, read), strict=True))


def now(view, slider):
    """Return what tells the sentence, the picture and the value of a slider."""
    return (
        view.get_by_role("status").inner_text,
        view.locator(".pane").last.inner_html,
        lambda: slider.get_attribute("aria-valuetext"),
    )


def test_letters_and_arrows_on_a_control_stay_there(opened):
    page, _ = opened
    cells = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
    before = page.evaluate(cells)
    page.get_by_label("logit z").first.focus()
    for key in "abxdd":  # in command mode these insert and delete cells
        page.keyboard.press(key)
    assert page.evaluate(cells) == before


def test_the_page_asks_nobody_outside_but_for_the_badge(opened):
    _, hosts = opened
    assert hosts - {"127.0.0.1", "localhost", None} <= {BADGE}


def test_a_picture_of_it_can_be_taken(opened, tmp_path):
    page, _ = opened
    folder = Path(os.environ.get("COURSE_SCREENSHOTS") or tmp_path)
    lab.scroll_to(page, "learning-rate explorer")
    page.screenshot(path=str(folder / "notebook_01.png"))
    assert (folder / "notebook_01.png").stat().st_size > 20_000


def test_figures_are_turned_over_in_the_dark_theme_alone(opened):
    page, _ = opened
    looks = "() => getComputedStyle(document.querySelector('.course-figure')).filter"
    lab.scroll_to(page, "learning-rate explorer")
    for theme, filtered in (("JupyterLab Dark", "invert(1) hue-rotate(180deg)"), ("JupyterLab Light", "none")):
        lab.set_theme(page, theme)
        assert page.evaluate(looks) == filtered


def test_axe_has_nothing_serious_to_say_about_what_is_ours(opened, axe_at_every_width):
    page, _ = opened
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        lab.set_theme(page, theme)
        assert axe_at_every_width(page, ".course-explorer, .course-card, .course-figure") == [], theme
