"""Streams that are closed, full, or read by nobody: every command is quiet then, and its exit code is right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mollm_cli.core.terminal import plain_streams
from mollm_cli.launch.door import stdout_kept_for
from tests.support.cli import ROOT

OTHERS = ("finetune", "evaluate", "compare", "try_out")
COMMANDS = ["unlearn", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def _end(command: str, *typed: str, redirect: str = "", **streams: Any) -> subprocess.CompletedProcess[str]:
    """How the console script ends; redirect: as a shell has it, for what subprocess cannot do (``>&-``)."""
    script = f"import sys; sys.argv = ['mollm', *{typed!r}]; from mollm_cli.cli import {command}; {command}()"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"} | {"PYTHONPATH": str(ROOT)}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    line = ["/bin/sh", "-c", f'exec "$0" -c "$1" {redirect}', sys.executable, script]
    return subprocess.run(line, env=environment, text=True, check=False, timeout=120, **streams)


def _unread(command: str, *typed: str) -> subprocess.CompletedProcess[str]:
    """Its stdout is a pipe whose reader has gone."""
    read, write = os.pipe()
    os.close(read)
    try:
        return _end(command, *typed, stdout=write)
    finally:
        os.close(write)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_who_has_gone(command: str) -> None:
    done = _unread(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")


@needs_full
@pytest.mark.parametrize("command", COMMANDS)
def test_a_stdout_that_is_full(command: str) -> None:
    with FULL.open("w") as full:
        done = _end(command, "--help", stdout=full)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "stdout must take what is printed, found 'No space left on device'; make room" in done.stderr


@pytest.mark.parametrize("redirect", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_streams_that_are_closed(redirect: str) -> None:
    done = _end("try_out", "--version", redirect=redirect)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (redirect in ("2>&-", "<&-"))


@pytest.mark.parametrize("redirect", ["2>&-", pytest.param("2>/dev/full", marks=needs_full)])
def test_what_is_refused_is_refused_though_nobody_is_told(redirect: str) -> None:
    assert _end("unlearn", "--nonsense", redirect=redirect).returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("typed", [["--list", "data"], ["--cfg", "job"], ["--hydra-help"]])
def test_whatever_is_printed(typed: list[str], tmp_path: Path) -> None:
    done = _unread("unlearn", *typed)
    assert (done.returncode, done.stderr) == (0, "")
    assert _end("unlearn", *typed, redirect=">&-").returncode == 0
    if FULL.exists():
        with FULL.open("w") as full:
            done = _end("unlearn", *typed, stdout=full)
        assert done.returncode == 1 and "stdout must take what is printed" in done.stderr


@needs_full
def test_a_run_whose_directory_cannot_be_printed_has_ended_as_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> int:
        with stdout_kept_for(tmp_path):
            return 3

    with FULL.open("w") as full, plain_streams():
        monkeypatch.setattr(sys, "stdout", full)
        with plain_streams():
            assert run() == 3
            sys.stdout.flush()  # nothing is left that Python would try to print at its end
    assert f"{tmp_path} stdout must take what is printed, found 'No space left" in capsys.readouterr().err


def test_a_run_that_does_not_exist_is_refused_though_nothing_is_asked() -> None:
    done = _end("try_out", "/nope", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, "") and "'/nope' holds neither" in done.stderr
