from __future__ import annotations

import errno
import io
import os
import sys

import pytest
from rich.console import Console

from mollm_cli.core.errors import OutputError, UnreadError
from mollm_cli.core.terminal import PlainStream, plain_streams


def test_whoever_writes_writes_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("HF_TOKEN", "plumtree-94")
    with plain_streams():
        print("a\x1b[2Jb\x07 plumtree-94")
        print("a\x1b]0;x\x07b\rc", file=sys.stderr)
        sys.stderr.write("\rstep 3")
    assert (out.getvalue(), err.getvalue()) == ("a\\x1b[2Jb\\x07 ***\n", "a\\x1b]0;x\\x07b\\rc\n\rstep 3")
    assert sys.stdout is out and sys.stderr is err


def test_a_plain_stream_is_its_stream_otherwise() -> None:
    stream = io.StringIO()
    plain = PlainStream(stream)
    assert plain.write("a\x07b") == 3 and plain.getvalue() == r"a\x07b" and not plain.isatty()


def test_rich_keeps_its_colours() -> None:
    stream = io.StringIO()
    console = Console(file=PlainStream(stream), force_terminal=True, color_system="standard")  # type: ignore[arg-type]
    console.print("[red]a[/]")
    assert stream.getvalue() == "\x1b[31ma\x1b[0m\n"


class _Refusing(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.refusal = OSError(number, os.strerror(number))

    def write(self, text: str) -> int:
        raise self.refusal

    def flush(self) -> None:
        raise self.refusal


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EBADF])
def test_a_stdout_that_takes_nothing_is_said(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", _Refusing(number))
    wanted = f"stdout must take what is printed, found '{os.strerror(number)}'; make room"
    with plain_streams(), pytest.raises(OutputError, match=wanted):
        print("lost")
    with plain_streams(), pytest.raises(OutputError, match=wanted):
        sys.stdout.flush()


def test_a_reader_who_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", _Refusing(errno.EPIPE))
    with plain_streams(), pytest.raises(UnreadError) as ended:
        print("unread")
    assert (ended.value.exit_code, str(ended.value)) == (0, "")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EPIPE])
def test_no_run_ends_because_nobody_sees_its_progress(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", _Refusing(number))
    with plain_streams():
        print("step 3", file=sys.stderr, flush=True)
        Console(stderr=True, force_terminal=True).print("[red]step 4[/]")


def test_streams_that_were_closed_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    with plain_streams():
        print("nowhere")
        print("nowhere", file=sys.stderr)
        assert sys.stdin.read() == "" and not sys.stdin.isatty()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()
