from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

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
    assert (out.getvalue(), err.getvalue()) == ("ab ***\n", "abc\n\rstep 3")
    assert sys.stdout is out and sys.stderr is err


def test_a_plain_stream_is_its_stream_otherwise() -> None:
    stream = io.StringIO()
    plain = PlainStream(stream)
    assert plain.write("a\x07b") == 3 and plain.getvalue() == "ab" and not plain.isatty()


def test_rich_keeps_its_colours() -> None:
    stream = io.StringIO()
    console = Console(file=PlainStream(stream), force_terminal=True, color_system="standard")  # type: ignore[arg-type]
    console.print("[red]a[/]")
    assert stream.getvalue() == "\x1b[31ma\x1b[0m\n"
