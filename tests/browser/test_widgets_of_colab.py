"""The panel, the cards and the boxes with the widgets that Colab has, an older ipywidgets, in the kernel and in the page."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FREEZE = (HERE.parent / "colab_freeze.txt").read_text(encoding="utf-8").splitlines()
(COLAB,) = (line for line in FREEZE if line.startswith("ipywidgets=="))
WIDGETS = (COLAB, "ipython_genutils==0.2.0", "jupyterlab_widgets==1.1.11")  # the last one draws those of 7 in JupyterLab 4


@pytest.mark.long
@pytest.mark.parametrize("file", ["test_panel.py", "test_cards.py"])
def test_what_needs_a_kernel_works_with_the_widgets_of_colab(tmp_path_factory, file):
    beside = tmp_path_factory.getbasetemp() / "widgets"  # they hide those of the environment, where nothing is replaced
    if not beside.exists():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(beside), *WIDGETS]
        subprocess.run(install, check=True, timeout=300)
    environment = os.environ | {"PYTHONPATH": str(beside), "JUPYTER_PATH": str(beside / "share" / "jupyter")}
    version = f"import ipywidgets; assert ipywidgets.__version__ == {COLAB.removeprefix('ipywidgets==')!r}"
    subprocess.run([sys.executable, "-c", version], check=True, env=environment)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "slow", str(HERE / file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-3000:]
