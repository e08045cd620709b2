"""Signals that end a run: what is short is finished first, the rest given up; the second ends it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from mollm_cli.core.endings import CODES, Interrupted, heeded


class Signals:
    """received: the exit code of the signal that came, or None. waits: whether somebody will look at it soon.

    That is a training loop, after each step, and a run that opens its files or is about to end. Elsewhere Interrupted
    is raised where the program stands. closing: how the run ended is being written down, which no signal but the third
    interrupts. last_words: what is done then, before the process is gone; it returns the exit code.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.waits, self.closing = True, False
        self.last_words: Callable[[int], int] = lambda code: code
        self._count = 0

    def heed(self) -> None:
        """From here on nobody looks. Raises Interrupted where a signal has come."""
        self.waits = False
        if self.received is not None:
            raise Interrupted(self.received)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal; raise Interrupted where nobody will look, or looked in time. The third: exit."""
        self.received = code = CODES[signal.Signals(number)]
        self._count += 1
        if self._count > 2:
            try:
                code = self.last_words(code) if self._count == 3 else code
            finally:
                os._exit(code)
        if not self.closing and (self._count == 2 or not self.waits):
            raise Interrupted(code)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """The block can be interrupted though the run has ended; what it does changes nothing of how."""
        try:
            self.closing = False
            yield
        except KeyboardInterrupt:
            pass
        finally:
            self.closing = True


@contextmanager
def listening() -> Iterator[Signals]:
    """Within the block the signals go to a Signals; outside the main thread nothing is installed."""
    signals = Signals()
    try:
        before = {number: signal.signal(number, signals.handle) for number in heeded()}
    except ValueError:  # not in the main thread: whoever runs us there keeps the signals
        before = {}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
