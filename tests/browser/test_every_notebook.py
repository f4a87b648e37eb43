"""Every notebook in JupyterLab, run in the smoke profile: no error in an output, the page or the console.

Continuous integration opens notebook 01; the others have the marker `long` (`pytest -m long tests/browser`).
"""

from contextlib import closing
from pathlib import Path

import pytest

from course_utils import doctor
from tools import screenshot as lab

NAMES = sorted(path.stem for path in (Path(__file__).parents[2] / "notebooks").glob("[0-9][0-9]*_*.ipynb"))
OUTSIDE = ("net::ERR", "Failed to load resource")  # the badge is a picture of another host
OUTPUTS = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .filter(cell => cell.model.type === 'code').flatMap(cell => cell.model.outputs.toJSON())"""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name.startswith("01") else pytest.mark.long) for name in NAMES]
)
def test_a_notebook_runs_without_an_error_of_ours_and_its_pictures_have_words(browser, address, name):
    if name.startswith("03b") and doctor.torchtext_python() is None:
        pytest.skip("the kernel torchtext is not here")
    wrong = []
    with closing(browser.context.new_page()) as page:
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        lab.open_notebook(page, address, name)
        lab.run_all(page, seconds=1500)
        outputs = page.evaluate(OUTPUTS)
        assert [out for out in outputs if out["output_type"] == "error" or out.get("name") == "stderr"] == []
        unnamed = page.evaluate("() => [...document.querySelectorAll('.jp-OutputArea img:not([alt])')].length")
        waiting = page.locator(".course-explorer:not([data-alive])").count()
        lab.run_command(page, "kernelmenu:shutdown")
    assert (unnamed, waiting) == (0, 0)
    assert [text for text in wrong if not any(part in text for part in OUTSIDE)] == []
