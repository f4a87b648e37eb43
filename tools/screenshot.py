"""Take a picture of a notebook as JupyterLab shows it.

    python -m tools.screenshot 01 docs/images/notebook_01.png --scroll-to "learning-rate explorer"
    python -m tools.screenshot 03 notebook_03.png --dark --run --size 1200x900

Needs Debian's `chromium` (or Chrome) and the package playwright. The notebook is opened in a copy, so nothing
in the course changes. tests/browser drives the same functions.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from course_utils.cli import LAB
from tools import tables

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
QUIET = (  # a browser that draws pages, and does nothing else of its own accord
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-dev-shm-usage", "--no-first-run", "--disable-breakpad", "--metrics-recording-only",
)  # fmt: skip
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page, also far below
    "docmanager-extension/plugin": {"autosave": False},
}


def find_browser() -> str | None:
    """Return the path of an installed Chromium or Chrome, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def private_environment(folder: Path, *, dark: bool, profile: str) -> dict[str, str]:
    """Return the environment of a JupyterLab whose settings live in `folder`, apart from the user's."""
    settings = {**SETTINGS, "apputils-extension/themes": {"theme": "JupyterLab Dark" if dark else "JupyterLab Light"}}
    for name, values in settings.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    places = {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
    }
    return {**os.environ, **{key: str(folder / name) for key, name in places.items()}, "COURSE_PROFILE": profile}


@contextmanager
def lab_server(
    *, dark: bool = False, profile: str = "smoke", patience: float = 90.0, more: Path | None = None
) -> Iterator[str]:
    """Run JupyterLab on a copy of the notebooks and yield its address, with its token as `{address}?token=...`.

    Args:
        more: a folder of other notebooks, which are copied beside them.

    Raises:
        RuntimeError: it did not answer in time; the message holds the end of its log.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for part in ("notebooks", "docs"):
            shutil.copytree(ROOT / part, folder / "course" / part)
        if more:
            shutil.copytree(more, folder / "course" / "notebooks", dirs_exist_ok=True)
        port, token = free_port(), secrets.token_hex(16)
        options = {"root_dir": folder / "course", "port": port, "port_retries": 0, "ip": "127.0.0.1", "allow_root": True}
        command = [sys.executable, "-m", "jupyterlab", *LAB, "--no-browser", "--LabApp.expose_app_in_browser=True"]
        command += [f"--ServerApp.{key}={value}" for key, value in options.items()] + [f"--IdentityProvider.token={token}"]
        environment = private_environment(folder, dark=dark, profile=profile)
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(command, env=environment, stdout=log, stderr=log) as server,
        ):
            try:
                wait_for_server(f"http://127.0.0.1:{port}/api", server, folder / "log", patience)
                yield f"http://127.0.0.1:{port}/lab/tree/notebooks/{{name}}?reset&token={token}"
            finally:
                server.terminate()
                try:
                    server.wait(timeout=30)
                except subprocess.TimeoutExpired:  # a page that is still open keeps it
                    server.kill()


def wait_for_server(address: str, server: subprocess.Popen, log: Path, patience: float) -> None:
    """Return as soon as `address` answers."""
    ends = time.monotonic() + patience
    while time.monotonic() < ends and server.poll() is None:
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-2000:]}")


@contextmanager
def browser_page(*, size: tuple[int, int] = (1280, 900), scale: float = 1.0) -> Iterator[Any]:
    """Yield a Playwright page of a fresh browser whose profile lives in a temporary folder."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder,
            executable_path=find_browser(),
            args=list(QUIET),
            viewport={"width": size[0], "height": size[1]},
            device_scale_factor=scale,
        )
        try:
            yield context.pages[0]
        finally:
            context.close()


def open_notebook(page: Any, address: str, script: str) -> None:
    """Open a notebook of the course, alone in the window, and wait until its kernel is idle."""
    page.goto(address.format(name=f"{script}.ipynb"))
    page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.content?.widgets?.length > 1", timeout=60_000)
    run_command(page, "application:toggle-mode")  # one document, no tabs beside it
    wait_until_idle(page)


def run_command(page: Any, command: str, *, wait: bool = True) -> None:
    """Carry out one of JupyterLab's commands; with `wait` return when it is done."""
    page.evaluate(
        f"() => {{ const done = window.jupyterapp.commands.execute({command!r}); return {str(wait).lower()} ? done : 0 }}"
    )


def set_theme(page: Any, name: str) -> None:
    """Change the theme of JupyterLab, such as to "JupyterLab Dark", and return when it is drawn."""
    page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name)
    page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)
    page.wait_for_timeout(500)  # colours fade


def wait_until_idle(page: Any, *, seconds: float = 120.0) -> None:
    """Return when the kernel of the open notebook has nothing left to do."""
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'",
        timeout=1000 * seconds,
    )


def run_all(page: Any, *, seconds: float = 300.0) -> None:
    """Run every cell of the open notebook, from no outputs at all, and wait for the last."""
    run_command(page, "notebook:clear-all-cell-outputs")
    run_command(page, "notebook:run-all-cells", wait=False)
    page.wait_for_function(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
            .filter(cell => cell.model.type === 'code' && cell.model.sharedModel.source.trim())
            .every(cell => cell.model.executionCount)""",
        timeout=1000 * seconds,
    )
    wait_until_idle(page)


def scroll_to(page: Any, text: str) -> None:
    """Bring the first heading, or else the first text, that holds `text` to the top of the window."""
    found = page.locator(".jp-Notebook").locator(":is(h1, h2, h3, p, pre, td)").filter(has_text=text).first
    found.evaluate("element => element.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(800)


def notebook_name(chosen: str) -> str:
    """Return the stem of the notebook that a number, such as 01, or a path stands for."""
    names = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    picked = [name for name in names if Path(chosen).stem in (name, tables.number_of(name))]
    if not picked:
        sys.exit(f"There is no notebook {chosen}. There are: {', '.join(names)}.")
    return picked[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", help="number, such as 01, or file")
    parser.add_argument("out", type=Path, help="the PNG to write")
    parser.add_argument("--scroll-to", metavar="TEXT", help="show the place where this text stands")
    parser.add_argument("--dark", action="store_true", help="JupyterLab's dark theme")
    parser.add_argument("--run", action="store_true", help="run every cell first (else the stored outputs are shown)")
    parser.add_argument("--profile", default="smoke", help="COURSE_PROFILE for --run (default: smoke)")
    parser.add_argument("--size", default="1280x900", help="of the window, in pixels (default: 1280x900)")
    parser.add_argument("--scale", type=float, default=1.0, help="device pixels for each (2: a sharper, larger picture)")
    options = parser.parse_args()
    if find_browser() is None:
        sys.exit("There is no Chromium here. On Debian: apt-get install chromium")
    width, height = map(int, options.size.split("x"))
    with (
        lab_server(dark=options.dark, profile=options.profile) as address,
        browser_page(size=(width, height), scale=options.scale) as page,
    ):
        open_notebook(page, address, notebook_name(options.notebook))
        run_command(page, "application:toggle-left-area")  # the list of files
        if options.run:
            run_all(page)
        page.wait_for_timeout(1500)
        if options.scroll_to:
            scroll_to(page, options.scroll_to)
        page.screenshot(path=str(options.out))
    print(f"{options.out}: {options.out.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
