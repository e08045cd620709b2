"""One YAML node = one Python callable: its keys and values are held against the signature before it is called."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, get_type_hints

from mollm_cli.configuration.fit import fit
from mollm_cli.configuration.targets import TARGET, locate
from mollm_cli.core.errors import RequestError, nearest

MISSING = "???"


def construct(node: object, key: str) -> Any:
    """The object that ``node``, found at ``key`` of the resolved configuration, stands for.

    A mapping with a ``_target_`` is checked and called, inner nodes first; other mappings and lists are walked.
    Raises RequestError for an unknown or missing key, a value of the wrong type, a mandatory value that was not
    given, a target that cannot be imported, and with the constructor's own words where that refuses a value.
    """
    if isinstance(node, Mapping):
        if TARGET in node:
            return _call(node, key)
        return {name: construct(value, f"{key}.{name}") for name, value in node.items()}
    if isinstance(node, list):
        return [construct(value, f"{key}[{index}]") for index, value in enumerate(node)]
    if node == MISSING:
        raise RequestError(required(key))
    return node


def required(key: str) -> str:
    """The refusal of a mandatory value that was not given."""
    return f"{key} is required and has no default; set {key}=VALUE"


def _call(node: Mapping[str, object], key: str) -> Any:
    target = locate(node[TARGET], key)
    values = {name: value for name, value in node.items() if name != TARGET}
    known = parameters(target)
    if not _takes_any_key(target):
        refuse_unknown(values, known, key)
    for name, parameter in known.items():
        if name not in values and parameter.default is inspect.Parameter.empty:
            raise RequestError(f"{key}.{name} is required and has no default; set +{key}.{name}=VALUE")
    arguments = {
        name: fit(construct(value, f"{key}.{name}"), annotation(target.func, known.get(name)), f"{key}.{name}")
        for name, value in values.items()
    }
    try:
        return target(**arguments)
    except ValueError as refused:
        raise RequestError(str(refused)) from refused


def parameters(target: functools.partial[Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of ``target`` that a YAML key can reach, by name."""
    by_name = inspect.signature(target.func).parameters
    return {
        name: p for name, p in by_name.items() if p.kind not in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }


def _takes_any_key(target: functools.partial[Any]) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(target.func).parameters.values())


def annotation(function: Any, parameter: inspect.Parameter | None) -> Any:
    """The type that ``parameter`` of ``function`` asks for; Any where that is none, or seen by checkers only."""
    if parameter is None or parameter.annotation is inspect.Parameter.empty:
        return Any
    holder: Any = SimpleNamespace(__annotations__={"value": parameter.annotation})
    try:
        return get_type_hints(holder, vars(sys.modules[function.__module__]))["value"]
    except NameError:
        return Any


def refuse_unknown(names: Mapping[str, object], known: Mapping[str, object], key: str) -> None:
    """Raise RequestError for the first of ``names`` that is not ``known``; ``key`` is "" at the root."""
    for name in names:
        if name not in known:
            path = f"{key}.{name}" if key else name
            raise RequestError(f"{path} is not a key; {nearest(name, known)}")
