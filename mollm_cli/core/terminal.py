"""stdout and stderr for the time of a command: nobody who writes there moves the cursor or tells a secret, and no run
is lost because nobody reads.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from mollm_cli.core.errors import OutputError, UnreadError
from mollm_cli.core.printable import printable
from mollm_cli.core.secrets import redacted


class Outlet:
    """A text stream of the process that may be gone, or full.

    needed: what it does not take is an OutputError (stdout). Elsewhere it is dropped: no run ends because nobody can
    see its progress any more.
    """

    def __init__(self, stream: TextIO, needed: bool) -> None:
        self._stream, self._needed = stream, needed

    def write(self, text: str) -> int:
        """Write ``text``. Raises OutputError."""
        with self._taken():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Raises OutputError."""
        with self._taken():
            self._stream.flush()

    @contextlib.contextmanager
    def _taken(self) -> Iterator[None]:
        try:
            yield
        except OSError as refused:
            if not self._needed:
                return
            _let_go(self._stream)  # said once; what is printed from here on goes nowhere
            if isinstance(refused, BrokenPipeError):
                raise UnreadError from refused
            raise OutputError(
                f"stdout must take what is printed, found '{refused.strerror}'; make room, or have it printed to "
                "another place"
            ) from refused

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class PlainStream:
    """A text stream that passes on what is ``printable`` and ``redacted``, whoever writes: this package or a library.

    A carriage return at the beginning of a text stays (progress bars). rich, whose colours are escapes, goes to the
    stream itself by the attribute that it looks for; what it shows is made plain by reporting/console.py.
    """

    def __init__(self, stream: TextIO | Outlet) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        """Write ``text`` made plain; its length, as the caller expects."""
        start = "\r" if text.startswith("\r") else ""
        self.rich_proxied_file.write(start + printable(redacted(text.removeprefix("\r"))))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


@contextlib.contextmanager
def plain_streams() -> Iterator[None]:
    """Within the block stdout and stderr are plain; they are there, and so is stdin, even where they were closed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # the next file that is opened would get its number
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    streams = sys.stdout, sys.stderr
    out, err = _plain(sys.stdout, needed=True), _plain(sys.stderr, needed=False)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
    finally:
        for stream in streams:
            _let_go(stream)


def _plain(stream: TextIO, needed: bool) -> Any:
    """``stream`` as a PlainStream, which has all that a TextIO has."""
    return PlainStream(Outlet(stream, needed))


def _let_go(stream: TextIO) -> None:
    """Drop the output that ``stream`` has not taken yet: Python would try once more at its end, and exit with 120."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
