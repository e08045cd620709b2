"""SIGINT and SIGTERM: what is in progress is finished where it is short, else given up; the second ends it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Signals:
    """received: the exit code of the signal that came, or None. waits: whether somebody will look at it soon.

    That is a training loop, after each step, and a run that opens its files or is about to end. Elsewhere
    KeyboardInterrupt is raised where the program stands: no library takes it for a problem of its own.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.waits = True
        self._count = 0

    def heed(self) -> None:
        """From here on nobody looks. Raises KeyboardInterrupt where a signal has come."""
        self.waits = False
        if self.received is not None:
            raise KeyboardInterrupt

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal; raise KeyboardInterrupt where nobody will look, or looked in time. The third: exit."""
        self.received = CODES[signal.Signals(number)]
        self._count += 1
        if self._count > 2:
            os._exit(self.received)
        if self._count == 2 or not self.waits:
            raise KeyboardInterrupt


@contextmanager
def listening() -> Iterator[Signals]:
    """Within the block both signals go to a Signals; outside the main thread nothing is installed."""
    signals = Signals()
    try:
        before = {number: signal.signal(number, signals.handle) for number in CODES}
    except ValueError:  # not in the main thread: whoever runs us there keeps the signals
        before = {}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
