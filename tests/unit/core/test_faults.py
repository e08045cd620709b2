"""What a machine does to a run is told as what must hold, what was found and what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from safetensors import SafetensorError

from mollm_cli.core.errors import RequestError, RunError
from mollm_cli.core.faults import explained


def _told(error: BaseException, run_dir: Path) -> str:
    found = explained(error, run_dir)
    assert isinstance(found, RunError)
    return str(found)


@pytest.mark.parametrize(
    ("number", "must", "remedy"),
    [
        (errno.ENOSPC, "the disk must have room for what the run writes", "Free some space"),
        (errno.EDQUOT, "the disk must have room for what the run writes", "Free some space"),
        (errno.EFBIG, "the disk must have room for what the run writes", "Free some space"),
        (
            errno.EROFS,
            "the run must be allowed to read and write its files",
            "Change the permissions, or have the disk mounted writable",
        ),
        (
            errno.EACCES,
            "the run must be allowed to read and write its files",
            "Change the permissions, or have the disk mounted writable",
        ),
        (errno.EIO, "the disk must answer", "Check the disk and the connection to it"),
        (errno.ESTALE, "the disk must answer", "Check the disk and the connection to it"),
        (
            errno.ELOOP,
            "what a run writes must lie in folders of its own",
            "Remove the link, or the file, that stands in",
        ),
        (
            errno.ENOTDIR,
            "what a run writes must lie in folders of its own",
            "Remove the link, or the file, that stands",
        ),
        (errno.EMFILE, "the system must give the process what it needs", "Raise the limit (ulimit), or end other"),
    ],
)
def test_an_errno_becomes_a_message_with_a_remedy(number: int, must: str, remedy: str, tmp_path: Path) -> None:
    told = _told(OSError(number, os.strerror(number), "/data/x"), tmp_path)
    assert told.startswith(f"{must}, found '{os.strerror(number)}' at '/data/x'. {remedy}")
    assert told.endswith(f", then go on with resume={tmp_path}")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_no_memory_is_told_as_the_systems_own_error_for_it_is(error: BaseException, tmp_path: Path) -> None:
    assert _told(error, tmp_path) == _told(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), tmp_path)
    assert _told(error, tmp_path).startswith(
        "the system must give the process what it needs, found 'Cannot allocate memory'. Raise the limit (ulimit)"
    )


def test_without_a_run_there_is_nothing_to_go_on_with() -> None:
    told = str(explained(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    assert told.endswith("Free some space, then type the command again") and "resume" not in told
    assert explained(FileNotFoundError(errno.ENOENT, "no", "x")) is None


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ELOOP])
def test_before_there_is_a_run_a_path_that_cannot_be_used_was_asked_for(number: int) -> None:
    told = explained(OSError(number, os.strerror(number), "/data/x"))
    assert isinstance(told, RequestError)
    assert str(told).startswith(
        f"a path must be one that the command can use, found '{os.strerror(number)}' at '/data/x'"
    )


def test_the_errno_of_a_library_written_in_rust(tmp_path: Path) -> None:
    error = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert _told(error, tmp_path).startswith(
        "the disk must have room for what the run writes, found 'No space left on device'. Free some space"
    )


def test_a_run_directory_that_is_gone_or_replaced(tmp_path: Path) -> None:
    gone = tmp_path / "run"
    wanted = f"the run directory must stay where it is while the run goes on, found '{gone}' gone or replaced. Start"
    assert _told(FileNotFoundError(errno.ENOENT, "no", str(gone / "train.jsonl")), gone).startswith(wanted)
    gone.mkdir()
    assert _told(FileNotFoundError(errno.ENOENT, "replaced", str(gone)), gone).startswith(wanted)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "no", "/elsewhere"),
        OSError("no number"),
        ValueError("ours"),
        RuntimeError("(os error 9999)"),
    ],
)
def test_what_is_no_fault_of_the_machine_keeps_its_trace(error: BaseException, tmp_path: Path) -> None:
    assert explained(error, tmp_path) is None
