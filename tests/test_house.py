"""The rules of the house (DESIGN, section 2), held by reading the source: what may import what, and how large rooms are."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "course_utils"
CORE = (
    "files", "profiles", "processes", "device", "data", "batching", "text", "descent", "models", "pretrained", "layers",
    "prediction", "saving", "training", "cost", "evaluation", "claims", "plots",
)  # fmt: skip
BESIDE = ("away", "chat", "hub", "language_model", "mentions", "processes", "records", "saving")  # beside the core
PICTURES = ("diagrams", "explorers")
# a room imports only what comes before it
ORDER = (
    CORE[0],
    "away",
    "hub",
    "language_model",
    *CORE[1:],
    "chat",
    "mentions",
    "records",
    *PICTURES,
    "exercises",
    "tables",
    "finetune",
    "doctor",
    "cli",
    "__main__",
)
ENGINE = (
    "__init__",
    "definition",
    "running",
    "card",
    "cells",
    "checks",
    "progress",
)  # of exercises; the rest are the exercises themselves
SOURCES = sorted(PACKAGE.rglob("*.py"))
# NamedTuple's public methods, that of `os` to end at once; Vocabulary's own index
PRIVATE_OF_OURS = {"_replace", "_asdict", "_fields", "_exit", "_ids"}


def room(path: Path) -> str:
    """Return the room of a file: its module, or its folder for a wing."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def docstrings(module: ast.AST) -> set[int]:
    """Return the numbers of the lines that docstrings take."""
    lines: set[int] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            lines |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def code_lines(path: Path) -> set[int]:
    """Return the numbers of the lines with code: no docstrings, comments or blank lines."""
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    source = path.read_text(encoding="utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for t in tokens if t.type not in blank for line in range(t.start[0], t.end[0] + 1)}
    return lines - docstrings(ast.parse(source))


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def imported(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield room, module and line of all that a file imports from the package, wherever the import stands."""
    package = ("course_utils", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            wanted = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            wanted = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for parts in wanted:
            if parts[0] == "course_utils" and parts[1:] and parts[1] in ORDER:
                yield parts[1], ".".join(parts[1:]), node.lineno


def size(paths) -> int:
    return sum(len(code_lines(path)) for path in paths)


def test_every_room_has_its_place_in_the_order():
    rooms = {room(path) for path in SOURCES} - {"__init__"}
    assert rooms == set(ORDER)


def test_no_room_imports_from_above_and_so_there_is_no_circle():
    seen, wrong = 0, []
    for path in SOURCES:
        for other, _, line in imported(path) if room(path) != "__init__" else ():
            seen += 1
            if ORDER.index(other) > ORDER.index(room(path)):
                wrong.append(f"{name(path)}:{line} imports {other}, which comes later")
    assert not wrong
    assert seen > 50


@pytest.mark.parametrize("wing", ["diagrams", "explorers", "exercises", "tables", "finetune"])
def test_modules_of_a_wing_import_each_other_in_no_circle(wing):
    modules = {path.stem: {m.split(".")[1] for r, m, _ in imported(path) if r == wing and "." in m}
               for path in (PACKAGE / wing).glob("*.py")}  # fmt: skip
    left = {module: others & set(modules) - {module} for module, others in modules.items()}
    while left:
        free = [module for module, others in left.items() if not others & set(left)]
        assert free, f"a circle in {wing}: {sorted(left)}"
        left = {module: others for module, others in left.items() if module not in free}


def test_modules_are_small():
    rooms = {path: room(path) for path in SOURCES}
    small = [path for path in SOURCES if rooms[path] in (*CORE, *PICTURES, *BESIDE)]
    assert not {name(path): n for path in small if (n := len(code_lines(path))) > 200}
    assert size(path for path in small if rooms[path] in {*CORE} - {*BESIDE}) <= 1_680
    limits = {"diagrams": 580, "explorers": 660, "hub": 195, "language_model": 175, "processes": 70, "saving": 200}
    limits |= {"away": 80, "chat": 115, "records": 50}
    assert not {part: n for part in limits if (n := size(p for p in small if rooms[p] == part)) > limits[part]}


def test_the_wings_and_the_roof_are_small():
    engine = [path for path in (PACKAGE / "exercises").glob("*.py") if path.stem in ENGINE]
    sizes = {"engine": size(engine), **{wing: size((PACKAGE / wing).glob("*.py")) for wing in ("tables", "finetune")}}
    sizes |= {roof: size([PACKAGE / f"{roof}.py"]) for roof in ("doctor", "cli")}
    limits = {"engine": 405, "tables": 690, "finetune": 1_290, "doctor": 100, "cli": 235}
    assert not {part: n for part, n in sizes.items() if n > limits[part]}


def test_what_stands_beside_the_engine_is_exercises():
    others = {path.stem for path in (PACKAGE / "exercises").glob("*.py")} - set(ENGINE)
    assert all(re.fullmatch(r"nb\d\d[a-z]?", stem) for stem in others)


def test_functions_are_short():
    long = []
    for path in SOURCES:
        if re.match(r"nb\d\d", path.stem):
            continue
        code = code_lines(path)
        for function in functions(path):
            lines = range(function.lineno, function.end_lineno + 1)
            if function.name == "fit" and path.stem == "training":
                if len(lines) > 60:
                    long.append(f"training.fit: {len(lines)} lines with its docstring")
            elif (n := len(code & set(lines))) > 40:
                long.append(f"{name(path)}: {function.name} has {n}")
    assert not long


def test_every_field_of_the_training_config_is_given_in_some_notebook():
    (config,) = (n for n in tree(PACKAGE / "training.py").body if isinstance(n, ast.ClassDef) and n.name == "TrainingConfig")
    fields = {node.target.id for node in config.body if isinstance(node, ast.AnnAssign)}
    given: set[str] = set()
    for script in sorted((ROOT / "notebooks" / "py").glob("[0-9]*.py")):
        code = "\n".join(line for line in script.read_text(encoding="utf-8").splitlines() if not line.startswith(("%", "!")))
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in (
                "TrainingConfig",
                "replace",
                "partial",
            ):
                given |= {keyword.arg for keyword in node.keywords if keyword.arg}
    assert len(fields) > 5 and fields <= given, fields - given


def test_what_the_house_does_not_do():
    wrong = []
    for path in SOURCES:
        if path.stem in ("utils", "util", "helpers", "common"):
            wrong.append(f"{name(path)}: a name that says nothing")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Global):
                wrong.append(f"{name(path)}:{node.lineno} global")
            if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
                wrong.append(f"{name(path)}:{node.lineno} star import")
            hides = isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("filterwarnings", "simplefilter"))
            if hides and "ignore" in ast.unparse(node):
                wrong.append(f"{name(path)}:{node.lineno} hides every warning")
    assert not wrong


def own_names(path: Path) -> set[str]:
    """Return private names that a file, or the package, defines itself."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def test_private_parts_of_other_libraries_are_touched_in_device_alone():
    private = re.compile(r"_[a-z]\w*")
    wrong = []
    for path in SOURCES:
        if room(path) == "device":
            continue
        ours = own_names(path) | PRIVATE_OF_OURS
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and private.fullmatch(node.attr) and node.attr not in ours:
                wrong.append(f"{name(path)}:{node.lineno} {ast.unparse(node)}")
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr", "delattr"):
                text = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
                wrong += [f"{name(path)}:{node.lineno} {ast.unparse(node)}" for t in text if private.fullmatch(t)]
            if isinstance(node, ast.ImportFrom) and not node.level and "course_utils" not in (node.module or ""):
                parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
                wrong += [f"{name(path)}:{node.lineno} {p}" for p in parts if private.fullmatch(p) and p != "__future__"]
    assert not wrong
