"""Room on the disk of a run, taken before anything else, for the manifest that says how it ended on a full disk."""

from __future__ import annotations

import os
from pathlib import Path

from mollm_cli.core.atomic import sync, write_text
from mollm_cli.core.faults import ROOM

NAME = ".reserve"
SIZE = 1 << 16
"""Bytes: several manifests."""


def take(folder: Path) -> None:
    """Make the reserve of the run in ``folder``. Raises OSError."""
    file = folder / NAME
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(os.urandom(SIZE))  # no filesystem keeps this in less, as some keep zeros
        opened.flush()
        os.fsync(opened.fileno())


def give_back(folder: Path) -> None:
    """The run has ended. Raises OSError."""
    (folder / NAME).unlink(missing_ok=True)


def write_last(file: Path, text: str) -> None:
    """``text`` as the content of ``file``, whole or not at all; where the disk is full, in the place of the reserve.

    The reserve is written over and takes the name: given back first, another program might have it. Raises OSError.
    """
    try:
        write_text(file, text)
    except OSError as refused:
        reserve = file.with_name(NAME)
        if refused.errno not in ROOM or not reserve.is_file():
            raise
        with os.fdopen(os.open(reserve, os.O_WRONLY | os.O_NOFOLLOW), "wb") as opened:
            opened.write(text.encode())
            opened.truncate()
            opened.flush()
            os.fsync(opened.fileno())
        reserve.replace(file)
        sync(file.parent)
