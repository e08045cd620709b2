"""A folder of a run held by its handle: nothing in it is read, replaced or removed through a link, whoever planted it.

A name is looked up again at every use of a path, and what it leads to may be another thing by then. A handle is of one
folder, whatever becomes of its name, and every name here is one in a folder that is held.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe is opened, and refused, without waiting
_ADD = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class OwnedFolder:
    """``path`` is for messages; ``handle`` is what is used."""

    path: Path
    handle: int

    def names(self) -> list[str]:
        """The names in the folder, sorted."""
        with os.scandir(self.handle) as found:
            return sorted(entry.name for entry in found)

    def is_file(self, name: str) -> bool:
        """True if ``name`` is a file; a link to one is not."""
        return (found := self._found(name)) is not None and stat.S_ISREG(found.st_mode)

    def is_folder(self, name: str) -> bool:
        """True if ``name`` is a folder; a link to one is not."""
        return (found := self._found(name)) is not None and stat.S_ISDIR(found.st_mode)

    def size(self, name: str) -> int:
        """Bytes of ``name`` itself. Raises OSError."""
        return os.stat(name, dir_fd=self.handle, follow_symlinks=False).st_size

    @contextmanager
    def inner(self, name: str, make: bool = False) -> Iterator[OwnedFolder]:
        """The folder ``name`` in it, made where it is missing if so asked. Raises OSError, also where it is a link."""
        with self._named(name):
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=self.handle)
            handle = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self.handle)
        try:
            yield OwnedFolder(self.path / name, handle)
        finally:
            os.close(handle)

    def read(self, name: str) -> bytes:
        """The content of the file ``name``. Raises OSError, also if it is no file."""
        with self._named(name), os.fdopen(os.open(name, _READ, dir_fd=self.handle), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FileNotFoundError(errno.ENOENT, "not a file")
            return file.read()

    def replace(self, name: str, content: bytes) -> None:
        """``content`` as all that ``name`` holds: a new file in its place. Raises OSError.

        What was there is not written to, so that another name of it (a hard link) keeps what it had.
        """
        temporary = f".{name}.{secrets.randbelow(1 << 62)}"  # the form that core/atomic.py sweeps away
        with self._named(name):
            try:
                with os.fdopen(os.open(temporary, _NEW, 0o666, dir_fd=self.handle), "wb") as file:
                    file.write(content)
                    file.flush()
                    settle(file.fileno())
                self.rename(temporary, name)
            except BaseException:
                self.remove(temporary)
                raise
            settle(self.handle)

    def append(self, name: str) -> BinaryIO:
        """The file ``name`` to add to, made where it is missing. Raises OSError."""
        self.detach(name)
        with self._named(name):
            return os.fdopen(os.open(name, _ADD, 0o666, dir_fd=self.handle), "ab")

    def detach(self, name: str) -> None:
        """Give the file ``name`` a content of its own where it has other names, so that it can be written to."""
        found = self._found(name)
        if found is not None and stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
            self.replace(name, self.read(name))

    def rename(self, name: str, other: str) -> None:
        """Call ``name`` ``other``, in the place of a file that is called so. Raises OSError."""
        with self._named(other):
            os.replace(name, other, src_dir_fd=self.handle, dst_dir_fd=self.handle)

    def remove(self, name: str) -> None:
        """Remove a file, a link itself, or a folder with all that is in it; nothing where there is no ``name``."""
        with self._named(name):
            if self.is_folder(name):
                shutil.rmtree(name, dir_fd=self.handle)  # by handles, and no link is followed
            else:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self.handle)

    def _found(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self.handle, follow_symlinks=False)
        except OSError:
            return None

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """An error tells the whole path: the system knows of the name alone."""
        try:
            yield
        except OSError as failed:
            failed.filename, failed.filename2 = str(self.path / name), None
            raise


@contextmanager
def opened(folder: Path, depth: int = 1, make: int = 0) -> Iterator[OwnedFolder]:
    """Hold ``folder``; the last ``depth`` parts of its path must be no links, the last ``make`` are made if missing.

    What stands before them is the user's own choice, of a disk for one. Raises OSError.
    """
    folder = folder.absolute()
    start, parts = folder.parents[depth - 1], folder.parts[-depth:]
    with contextlib.ExitStack() as stack:
        handle = os.open(start, _FOLDER)
        stack.callback(os.close, handle)
        held = OwnedFolder(start, handle)
        for n, name in enumerate(parts, start=1):
            held = stack.enter_context(held.inner(name, make=n > depth - make))
        yield held


def settle(handle: int) -> None:
    """Wait until a file or a folder is on the disk, and let its pages go. Raises OSError."""
    try:
        os.fsync(handle)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError as refused:
        folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        if not (folder and refused.errno in (errno.EINVAL, errno.ENOTSUP)):  # network filesystems sync no folder
            raise
