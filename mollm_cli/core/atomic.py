"""Files and folders that are there whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = re.compile(r"\..+\.\d+")
"""".NAME.PID": what NAME is called until it is whole."""


@contextmanager
def whole(final: Path) -> Iterator[Path]:
    """A path beside ``final`` to write a file or a folder to; after the block it is on the disk, under its name.

    A file takes the place of what had the name; for a folder the name must be free. Where the block raises, what it
    wrote is removed; what a killed process leaves, ``sweep`` removes. The folder of ``final`` must be there. Raises
    OSError.
    """
    temporary = final.with_name(f".{final.name}.{os.getpid()}")
    _remove(temporary)
    try:
        yield temporary
        for path in sorted(temporary.rglob("*")) if temporary.is_dir() else ():
            sync(path)
        sync(temporary)
        temporary.replace(final)
    except BaseException:
        _remove(temporary)
        raise
    sync(final.parent)


def write_text(file: Path, text: str) -> None:
    """``text`` as the content of ``file``, in UTF-8. Raises OSError as ``whole``."""
    with whole(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk, and let its pages go: whoever reads it next reads the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError as refused:
        if not (path.is_dir() and refused.errno in (errno.EINVAL, errno.ENOTSUP)):  # network filesystems sync no folder
            raise
    finally:
        os.close(opened)


def sweep(folder: Path) -> None:
    """Remove from ``folder`` what killed processes left unfinished. Only where no other process writes to it."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if UNFINISHED.fullmatch(path.name):
            with contextlib.suppress(OSError):
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
