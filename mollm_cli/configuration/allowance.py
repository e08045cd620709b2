"""``limits.*``: how much what others wrote may take is said by whoever types the command, and by no file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mollm_cli.core.budget import Budget
from mollm_cli.core.errors import RequestError

KEY = "limits"


def typed(overrides: Sequence[str]) -> Budget:
    """The budget of a command line. Raises RequestError for a key that it has not, or a value that is no number."""
    names = [field.name for field in dataclasses.fields(Budget)]
    given: dict[str, float] = {}
    for text in overrides:
        key, _, value = text.partition("=")
        node, _, name = key.lstrip("+~").partition(".")
        if node == KEY and name in names:
            try:
                given[name] = float(value)
            except ValueError as problem:
                raise RequestError(f"{KEY}.{name} must be a number, found '{value}'; e.g. {text[:40]}60") from problem
    try:
        return Budget(**given)
    except ValueError as refused:
        raise RequestError(str(refused)) from refused


def node(allowed: Budget) -> dict[str, Any]:
    """``allowed`` as config.yaml has it."""
    return {"_target_": f"{Budget.__module__}.{Budget.__qualname__}", **dataclasses.asdict(allowed)}


def require_typed(config: Mapping[str, Any], allowed: Budget) -> None:
    """Raise RequestError where a YAML, which may be anybody's, gives itself more than was typed."""
    if config.get(KEY) != node(allowed):
        raise RequestError(
            f"{KEY} must be set on the command line, found another value in a YAML: {config.get(KEY)!r}; type "
            f"{KEY}.seconds=N or {KEY}.memory_gib=N, and take it out of the YAML"
        )
