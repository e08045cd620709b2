"""Files and folders that are there whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mollm_cli.core.owned_folder import opened, settle

UNFINISHED = re.compile(r"\..+\.\d+")
"""".NAME.PID": what NAME is called until it is whole."""


@contextmanager
def whole(final: Path, depth: int = 1, anew: bool = False) -> Iterator[Path]:
    """A path beside ``final`` to write a file or a folder to; after the block it is on the disk, under its name.

    A file takes the place of what had the name; for a folder the name must be free, unless it is written ``anew``.
    Where the block raises, what it wrote is removed; what a killed process leaves, ``sweep`` removes. The folder of
    ``final`` must be there, and the last ``depth`` parts of its path must be no links (core/owned_folder.py).
    Raises OSError.
    """
    with opened(final.parent, depth) as folder:
        temporary = final.with_name(f".{final.name}.{os.getpid()}")
        folder.remove(temporary.name)
        try:
            yield temporary
            for path in sorted(temporary.rglob("*")) if temporary.is_dir() else ():
                sync(path)
            sync(temporary)
            if anew:
                folder.remove(final.name)
            folder.rename(temporary.name, final.name)
        except BaseException:
            folder.remove(temporary.name)
            raise
        sync(final.parent)


def write_text(file: Path, text: str, depth: int = 1) -> None:
    """``text`` as the content of ``file``, in UTF-8: a new file in its place. Raises OSError as ``whole``."""
    with opened(file.parent, depth) as folder:
        folder.replace(file.name, text.encode())


def append_text(file: Path, text: str) -> None:
    """Add ``text``, in UTF-8, to ``file``. Raises OSError, also where that is a link."""
    with opened(file.parent) as folder, folder.append(file.name) as added_to:
        added_to.write(text.encode())


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk, and let its pages go: whoever reads it next reads the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        settle(handle)
    finally:
        os.close(handle)


def sweep(folder: Path, depth: int = 1) -> None:
    """Remove from ``folder`` what killed processes left unfinished. Only where no other process writes to it."""
    with contextlib.suppress(OSError), opened(folder, depth) as held:
        for name in held.names():
            if UNFINISHED.fullmatch(name):
                with contextlib.suppress(OSError):
                    held.remove(name)
