"""The expressions of a source whose value matters: no messages, annotations, decorators, logging or names of types."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
SAYING = {"print", "warn", "filterwarnings", "simplefilter", "TypeVar", "ParamSpec", "NewType"}
"""Calls that tell somebody something, or name a type."""


@dataclass(frozen=True, slots=True)
class Place:
    """A node, and what it is part of."""

    node: ast.AST
    statement: ast.stmt
    """The innermost around it."""
    inside: bool
    """Whether the statement is part of a function: else it runs when the module is imported."""
    default: bool = False
    """A default of an argument or of a field."""
    within: ast.AST | None = None
    """The function whose argument has this default: any call of it may need it."""


def places(tree: ast.Module) -> Iterator[Place]:
    """Every node that may be changed, from the top."""
    for statement in tree.body:
        yield from _of(Place(statement, statement, inside=False))


def _of(place: Place) -> Iterator[Place]:
    node = place.node
    if _is_left_out(node):
        return
    yield place
    if isinstance(node, FUNCTION):
        for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
            yield from _of(Place(default, place.statement, place.inside, default=True, within=node))
    for child in _children(node):
        inside = place.inside or isinstance(node, FUNCTION)
        if isinstance(child, ast.stmt):
            yield from _of(Place(child, child, inside))
        else:
            field = isinstance(node, ast.AnnAssign) and not inside
            yield from _of(Place(child, place.statement, inside, default=field))


def _is_left_out(node: ast.AST) -> bool:
    match node:
        case ast.Raise() | ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.Global() | ast.Nonlocal():
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in SAYING
        case ast.Expr(value=ast.Call() as call):
            return _is_left_out(call)
    return False


def _children(node: ast.AST) -> list[ast.AST]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return list(node.body)
        case ast.Lambda():
            return [node.body]
        case ast.Assert():
            return [node.test]
        case ast.AnnAssign():
            return [node.value] if node.value else []
        case ast.Call():
            # ``strict`` of zip only tells of a fault in the program itself.
            return [node.func, *node.args, *(k.value for k in node.keywords if k.arg != "strict")]
    return list(ast.iter_child_nodes(node))
