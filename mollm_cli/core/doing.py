"""The things being done now, told to whoever shows it: a bar, a line of a log, or nobody.

Whatever takes long opens an activity; an activity inside another one takes its place until it ends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class Activity:
    """what: in a few words, "measuring before". total, done: of its units, 0 where they are not counted.

    unit: of the rate, one of them. scale: units for each one that ``advance`` is told of.
    """

    what: str
    total: float = 0
    done: float = 0
    unit: str = "row"
    scale: float = 1.0


class Watcher(Protocol):
    """Whoever shows activities."""

    def begun(self, activity: Activity) -> None:
        """``activity`` begins, inside those that have not ended."""

    def moved(self, activity: Activity) -> None:
        """It has come further."""

    def ended(self, activity: Activity) -> None:
        """It is over, done or not."""

    def values(self, step: int, record: Mapping[str, object]) -> None:
        """A line of train.jsonl."""

    def message(self, text: str) -> None:
        """A line that stays."""


class Unwatched:
    """Nobody: messages alone are printed."""

    def begun(self, activity: Activity) -> None:
        """Nothing."""

    def moved(self, activity: Activity) -> None:
        """Nothing."""

    def ended(self, activity: Activity) -> None:
        """Nothing."""

    def values(self, step: int, record: Mapping[str, object]) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """A line on stderr."""
        print(text, file=sys.stderr)


_WATCHER: ContextVar[Watcher] = ContextVar("watcher", default=Unwatched())  # noqa: B039 - it has no state
_OPEN: ContextVar[tuple[Activity, ...]] = ContextVar("open", default=())


def watcher() -> Watcher:
    """Whoever is told at present."""
    return _WATCHER.get()


@contextmanager
def watched(by: Watcher) -> Iterator[None]:
    """Within the block ``by`` is told, of nothing that was open before."""
    tokens = _WATCHER.set(by), _OPEN.set(())
    try:
        yield
    finally:
        _WATCHER.reset(tokens[0])
        _OPEN.reset(tokens[1])


@contextmanager
def doing(what: str, total: float = 0, done: float = 0, unit: str = "row") -> Iterator[None]:
    """Within the block this is being done. done: units that an earlier start did."""
    activity, by = Activity(what, total, done, unit), watcher()
    token = _OPEN.set((*_OPEN.get(), activity))
    by.begun(activity)
    try:
        yield
    finally:
        _OPEN.reset(token)
        by.ended(activity)


def advance(count: float = 1) -> None:
    """The innermost activity has come ``count`` units further."""
    if opened := _OPEN.get():
        opened[-1].done += count * opened[-1].scale
        watcher().moved(opened[-1])


@contextmanager
def counted_as(units: float, parts: int) -> Iterator[None]:
    """Within the block ``parts`` that are told of are ``units`` together."""
    opened = _OPEN.get()
    if not (opened and parts):
        yield
        return
    before, opened[-1].scale = opened[-1].scale, units / parts
    try:
        yield
    finally:
        opened[-1].scale = before
