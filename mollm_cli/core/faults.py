"""Faults of the machine as messages: a full or broken disk, a folder that is gone, no memory."""

from __future__ import annotations

import errno
import os
import re
import shlex
from pathlib import Path

from mollm_cli.core.errors import MollmError, RequestError, RunError

NUMBERED = re.compile(r"\(os error (\d+)\)")
"""The form in which libraries written in Rust (safetensors, tokenizers) name an errno in their own exceptions."""
ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
RIGHTS = (errno.EROFS, errno.EACCES, errno.EPERM)
PLACES = (*RIGHTS, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
DISK = (errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ETIMEDOUT, errno.ENOTCONN)
LINKS = (errno.ELOOP, errno.ENOTDIR)
LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
ON_HOST = "DefaultCPUAllocator"
"""The words by which torch names main memory in the RuntimeError that it raises."""


def explained(error: BaseException, run_dir: Path | None = None) -> MollmError | None:
    """``error`` as what must hold, what was found and what to do; None where it is no fault of the machine.

    run_dir: of a run that can be gone on with. Where there is none yet, a path that cannot be used was asked for.
    """
    number = _number(error)
    if number == errno.ENOENT and run_dir is not None and _gone(error, run_dir):
        return RunError(
            f"the run directory must stay where it is while the run goes on, found '{run_dir}' gone or replaced. "
            "Start the run again; restored, it can be gone on with: resume=RUN_DIR"
        )
    if number in PLACES and run_dir is None:
        return RequestError(
            f"a path must be one that the command can use, found '{os.strerror(number)}'{_where(error)}. Change its "
            "permissions, or name another"
        )
    again = "type the command again" if run_dir is None else f"go on with resume={shlex.quote(str(run_dir))}"
    return None if number is None else _fault(number, _where(error), again)


def _fault(number: int, where: str, again: str) -> RunError | None:
    found = os.strerror(number)
    if number in ROOM:
        return RunError(
            f"the disk must have room for what the run writes, found '{found}'{where}. Free some space, then {again}"
        )
    if number in RIGHTS:
        return RunError(
            f"the run must be allowed to read and write its files, found '{found}'{where}. "
            f"Change the permissions, or have the disk mounted writable, then {again}"
        )
    if number in DISK:
        return RunError(
            f"the disk must answer, found '{found}'{where}. Check the disk and the connection to it, then {again}"
        )
    if number in LINKS:  # planted while the run goes on: before it begins they are refused
        return RunError(
            f"what a run writes must lie in folders of its own, found '{found}'{where}. Remove the link, or the file, "
            f"that stands in a folder's place, then {again}"
        )
    if number in LIMITS:
        return RunError(
            f"the system must give the process what it needs, found '{found}'{where}. "
            f"Raise the limit (ulimit), or end other programs, then {again}"
        )
    return None


def _gone(error: BaseException, run_dir: Path) -> bool:
    """True if the directory is gone, or another is in its place (core/manifest.py says so of the folder itself)."""
    return not run_dir.exists() or getattr(error, "filename", None) == str(run_dir)


def _where(error: BaseException) -> str:
    file = getattr(error, "filename", None)
    return f" at '{file}'" if file else ""


def _number(error: BaseException) -> int | None:
    if isinstance(error, MemoryError) or ON_HOST in str(error):
        return errno.ENOMEM
    if isinstance(error, OSError):
        return error.errno
    found = NUMBERED.search(str(error))
    return int(found[1]) if found else None
