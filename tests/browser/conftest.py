"""What the browser tests share: Chromium, a page with one output in it, JupyterLab with a notebook of ours, and axe."""

from contextlib import closing
from importlib import resources
from pathlib import Path

import nbformat
import pytest

from tools import screenshot as lab
from tools.notebooks import KERNELS

THEMES = {"light": "background: white; color: #222", "dark": "background: #111; color: #eee"}
FINDINGS = """async within => (await axe.run(within ?? document, {resultTypes: ['violations']})).violations
    .filter(found => ['serious', 'critical'].includes(found.impact))
    .map(found => [found.id, found.nodes.map(node => node.html)])"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests of this folder as slow, and skip them where there is no Chromium."""
    without = pytest.mark.skipif(
        lab.find_browser() is None, reason="there is no Chromium here (Debian: apt-get install chromium)"
    )
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)
            item.add_marker(without)


@pytest.fixture(scope="module")
def browser():
    """A page of a fresh browser."""
    pytest.importorskip("playwright", reason="the package playwright is not installed: pip install -e '.[browser]'")
    with lab.browser_page() as page:
        yield page


@pytest.fixture
def show(browser):
    """Show HTML as the only content of the page, which is as wide as usual: `show(html, theme="dark")`."""

    def shown(html: str, *, theme: str = "light"):
        head = "<!doctype html><html lang='en'><head><title>output</title></head>"
        browser.set_viewport_size({"width": 1000, "height": 900})
        browser.set_content(
            f"{head}<body style='margin: 8px; font: 14px sans-serif; {THEMES[theme]}'><main>{html}</main></body></html>"
        )
        return browser

    return shown


@pytest.fixture
def axe():
    """Return what axe finds critical or serious: `axe(page, ".course-card")` within these elements, each with its HTML."""
    package = pytest.importorskip("axe_playwright_python", reason="axe is not installed: pip install -e '.[browser]'")
    script = (resources.files(package) / "axe.min.js").read_text(encoding="utf-8")

    def findings(page, within: str | None = None) -> list:
        if not page.evaluate("'axe' in window"):
            page.evaluate(script)
        assert within is None or page.locator(within).count(), f"there is no {within} to look at"
        return page.evaluate(FINDINGS, within)

    return findings


@pytest.fixture
def axe_at_every_width(axe):
    """The same at 1400, 800 and 400 pixels, each finding with its width."""

    def findings(page, within: str) -> list:
        found = []
        for width in (1400, 800, 400):
            page.set_viewport_size({"width": width, "height": 900})
            found += [(width, *finding) for finding in axe(page, within)]
        return found

    return findings


@pytest.fixture(scope="module")
def address(request, tmp_path_factory):
    """JupyterLab in the smoke profile with the notebooks of the course, and 98_made, whose cells a module calls CELLS."""
    cells = [nbformat.v4.new_code_cell(source) for source in getattr(request.module, "CELLS", ())]
    folder = tmp_path_factory.mktemp("made")
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNELS["python3"]})
    nbformat.write(notebook, folder / "98_made.ipynb")
    with lab.lab_server(more=folder) as address:
        yield address


@pytest.fixture
def made(browser, address):
    """98_made, opened in a page of its own with a fresh kernel."""
    with closing(browser.context.new_page()) as page:
        lab.open_notebook(page, address, "98_made")
        yield page
        lab.run_command(page, "kernelmenu:shutdown")
