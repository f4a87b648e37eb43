"""Find cells that give a model tensors on another device: `python -m tools.devices`.

A notebook is read from top to bottom. A name is "moved" if it was assigned from something with `.to(...)`, `.cuda()` or
`device=`, and "on the CPU" if it comes from what makes CPU tensors or models. A call of a model on the device with a
name on the CPU, or the other way round, fails on a GPU though it runs on every laptop.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAKES_MODELS = ("load_classifier", "load_encoder", "from_pretrained", "from_config", "LSTMClassifier", "UpperLayers")
MAKES_TENSORS = ("collate", "from_numpy", "tensor", "zeros", "ones", "full", "arange", "randint", "randn", "rand")
KEEPS = ("deepcopy", "eval", "train", "items", "detach", "clone", "float", "long", "copy")  # where their input was


def called(node: ast.AST) -> str:
    """Return the last name of what a call calls: "collate" for `batching.collate(...)`; "" for anything else."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


class Places(ast.NodeVisitor):
    """Follows where names are, and notes calls of models whose arguments are elsewhere."""

    def __init__(self) -> None:
        self.models: dict[str, str] = {}
        self.tensors: dict[str, str] = {}
        self.found: list[str] = []

    def where(self, node: ast.AST) -> str:
        """Return "device", "cpu" or "" (unknown) for an expression."""
        names = [called(part) for part in ast.walk(node)]
        keywords = [keyword for part in ast.walk(node) if isinstance(part, ast.Call) for keyword in part.keywords]
        if "cpu" in names or "numpy" in names:
            return "cpu"
        if "to" in names or "cuda" in names or any(keyword.arg == "device" for keyword in keywords):
            return "device"
        used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        known = {place for name in used if (place := self.models.get(name) or self.tensors.get(name))}
        pt = any(keyword.arg == "return_tensors" for keyword in keywords)
        if pt or any(name in (*MAKES_TENSORS, *MAKES_MODELS) for name in names):
            return "device" if known == {"device"} else "cpu"
        return known.pop() if len(known) == 1 else ""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Read a function with its parameters unknown, and forget its own names afterwards."""
        before = dict(self.models), dict(self.tensors)
        for parameter in [*node.args.args, *node.args.kwonlyargs]:
            self.models.pop(parameter.arg, None)
            self.tensors.pop(parameter.arg, None)
        self.generic_visit(node)
        self.models, self.tensors = before

    def visit_Assign(self, node: ast.Assign) -> None:
        """Note where the assigned names are."""
        self.generic_visit(node)
        for target in node.targets:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple):
                values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value] * len(target.elts)
                pairs = list(zip(target.elts, values, strict=len(values) == len(target.elts)))
            for name, value in pairs:
                if isinstance(name, ast.Name):
                    self.note(name.id, value)

    def note(self, name: str, value: ast.AST) -> None:
        """Note one name and the value it gets."""
        makers = {called(part) for part in ast.walk(value)}
        inner = {part.id for part in ast.walk(value) if isinstance(part, ast.Name)}
        place = self.where(value)
        copies = isinstance(value, ast.Call) and called(value) in (*KEEPS, "to", "cpu") and inner & set(self.models)
        same = isinstance(value, ast.Name) and value.id in self.models
        self.models.pop(name, None)
        self.tensors.pop(name, None)
        if makers & set(MAKES_MODELS) or copies or same:
            self.models[name] = place
        elif place:
            self.tensors[name] = place

    def visit_Call(self, node: ast.Call) -> None:
        """Note moves in place (`model.to(device)`), and compare the places of a model's call."""
        self.generic_visit(node)
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if isinstance(owner, ast.Name) and owner.id in self.models and called(node) in ("to", "cuda", "cpu"):
            self.models[owner.id] = "cpu" if called(node) == "cpu" else "device"
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in self.models or not self.models[name]:
            return
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        for argument in given:
            place = self.where(argument)
            if place and place != self.models[name]:
                self.found.append(f"{name} is on {self.models[name]}, but {ast.unparse(argument)[:60]} is on {place}")


def faults(script: str) -> list[str]:
    """Return a sentence for each call in a percent script that gives a model tensors on another device."""
    places = Places()
    places.visit(ast.parse("\n".join(line for line in script.splitlines() if not line.startswith("%"))))
    return places.found


def main() -> int:
    """Print the faults of all notebooks and return 1 if there are any."""
    found = [
        f"{path.name}: {says}"
        for path in sorted((ROOT / "notebooks" / "py").glob("*.py"))
        for says in faults(path.read_text())
    ]
    print("\n".join(found) or "models and their inputs are on one device in every notebook")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
