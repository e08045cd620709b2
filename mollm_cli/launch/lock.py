"""A run directory belongs to one process at a time; the lock goes with the process, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(run_dir: Path) -> Iterator[bool | None]:
    """Hold ``run_dir`` while the block runs. False: another process holds it; None: nobody can tell.

    The latter where its filesystem knows no locks on folders (NFS), or where it cannot be opened (a link is not).
    """
    try:
        opened = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        yield None
        return
    try:
        yield _lock(opened)
    finally:
        os.close(opened)


def _lock(opened: int) -> bool | None:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as refused:
        return False if refused.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True
