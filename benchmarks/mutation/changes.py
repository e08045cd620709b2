"""The small faults that can be put at one node: (kind, the node in place of it)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from copy import deepcopy

from benchmarks.mutation.walk import Place

Change = tuple[str, ast.AST, ast.AST]
"""Its kind, the node that goes, the node that comes."""
BOUNDARY = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
OPPOSITE = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult,
}  # fmt: skip
SWAPPED = {
    name: other
    for pair in (("min", "max"), ("amin", "amax"), ("minimum", "maximum"), ("floor", "ceil"), ("any", "all"),
                 ("argmin", "argmax"))
    for name, other in (pair, pair[::-1])
}  # fmt: skip
KINDS = {"min": "extreme", "any": "logic", "floor": "rounding"}
TEXT = (ast.JoinedStr, ast.List, ast.Tuple, ast.ListComp, ast.Dict, ast.Set)
"""Operands that make ``+``, ``*`` and ``/`` something other than arithmetic: texts, lists, paths."""


def changes(place: Place) -> Iterator[Change]:
    """Every fault of this node."""
    node = place.node
    if place.default:
        yield from _of_default(node)
        if isinstance(node, ast.Constant):
            return
    for found in (_of_operator, _of_condition, _of_call, _of_statement):
        yield from found(node)


def _of_default(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "default", node, ast.Constant(not node.value)
    elif _is_number(node):
        yield "default", node, ast.Constant(node.value + 1)


def _of_operator(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare():
            for kind, table in (("boundary", BOUNDARY), ("comparison", OPPOSITE)):
                for at, operator in enumerate(node.ops):
                    if type(operator) in table:
                        ops = [*node.ops[:at], table[type(operator)](), *node.ops[at + 1 :]]
                        yield kind, node, _with(node, ops=ops)
        case ast.BinOp(op=op) if type(op) in ARITHMETIC and not _is_of_text(node):
            yield "arithmetic", node, _with(node, op=ARITHMETIC[type(op)]())
        case ast.BoolOp(op=op):
            yield "logic", node, _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not()):
            yield "not", node, node.operand
        case ast.UnaryOp(op=ast.USub()) if not isinstance(node.operand, ast.Constant):
            yield "sign", node, node.operand
        case ast.Constant() if _is_number(node):
            yield "constant", node, ast.Constant(node.value + 1)


def _of_condition(node: ast.AST) -> Iterator[Change]:
    tests = node.ifs if isinstance(node, ast.comprehension) else [getattr(node, "test", None)]
    for test in tests:
        plain = isinstance(test, ast.Name | ast.Attribute | ast.Call | ast.NamedExpr | ast.Subscript)
        if plain and not isinstance(node, ast.Assert):
            yield "not", test, ast.UnaryOp(ast.Not(), test)


def _of_call(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in SWAPPED:
            yield _kind(name), node, _with(node, func=ast.Name(SWAPPED[name]))
        case ast.Call(func=ast.Attribute(attr=name) as function) if name in SWAPPED:
            yield _kind(name), node, _with(node, func=_with(function, attr=SWAPPED[name]))


def _of_statement(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Return(value=ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult()) as value) if not _is_of_text(value):
            yield "term", value, value.left
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Break() | ast.Continue():
            yield "statement", node, ast.Pass()
        case ast.Assign(targets=targets) if all(isinstance(t, ast.Attribute | ast.Subscript) for t in targets):
            yield "statement", node, ast.Pass()


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)


def _is_of_text(node: ast.BinOp) -> bool:
    return any(isinstance(n, TEXT) or (isinstance(n, ast.Constant) and isinstance(n.value, str))
               for side in (node.left, node.right) for n in _operands(side))  # fmt: skip


def _operands(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BinOp):
        yield from _operands(node.left)
        yield from _operands(node.right)
    else:
        yield node


def _kind(name: str) -> str:
    return KINDS.get(name) or KINDS.get(SWAPPED[name]) or "extreme"


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = deepcopy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
