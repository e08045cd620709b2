"""Copies of the project in a temporary folder: faults are never put into the sources themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

_TIMES = count(1_000_000_000)


def copy(root: Path, to: Path) -> Path:
    """The files that git knows, or would add; ``../shared`` too, as a link, where there is one."""
    line = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(line, cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        source, target = root / name, to / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    beside = to.parent / "shared"
    if (root.parent / "shared").exists() and not beside.exists():
        beside.symlink_to((root.parent / "shared").resolve())
    return to


@contextmanager
def with_text(file: Path, text: bytes) -> Iterator[None]:
    """The file with this text for a while. Each text has a time of its own, or Python would take another's bytecode."""
    before = file.read_bytes()
    try:
        _write(file, text)
        yield
    finally:
        _write(file, before)


def _write(file: Path, text: bytes) -> None:
    file.write_bytes(text)
    time = next(_TIMES)
    os.utime(file, (time, time))
