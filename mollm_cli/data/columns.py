"""The value at a place in a row: a column, or a path inside one such as ``meta.author.0.name``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

ABSENT: Final = object()
"""The result of ``look`` if there is nothing at the place; null is a value."""


def look(values: Mapping[str, Any], path: str) -> Any:
    """The value at ``path``, or ABSENT. A column of that whole name wins; numbers count in lists, -1 is the last.

    Where no column is called so, one that differs in case, in blanks around it or in blanks for _ is taken.
    """
    found = _at(values, path)
    if found is ABSENT and (meant := _alike(tuple(values), path)) is not None:
        return _at(values, meant)
    return found


def heading(values: Mapping[str, Any], path: str) -> str | None:
    """The column in which ``path`` stands, as the row calls it; None where there is none."""
    if look(values, path) is ABSENT:
        return None
    for name in (path, path.split(".")[0], _alike(tuple(values), path) or ""):
        if name in values:
            return name
    return (_alike(tuple(values), path) or "").split(".")[0]


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """A column's name without what people write in different ways: Best Answer is best_answer."""
    return "_".join(name.replace("-", " ").casefold().split())


@lru_cache(maxsize=4096)
def _alike(names: tuple[str, ...], path: str) -> str | None:
    """``path`` with its column called as one of ``names`` is; None where none is alike."""
    first, dot, rest = path.partition(".")
    whole = next((name for name in names if plain(name) == plain(path)), None)
    return whole or next((name + dot + rest for name in names if plain(name) == plain(first)), None)


def _at(values: Mapping[str, Any], path: str) -> Any:
    if path in values:
        return values[path]
    if "." not in path:
        return ABSENT
    found: Any = values
    for step in path.split("."):
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list | tuple) and _counts(step, len(found)):
            found = found[int(step)]
        else:
            return ABSENT
    return found


def _counts(step: str, length: int) -> bool:
    digits = step.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 10 and -length <= int(step) < length
