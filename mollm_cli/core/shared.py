"""Things that several requests of one command need alike are made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
_MADE: ContextVar[dict[Hashable, Any] | None] = ContextVar("shared", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Within the block what is ``shared`` is kept."""
    before = _MADE.set({})
    try:
        yield
    finally:
        _MADE.reset(before)


def shared(key: Hashable, make: Callable[[], T]) -> T:
    """The result of ``make``, within ``sharing`` made once for each ``key``. Nobody may change it."""
    made = _MADE.get()
    if made is None:
        return make()
    if key not in made:
        made[key] = make()
    found: T = made[key]
    return found
