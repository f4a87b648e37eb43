"""The website in a real browser: nothing fails, nothing is asked of another host, and what answers is alive.

Looks at build/site/html, which `python -m tools.site` makes; without it the tests are skipped.
"""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tools import screenshot as lab
from tools import site

HTML = site.BUILD / "html"
SIZES = {"wide-light": (1366, "light"), "narrow-dark": (390, "dark")}
PAGES = (
    "index",
    "README.zh",
    "notebooks/01_minimise_the_loss",
    "notebooks/06_fine_tune_bert",
    "workshop/run-sheet-one-day",
    "bench/RESULTS",
    "api",
)

pytestmark = pytest.mark.skipif(not (HTML / "index.html").exists(), reason="the site is not built: python -m tools.site")


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(HTML)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(params=SIZES.values(), ids=SIZES)
def page(request, address):
    """A page of one width and theme, with what goes wrong on it as `page.faults`."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    width, theme = request.param
    with playwright.sync_playwright() as program:
        browser = program.chromium.launch(executable_path=lab.find_browser(), args=list(lab.QUIET))
        page = browser.new_context(
            viewport={"width": width, "height": 850}, color_scheme=theme, has_touch=width < 500
        ).new_page()
        page.faults = []
        page.on("console", lambda said: page.faults.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("response", lambda answer: page.faults.append(answer.url) if answer.status >= 400 else None)
        page.on("request", lambda asked: None if here(asked.url, address) else page.faults.append(asked.url))
        yield page
        browser.close()


def here(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:"))


def test_pages_load_whole_fit_the_screen_and_ask_no_other_host(page, address, axe):
    for name in PAGES:
        page.goto(f"{address}/{name}.html")
        page.wait_for_timeout(1000)
        assert page.faults == [], name
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, f"{name} scrolls sideways"
        assert axe(page) == [], name
        page.faults.clear()  # axe asks for style sheets itself, and looks for an imported "../basic.css" beside the page


def test_explorers_quiz_terms_and_solutions_are_alive(page, address):
    page.goto(f"{address}/notebooks/01_minimise_the_loss.html")
    drawn = "[...document.querySelectorAll('main svg')].map(picture => picture.innerHTML).join()"
    slider = page.get_by_label("momentum μ").first
    before = page.evaluate(drawn)
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(200)
    assert page.evaluate(drawn) != before
    page.get_by_text("log 2, about 0.69").last.click()
    page.get_by_text("log 10, about 2.30").last.click()
    assert page.get_by_text("That is the loss for two classes").last.is_visible()
    assert page.get_by_text("Each class gets probability 1/10").last.is_visible()
    term = page.locator("main abbr").first
    term.scroll_into_view_if_needed()
    term.click()
    assert len(page.locator("#term").inner_text().split()) > 4
    page.keyboard.press("Escape")
    assert page.locator("#term").is_hidden()
    solution = page.locator("details", has=page.locator("summary", has_text="Solution")).first
    code = solution.locator("pre").first
    assert not code.is_visible()
    solution.locator("summary").click()
    assert code.is_visible() and page.faults == []
