"""A configuration value against the annotation of the parameter it goes to."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from mollm_cli.core.errors import RequestError, nearest
from mollm_cli.core.secrets import HIDDEN, is_secret

_MISFIT = object()
_WORDS = {int: "an integer", float: "a finite number", bool: "true or false", str: "text", types.NoneType: "null"}


def fit(value: object, annotation: Any, key: str) -> Any:
    """``value`` as ``annotation`` wants it: an integer for a number becomes a float, a list for a tuple a tuple.

    Nothing else is converted: true is no integer, 5 is no text, nan and inf are no numbers. Annotations that say
    nothing about a plain value (Any, callables, protocols) let everything pass. Raises RequestError.
    """
    fitted = _fit(value, annotation)
    if fitted is not _MISFIT:
        return fitted
    found = HIDDEN if is_secret(key) else f"{_spell(value)}{_hint(value, annotation, key)}"
    raise RequestError(f"{key} must be {describe(annotation)}, found {found}")


def describe(annotation: Any) -> str:
    """``annotation`` in words: "an integer or null", "one of none, lora", "a list of 2 (each a finite number)"."""
    annotation = _plain(annotation)
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return str(arguments[0]) if len(arguments) == 1 else f"one of {', '.join(map(str, arguments))}"
    if origin in (Union, types.UnionType):
        return " or ".join(describe(a) for a in arguments)
    container = origin or annotation
    if inspect.isclass(container) and issubclass(container, Mapping):
        return "a mapping"
    if inspect.isclass(container) and issubclass(container, Iterable):
        length = f" of {len(arguments)}" if container is tuple and arguments and arguments[-1] is not ... else ""
        return f"a list{length}" + (f" (each {describe(arguments[0])})" if arguments else "")
    return f"a {getattr(annotation, '__name__', annotation)} (a mapping with its _target_)"


def _plain(annotation: Any) -> Any:
    return types.NoneType if annotation is None else annotation


def _fit(value: object, annotation: Any) -> object:
    annotation = _plain(annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        return value if any(type(value) is type(a) and value == a for a in get_args(annotation)) else _MISFIT
    if origin in (Union, types.UnionType):
        fitted = (_fit(value, a) for a in get_args(annotation))
        return next((f for f in fitted if f is not _MISFIT), _MISFIT)
    if annotation is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if number else _MISFIT  # type: ignore[arg-type]  # mypy does not follow ``number``
    if annotation in _WORDS:
        return value if type(value) is annotation else _MISFIT
    container = origin or annotation
    if container in (Any, object) or not inspect.isclass(container):
        return value
    if issubclass(container, Mapping):
        return _fit_mapping(value, get_args(annotation))
    if issubclass(container, (list, tuple, Sequence)):
        return _fit_list(value, container, get_args(annotation))
    try:
        return value if isinstance(value, container) else _MISFIT
    except TypeError:  # a protocol that cannot be checked at run time
        return _MISFIT if isinstance(value, (str, int, float, list, dict, types.NoneType)) else value


def _fit_mapping(value: object, arguments: tuple[Any, ...]) -> object:
    if not isinstance(value, Mapping):
        return _MISFIT
    if not arguments:
        return value
    fitted = {key: _fit(item, arguments[1]) for key, item in value.items()}
    return _MISFIT if any(f is _MISFIT for f in fitted.values()) else fitted


def _fit_list(value: object, container: type, arguments: tuple[Any, ...]) -> object:
    if not isinstance(value, (list, tuple)):
        return _MISFIT
    kinds = [k for k in arguments if k is not ...]
    if container is tuple and arguments and arguments[-1] is not ...:
        if len(value) != len(kinds):
            return _MISFIT
    else:
        kinds = kinds * len(value) if kinds else [Any] * len(value)
    fitted = [_fit(item, kind) for item, kind in zip(value, kinds, strict=True)]
    if any(f is _MISFIT for f in fitted):
        return _MISFIT
    return fitted if container is list else tuple(fitted)


def _spell(value: object) -> str:
    """``value`` as a user would write it, cut to a line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, (str, int, float, list, dict)) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _hint(value: object, annotation: Any, key: str) -> str:
    """The remedy: the nearest choice, or the quotes that make a text of a number."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    choices = [str(a) for k in kinds if get_origin(k) is Literal for a in get_args(k)]
    if choices and isinstance(value, str):
        return f"; {nearest(value, choices)}"
    if str in kinds and isinstance(value, (int, float)):
        return f"; to make it text, quote it: '{key}=\"{_spell(value)}\"'"
    return ""
