"""What a machine does to a run, as a message: a disk that is full or broken, a folder that is gone."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

NUMBERED = re.compile(r"\(os error (\d+)\)")
"""How libraries written in Rust (safetensors, tokenizers) name an errno in an exception of their own."""
ROOM = ("the disk must have room for what the run writes", "Free some space")
RIGHTS = ("the run must be allowed to write", "Change the permissions, or have the disk mounted writable")
DISK = ("the disk must answer", "Check the disk and the connection to it")
LIMITS = ("the system must give the process what it needs", "Raise the limit (ulimit), or end other programs")
CAUSES: dict[int, tuple[str, str]] = (
    dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), ROOM)
    | dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), RIGHTS)
    | dict.fromkeys((errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ETIMEDOUT, errno.ENOTCONN), DISK)
    | dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN), LIMITS)
)
"""By errno: what must hold, and what to do where it does not."""


def explained(error: BaseException, run_dir: Path) -> str | None:
    """``error`` as what must hold, what was found and what to do; None where it is no fault of the machine."""
    number = _number(error)
    if number == errno.ENOENT and not run_dir.exists():
        return (
            f"the run directory must stay where it is while the run goes on, found '{run_dir}' gone. "
            "Start the run again; restored, it can be gone on with: resume=RUN_DIR"
        )
    if number not in CAUSES:
        return None
    must, remedy = CAUSES[number]
    file = getattr(error, "filename", None)
    where = f" at '{file}'" if file else ""
    return f"{must}, found '{os.strerror(number)}'{where}. {remedy}, then go on with resume={run_dir}"


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = NUMBERED.search(str(error))
    return int(found[1]) if found else None
