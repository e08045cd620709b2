"""stdout and stderr for the time of a command: nobody who writes there moves the cursor or tells a secret."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from mollm_cli.core.printable import printable
from mollm_cli.core.secrets import redacted


class PlainStream:
    """A text stream that passes on what is ``printable`` and ``redacted``, whoever writes: this package or a library.

    A carriage return at the beginning of a text stays (progress bars). rich, whose colours are escapes, goes to the
    stream itself by the attribute that it looks for; what it shows is made plain by reporting/console.py.
    """

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        """Write ``text`` made plain; its length, as the caller expects."""
        start = "\r" if text.startswith("\r") else ""
        self.rich_proxied_file.write(start + printable(redacted(text)))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


@contextlib.contextmanager
def plain_streams() -> Iterator[None]:
    """Within the block stdout and stderr are plain."""
    out, err = (cast(TextIO, PlainStream(stream)) for stream in (sys.stdout, sys.stderr))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield
