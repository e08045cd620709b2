"""JSON that a run of ours wrote, read back: a run directory may be anybody's, so its files may hold anything."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mollm_cli.core.errors import MollmError, RequestError

LARGEST = 256 << 20
"""Bytes of one of our JSON files: a run with ten thousand logged evaluations is far below."""
DEEPEST = 32
"""Mappings and lists in each other."""
Shape = Mapping[str, Any]
"""Key -> a type, a tuple of types, or the Shape of a mapping; keys that end in ? may be absent."""


def read_mapping(file: Path, shape: Shape | None = None) -> dict[str, Any]:
    """The mapping in ``file``, whose values are as ``shape`` says. Raises OSError, and ValueError in words."""
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
        raise ValueError("must be a file, found a folder, a pipe or a device")
    if (size := found.st_size) > LARGEST:
        raise ValueError(f"must have at most {LARGEST >> 20} MiB, found {size >> 20} MiB")
    return mapping(file.read_bytes(), shape)


def mapping(text: str | bytes, shape: Shape | None = None) -> dict[str, Any]:
    """``read_mapping`` of a text that has been read. Raises ValueError in words."""
    try:
        found = json.loads(text)
    except RecursionError as deep:
        raise ValueError(f"must be at most {DEEPEST} deep, found more") from deep
    if not isinstance(found, dict):
        raise ValueError(f"must hold a mapping, found {type(found).__name__}")
    check_depth(found)
    _check(found, shape or {}, "")
    return found


def check_depth(node: Any) -> None:
    """Raise ValueError where lists and mappings in ``node`` stand deeper in each other than DEEPEST."""
    level = [node]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise ValueError(f"must be at most {DEEPEST} deep, found more")


def _check(found: Mapping[str, Any], shape: Shape, place: str) -> None:
    for key, wanted in shape.items():
        name = key.removesuffix("?")
        if name not in found:
            if name == key:
                raise ValueError(f"must hold {place}{name}, found no such key")
            continue
        kinds = dict if isinstance(wanted, Mapping) else wanted
        if not isinstance(found[name], kinds):
            raise ValueError(f"must hold {_called(kinds)} in {place}{name}, found {type(found[name]).__name__}")
        if isinstance(wanted, Mapping):
            _check(found[name], wanted, f"{place}{name}.")


def _called(kinds: type | tuple[type, ...]) -> str:
    return " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))


@contextmanager
def reading_back(file: Path, remedy: str) -> Iterator[None]:
    """The boundary around putting to use what was read back: whatever it raises is a RequestError, but want of memory.

    Torch's own want of memory is a RuntimeError of that name.
    """
    try:
        yield
    except (MollmError, MemoryError):
        raise
    except Exception as problem:
        if type(problem).__name__ == "OutOfMemoryError":
            raise
        lines = str(problem).strip().splitlines() or [""]
        raise RequestError(
            f"{file} must be what a run wrote, found {type(problem).__name__}: {lines[0][:200]}. {remedy}"
        ) from problem
