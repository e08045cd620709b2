"""The texts that errors are raised with, read from the syntax tree of the project: no module is imported."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "mollm_cli"
HOLE = "…"
REMEDY = "⟨remedy⟩"
"""A hole that what to do is filled into, by the kind of the problem."""
REMEDIES = ("remedy", "advice", "INSTALL")
"""Names of such holes."""
NEAREST = "did you mean …? choices: …"
"""What core.errors.nearest writes."""
BUILT_IN = ("ValueError", "TypeError", "KeyError", "OSError", "RuntimeError", "ArgumentTypeError")
PROBLEM = "_problem"
"""How a function is called that returns what is wrong as a text; its caller raises it."""
MOST = 12
"""Alternatives of one text; where there are more, what differs is a hole."""
DEEP = 3
"""Functions that are followed for what they return."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Source:
    """One place that makes an error: file below the package, function ("Class.method"), class of the error, its texts.

    argument: the expression, as it is written.
    """

    file: str
    function: str
    error: str
    texts: tuple[str, ...]
    argument: str

    @property
    def opaque(self) -> bool:
        """Whether nothing of the text is known here."""
        return all(not text.strip(f"{HOLE} ") for text in self.texts)


@dataclass(frozen=True, slots=True)
class Module:
    """One file: its tree, and what of it, and of what it imports, a text may be made of."""

    file: str
    tree: ast.Module
    functions: dict[str, Function] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)


@cache
def sources(package: Path = PACKAGE) -> list[Source]:
    """Every place in ``package`` that makes an error of our own, or one of BUILT_IN."""
    modules = {m.file: m for m in (_module(file, package) for file in sorted(package.rglob("*.py")))}
    classes = {*BUILT_IN, *(name for module in modules.values() for name in _errors(module.tree))}
    return [source for module in modules.values() for source in _sources(module, classes, modules)]


def _errors(tree: ast.Module) -> Iterator[str]:
    return (n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.bases and n.name.endswith("Error"))


def _module(file: Path, package: Path) -> Module:
    module = Module(str(file.relative_to(package)), ast.parse(file.read_text(encoding="utf-8")))
    for node in ast.walk(module.tree):
        if isinstance(node, Function):
            module.functions[node.name] = node
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package.name):
            place = f"{(node.module or '').removeprefix(package.name).lstrip('.').replace('.', '/')}.py"
            module.imports.update({name.asname or name.name: (place, name.name) for name in node.names})
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            module.constants.update({t.id: str(node.value.value) for t in node.targets if isinstance(t, ast.Name)})
    return module


def _sources(module: Module, classes: set[str], modules: Mapping[str, Module]) -> Iterator[Source]:
    reader = _Reader(module, modules)
    for within, node in _inside(module.tree, ""):
        if isinstance(node, ast.Call) and node.args:
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in classes:
                texts = tuple(dict.fromkeys(" ".join(text.split()) for text in reader.texts(node.args[0])))
                yield Source(module.file, within, name, texts, ast.unparse(node.args[0]))
        elif isinstance(node, Function) and node.name.endswith(PROBLEM):
            yield Source(module.file, within, "ValueError", tuple(reader.returned(node)), node.name)


def _inside(node: ast.AST, within: str) -> Iterator[tuple[str, ast.AST]]:
    """(the function it stands in, or is, a node) of everything below ``node``."""
    for child in ast.iter_child_nodes(node):
        place = f"{within}.{child.name}".lstrip(".") if isinstance(child, Function | ast.ClassDef) else within
        yield place, child
        yield from _inside(child, place)


@dataclass(frozen=True, slots=True)
class _Reader:
    """The texts that an expression of ``module`` can be."""

    module: Module
    modules: Mapping[str, Module]
    depth: int = 0

    def texts(self, node: ast.expr) -> list[str]:
        match node:
            case ast.Constant():
                return [str(node.value)]
            case ast.JoinedStr():
                return _product([self.texts(value) for value in node.values])
            case ast.FormattedValue():
                return self.texts(node.value)
            case ast.BinOp(op=ast.Add()):
                return _product([self.texts(node.left), self.texts(node.right)])
            case ast.IfExp():
                return [*self.texts(node.body), *self.texts(node.orelse)]
            case ast.Name():
                return [REMEDY if node.id in REMEDIES else self._constant(node.id)]
            case ast.Call():
                return self._called(node)
        return [HOLE]

    def returned(self, function: Function) -> list[str]:
        """What ``function`` returns, [] where that is too much to show."""
        nodes = (node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value)
        texts = [text for node in nodes if ast.unparse(node) != "None" for text in self.texts(node)]
        return list(dict.fromkeys(texts))

    def _constant(self, name: str) -> str:
        place, original = self.module.imports.get(name, (self.module.file, name))
        return self.modules[place].constants.get(original, HOLE) if place in self.modules else HOLE

    def _called(self, node: ast.Call) -> list[str]:
        name = ast.unparse(node.func).removeprefix("self.")
        if "nearest(" in ast.unparse(node):
            return [NEAREST]
        place, original = self.module.imports.get(name, (self.module.file, name))
        module = self.modules.get(place)
        function = module.functions.get(original) if module is not None else None
        if module is None or function is None or self.depth == DEEP or _type(function) != "str":
            return [REMEDY] if name in ("remedy", "network.remedy") else [HOLE]
        found = _Reader(module, self.modules, self.depth + 1).returned(function)
        return found if 0 < len(found) <= MOST else [HOLE]


def _type(function: Function) -> str:
    return ast.unparse(function.returns) if function.returns else ""


def _product(parts: list[list[str]]) -> list[str]:
    found = ["".join(choice) for choice in itertools.islice(itertools.product(*parts), MOST + 1)]
    return found if len(found) <= MOST else ["".join(part[0] if len(part) == 1 else HOLE for part in parts)]
