"""A small disk that can be filled up: a tmpfs of its own where the system lets us mount one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILLER = "filler"


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path | None]:
    """``folder``, made and mounted as a disk of that size; None where mounting is not allowed (no root, no mount)."""
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(line, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def fill(disk: Path, left: int) -> None:
    """Take the room of ``disk``, but for ``left`` bytes."""
    free = shutil.disk_usage(disk).free
    with (disk / FILLER).open("ab") as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), file.tell(), max(1, free - left))


def make_room(disk: Path) -> None:
    """Give it back."""
    (disk / FILLER).unlink()
