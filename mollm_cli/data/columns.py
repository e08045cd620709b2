"""The value at a place in a row: a column, or a path inside one such as ``meta.author.0.name``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ABSENT: Final = object()
"""The result of ``look`` if there is nothing at the place; null is a value."""


def look(values: Mapping[str, Any], path: str) -> Any:
    """The value at ``path``, or ABSENT. A column of that whole name wins; numbers count in lists, -1 is the last."""
    if path in values:
        return values[path]
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
