"""One table from what is raised to status, exit code and last words."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator

import pytest

from mollm_cli.core.endings import CODES, Interrupted, end_by, heeded, tell
from mollm_cli.core.errors import GateError, InterruptionError, OutputError, RequestError, RunError, UnreadError


@pytest.mark.parametrize(
    ("error", "status", "code", "told"),
    [
        (RequestError("not like this"), "failed", 2, "not like this"),
        (RunError("broken"), "failed", 1, "broken"),
        (GateError("too little"), "gate_failed", 3, "too little"),
        (InterruptionError("after step 3", 129), "interrupted", 129, "after step 3"),
        (KeyboardInterrupt(), "interrupted", 130, "interrupted"),
        (Interrupted(143), "interrupted", 143, "interrupted"),
        (OutputError("full"), "failed", 1, "full"),
        (UnreadError(), "failed", 0, ""),
        (
            PermissionError(errno.EACCES, os.strerror(errno.EACCES), "x"),
            *("failed", 2),
            "a path must be one that the command can use, found 'Permission denied' at 'x'. Change its permissions, or "
            "name another",
        ),
        (RuntimeError("ours"), "failed", 1, "RuntimeError: ours"),
        (SystemExit(0), "failed", 1, "SystemExit: 0"),
    ],
)
def test_what_is_raised_says_how_it_ends(error: BaseException, status: str, code: int, told: str) -> None:
    end = end_by(error)
    assert (end.status, end.code, end.told) == (status, code, told)
    assert end.defect == (type(error) in (RuntimeError, SystemExit))


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))])
def test_no_memory_is_one_message_and_no_trace(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert tell("mollm-x", error).code == 1
    assert capsys.readouterr().err == (
        "mollm-x: the system must give the process what it needs, found 'Cannot allocate memory'. Raise the limit "
        "(ulimit), or end other programs, then type the command again\n"
    )


def test_a_defect_of_ours_has_its_trace_and_whoever_reads_no_more_needs_no_word(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert tell("mollm-x", RuntimeError("ours")).code == 1
    assert "RuntimeError: ours" in capsys.readouterr().err
    assert tell("mollm-x", UnreadError()).code == 0
    assert capsys.readouterr().err == ""


@pytest.fixture
def hangup() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_process_that_was_started_to_outlive_its_terminal_does(hangup: None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert heeded() == list(CODES) and CODES[signal.SIGHUP] == 129
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert heeded() == [signal.SIGINT, signal.SIGTERM]
