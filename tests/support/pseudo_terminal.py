"""A command on a terminal of some size, and what stands on the terminal from moment to moment."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path

_PIECE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\x1b.|[\r\n]|[^\x1b\r\n]+", re.DOTALL)


class Display:
    """A screen of ``columns`` x ``rows`` that knows the few escapes which rich writes."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.lines: list[str] = [""]
        self.x = self.y = 0

    def write(self, text: str) -> None:
        """Take what a program writes."""
        for piece in _PIECE.finditer(text):
            whole, given, letter = piece[0], piece[1], piece[2]
            if letter:
                self._escape(given, letter)
            elif whole == "\r":
                self.x = 0
            elif whole == "\n":
                self._down()
            elif not whole.startswith("\x1b"):
                self._text(whole)

    def shown(self) -> list[str]:
        """The lines that can be seen, without blanks at their ends."""
        return [line.rstrip() for line in self.lines[-self.rows :]]

    def _escape(self, given: str, letter: str) -> None:
        count = int(given) if given.isdigit() else 1
        if letter == "A":
            self.y = max(0, self.y - count)
        elif letter == "K":
            self.lines[self.y] = "" if given == "2" else self.lines[self.y][: self.x]

    def _down(self) -> None:
        self.x, self.y = 0, self.y + 1
        if self.y == len(self.lines):
            self.lines.append("")

    def _text(self, text: str) -> None:
        for character in text:
            if self.x == self.columns:
                self._down()
            line = self.lines[self.y].ljust(self.x)
            self.lines[self.y] = line[: self.x] + character + line[self.x + 1 :]
            self.x += 1


def frames(line: Sequence[str], folder: Path, columns: int, rows: int) -> list[tuple[float, list[str]]]:
    """(seconds since the start, what is shown) after everything that ``line`` writes to stderr, a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    began, display, found = time.monotonic(), Display(columns, rows), []
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        line, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment | {"TERM": "xterm-256color"}
    )
    os.close(theirs)
    pending = b""
    while process.poll() is None or select.select([ours], [], [], 0.2)[0]:
        if not select.select([ours], [], [], 0.2)[0]:
            continue
        try:
            pending += os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            break
        text = pending.decode(errors="ignore")
        pending = pending[len(text.encode()) :]
        display.write(text.replace("\r\n", "\n"))
        found.append((time.monotonic() - began, display.shown()))
    os.close(ours)
    process.wait()
    return found
