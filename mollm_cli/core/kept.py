"""Files that a run keeps outside its own directory: who keeps one says so here, and the run lists it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_LIST: ContextVar[Callable[[Path], None] | None] = ContextVar("kept", default=None)


@contextmanager
def listed(tell: Callable[[Path], None]) -> Iterator[None]:
    """Within the block ``tell`` hears of every file that is kept."""
    before = _LIST.set(tell)
    try:
        yield
    finally:
        _LIST.reset(before)


def kept(file: Path) -> None:
    """Say that ``file`` is read or will be written: before it is, so that a run that is killed has listed it.

    Outside a run nobody listens.
    """
    if (tell := _LIST.get()) is not None:
        tell(file)
