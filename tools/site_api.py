"""Write the reference of the package from its docstrings, as Markdown for the website; nothing is imported."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "course_utils"
Definition = ast.FunctionDef | ast.ClassDef


def signature(node: Definition) -> str:
    """Return a name with its arguments; a class takes those of its `__init__`, or its fields."""
    init = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
    if isinstance(node, ast.FunctionDef):
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        return f"{node.name}({ast.unparse(node.args)}){returns}"
    if init:
        return f"{node.name}({re.sub(r'^self(, )?', '', ast.unparse(init[0].args))})"
    fields = [part for part in node.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)]
    return f"{node.name}({', '.join(ast.unparse(field) for field in fields)})" if fields else node.name


def docstring(node: ast.Module | Definition) -> str:
    """Return a docstring as Markdown: `Args:` and `Raises:` become lists."""
    lines = inspect.cleandoc(ast.get_docstring(node) or "").splitlines()
    made, listed = [], False
    entries = re.compile(r"    (\S[^:]*): (.*)")
    fields = re.compile(r"([a-z]\w*): (.*)" if isinstance(node, ast.ClassDef) else r"(?!)()")  # what a field means
    for line in lines:
        if re.fullmatch(r"[A-Z]\w+( in)?:", line):
            listed = True
            made += ["", f"**{line}**", ""]
        elif entry := (entries if listed else fields).fullmatch(line):
            made.append(f"* `{entry[1]}`: {entry[2]}")
        else:
            listed = listed and (not line or line.startswith("    "))
            made.append("  " + line.strip() if listed and line else line)
    return "\n".join(made)


def block(kind: str, title: str, text: str, fence: str = "```") -> str:
    return f"{fence}{{py:{kind}}} {title}\n{text}\n{fence}\n"


def public(body: list[ast.stmt]) -> list[Definition]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node for node in body if isinstance(node, kinds) and node.name[0] != "_" and ast.get_docstring(node)]


def entry(node: Definition) -> str:
    """Return the directive of a function or class, with its public methods."""
    if isinstance(node, ast.FunctionDef):
        return block("function", signature(node), docstring(node), "````")
    methods = [node for node in public(node.body) if isinstance(node, ast.FunctionDef)]
    inside = [
        block("method", signature(method).replace("(self, ", "(").replace("(self)", "()"), docstring(method))
        for method in methods
    ]
    return block("class", signature(node), "\n".join([docstring(node), "", *inside]), "````")


def page() -> str:
    """Return the page of all modules, in the order of their names."""
    parts = ["# Reference of the package", "", "Made from the docstrings of `course_utils`.", ""]
    for path in sorted(PACKAGE.rglob("*.py")):
        names = path.relative_to(ROOT).with_suffix("").parts
        if re.match(r"nb\d\d", path.stem):
            continue
        module = ast.parse(path.read_text(encoding="utf-8"))
        entries = [entry(node) for node in public(module.body)]
        if entries:
            name = ".".join(names).removesuffix(".__init__")
            parts += [f"## {name}", "", f"```{{py:currentmodule}} {name}\n```", "", docstring(module), "", *entries]
    return "\n".join(parts)
