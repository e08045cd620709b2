"""Who may see what a run leaves behind: modes of folders and files, and which rows' text is shown."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from mollm_cli.core.types import Content, Example

FOLDER, FILE = 0o700, 0o600
"""Modes: the owner alone."""
_USERS = "MOLLM_UMASK"
"""The variable that tells child processes the umask that the user has set."""
KeepText = bool | Literal["auto"]
"""The choice of which prompts, answers and generations are kept: all, none, or ("auto") those of ordinary rows."""


def shows_text(content: Content, keep_text: KeepText) -> bool:
    """True if the text of rows with this content may be kept and shown."""
    return content == "ordinary" if keep_text == "auto" else keep_text


def row_hash(example: Example) -> str:
    """SHA-256 over prompt, line break and answer in UTF-8: identifies a row without showing it."""
    return hashlib.sha256(f"{example.prompt}\n{example.answer}".encode(errors="surrogatepass")).hexdigest()


def make_private(folder: Path) -> None:
    """Make ``folder`` for the owner alone, with each parent that is not there yet. Raises OSError."""
    for place in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
        place.mkdir(mode=FOLDER, exist_ok=True)


def is_private(folder: Path) -> bool:
    """True if nobody but the owner can enter ``folder``; a folder that was opened to others was opened on purpose."""
    return not folder.stat().st_mode & 0o077


@contextmanager
def private() -> Iterator[None]:
    """Within the block what is made is the owner's alone, from its first byte: also by libraries and child processes.

    What the user's own umask is, child processes read in the environment.
    """
    outermost = _USERS not in os.environ
    with _umask(0o077) as before:
        if outermost:
            os.environ[_USERS] = f"{before:o}"
        try:
            yield
        finally:
            if outermost:
                os.environ.pop(_USERS, None)


@contextmanager
def as_asked() -> Iterator[None]:
    """Within the block what is made has the modes that the user's umask gives: a file that was asked for elsewhere."""
    with _umask(_users_umask()):
        yield


@contextmanager
def as_open_as(folder: Path) -> Iterator[None]:
    """Within the block what is made is as open as ``folder``, and no more for writing than the user's umask says."""
    closed = 0o077 & ~folder.stat().st_mode
    with _umask(closed | (_users_umask() & 0o022)):
        yield


def _users_umask() -> int:
    told = os.environ.get(_USERS, "")
    if re.fullmatch("[0-7]{1,3}", told):
        return int(told, 8)
    with _umask(0o077) as now:
        return now


@contextmanager
def _umask(value: int) -> Iterator[int]:
    """Within the block the umask is ``value``; it is the umask of before that comes out."""
    before = os.umask(value)
    try:
        yield before
    finally:
        os.umask(before)
