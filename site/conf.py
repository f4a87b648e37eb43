"""Settings of the website; `python -m tools.site` prepares the pages and calls Sphinx with them."""

import re
import tomllib
from pathlib import Path

from docutils import nodes

HERE = Path(__file__).parent
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "version.txt").read_text(encoding="utf-8"))[1]

project = "The Fine-Tuning Course"
author = PROJECT["authors"][0]["name"]
copyright = f"{author}; text and figures CC BY 4.0, code Apache-2.0"
extensions = ["myst_nb"]
language = "en"
exclude_patterns = ["vendor"]

nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"
nb_mime_priority_overrides = [("html", "text/html", 0)]
myst_enable_extensions = ["dollarmath", "amsmath", "smartquotes"]
myst_heading_anchors = 4
suppress_warnings = ["ref.python"]  # two modules may each have a class of one name
mathjax_path = "mathjax.js"
mathjax3_config = {"options": {"enableMenu": False}}

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["static", "vendor"]
html_extra_path = ["extra"]
html_css_files = ["course.css"]
html_js_files = [("course.js", {"defer": "defer"})]
html_favicon = "static/favicon.svg"
html_context = {"default_mode": "auto"}
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "repository_url": REPOSITORY,
    "repository_branch": f"v{VERSION}",  # buttons open the notebooks of the release, whose first cell installs its wheel
    "path_to_docs": "",
    "use_repository_button": True,
    "use_issues_button": True,
    "use_download_button": False,
    "home_page_in_toc": True,
    "navbar_persistent": [],  # the search field is in the side bar
    "show_navbar_depth": 1,
    "launch_buttons": {
        "notebook_interface": "jupyterlab",
        "colab_url": "https://colab.research.google.com",
        "binderhub_url": "https://mybinder.org",
    },
}


def name_the_language(app, pagename, templatename, context, doctree):
    """Tell browsers and screen readers which pages are Chinese."""
    if pagename.endswith(".zh") or "/zh/" in pagename:
        context["language"] = "zh-CN"


CHINESE, CHINESE_MARK = re.compile("[\u3000-\u9fff\uff00-\uffef]"), re.compile("[\u3000-\u303f\uff00-\uffef]")


def join_chinese_lines(app, doctree):
    """Drop the ends of lines inside Chinese text: a browser would show each as a space."""
    for end in [text for text in doctree.findall(nodes.Text) if text == "\n"]:
        at, line = end.parent.index(end), [child.astext() for child in end.parent]
        before, after = "".join(line[:at])[-1:], "".join(line[at + 1 :])[:1]
        if CHINESE_MARK.match(before) or (CHINESE.match(before) and CHINESE.match(after)):
            end.parent.remove(end)


def setup(app):
    app.connect("html-page-context", name_the_language)
    app.connect("doctree-read", join_chinese_lines)
