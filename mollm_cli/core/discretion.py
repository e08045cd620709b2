"""Text of a data file in messages: where it stands and how long it is; the text itself only where it is asked for.

Nobody knows of a row that cannot be read whether it is personal, so every text out of a data file counts as that:
cells, header cells, keys, roles, flags, and explanations of other programs that may quote them. No hash is told in its
place: a name or a telephone number is found by trying. ``evaluation.keep_text=true`` lets a request see its texts;
run/prepare.py says so once, for the readers many layers below.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from mollm_cli.core.printable import printable

_IN_CLEAR: ContextVar[bool] = ContextVar("in_clear", default=False)
HINT = "evaluation.keep_text=true shows what it says"
PACKAGE = Path(__file__).parents[1]
TEXTS = (PACKAGE / "data", PACKAGE / "metrics")
"""Folders that read texts: an exception that has passed through one of them may quote a text."""
MODELS = PACKAGE / "evaluation"
"""The folder that puts texts to models: a RuntimeError from here is torch's, which knows numbers only."""


@contextmanager
def telling(in_clear: bool) -> Iterator[None]:
    """Within the block messages may hold texts of data files, or may not; a forked process does as its parent."""
    token = _IN_CLEAR.set(in_clear)
    try:
        yield
    finally:
        _IN_CLEAR.reset(token)


def in_clear() -> bool:
    """True if messages may quote texts of data files now."""
    return _IN_CLEAR.get()


def told(value: object) -> str:
    """A value of a data file as a message may hold it: its length, or its type where it is no text."""
    if in_clear() or value is None:
        return printable(repr(value), one_line=True)
    return f"a text of {len(value)} characters" if isinstance(value, str) else type(value).__name__


def cause(problem: BaseException) -> str:
    """Another program's complaint about a data file, as a message may hold it: the kind of problem alone."""
    return f"{problem}" if in_clear() else f"{type(problem).__name__} ({HINT})"


def origin(problem: BaseException) -> BaseException | None:
    """The cause of a message: ``problem``, or None if its own words, which a trace shows, must not be told."""
    return problem if in_clear() else None


def trace(error: BaseException) -> str:
    """The trace of an error that nobody expected, of which the explanations are left out where they may quote a row."""
    chain = _chain(error)
    silent = not in_clear() and any(map(_may_quote, chain))
    said = [_told_trace(link, silent) for link in reversed(chain)]
    return "\nThen this happened:\n\n".join(said)


def reason(error: BaseException) -> str:
    """An error that nobody expected in one line, without its explanation where that may quote a row."""
    silent = not in_clear() and any(map(_may_quote, _chain(error)))
    return f"{type(error).__name__} ({HINT})" if silent else f"{type(error).__name__}: {error}"


def _chain(error: BaseException) -> list[BaseException]:
    """``error`` and what it came from, the last first."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return chain


def _told_trace(error: BaseException, silent: bool) -> str:
    lines = traceback.format_tb(error.__traceback__)
    last = (
        f"{type(error).__name__} ({HINT})" if silent else "".join(traceback.format_exception_only(error)).rstrip("\n")
    )
    return "".join(["Traceback (most recent call last):\n", *lines, last, "\n"])


def _may_quote(error: BaseException) -> bool:
    """True if an error has passed through code that reads rows."""
    folders = TEXTS if isinstance(error, RuntimeError) else (*TEXTS, MODELS)
    files = (Path(frame.f_code.co_filename) for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(file.is_relative_to(folder) for file in files for folder in folders)
