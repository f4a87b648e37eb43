"""The training panel in JupyterLab: Stop is pressed while the cell runs, and the panel says how it ended."""

from tools import screenshot as lab

CELLS = (
    """import time
from course_utils import explorers, training
history, ended = training.History(1, 2000), "by itself"
try:
    with explorers.TrainingPanel() as panel:
        for step in range(2000):
            time.sleep(0.05)  # busy for 100 seconds
            history.add_step(0.5, size=1, tokens=10)
            panel(history)
except KeyboardInterrupt:
    ended = "by Stop"
print(ended, history.step < 1500)""",
    "print('the next cell')",
)


def test_stop_is_heard_while_the_cell_runs_and_the_panel_says_how_it_ended(made, axe):
    page, panel = made, ".jp-OutputArea-output:has(progress)"
    lab.run_command(page, "notebook:run-all-cells", wait=False)
    page.wait_for_function("() => document.querySelector('progress')?.value > 0.002", timeout=120_000)
    assert axe(page, panel) == []
    page.get_by_role("button", name="Stop, or press ■").click()
    page.get_by_text("Stopped after").wait_for(timeout=30_000)
    page.get_by_text("by Stop True").wait_for(timeout=30_000)
    page.get_by_role("button", name="ended", disabled=True).wait_for()
    page.locator("img[alt^='Loss and validation accuracy up to step']").wait_for()
    page.get_by_role("progressbar", name="training").wait_for()
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        lab.set_theme(page, theme)
        assert axe(page, panel) == [], theme
