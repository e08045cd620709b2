"""Signals that end a run: what is short is finished first, the rest given up; the second ends it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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

    def behind(self, error: BaseException) -> BaseException:
        """``error``, or the Interrupted that it comes of: libraries take one for a problem of their own.

        argparse does, whose clean-up fails after Ctrl-C, and OmegaConf, which tells all that is raised as its own.
        """
        if self.received is None or self.waits or isinstance(error, KeyboardInterrupt):
            return error
        return Interrupted(self.received)

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


_INNERMOST: ContextVar[Signals | None] = ContextVar("innermost", default=None)


def behind(error: BaseException) -> BaseException:
    """``error``, or the interruption behind it, as whoever listens at present knows."""
    listens = _INNERMOST.get()
    return error if listens is None else listens.behind(error)


@contextmanager
def listening() -> Iterator[Signals]:
    """Within the block the signals go to a Signals, those that were held back too.

    Outside the main thread nothing is installed.
    """
    signals = Signals()
    try:
        before = {number: signal.signal(number, signals.handle) for number in heeded()}
    except ValueError:  # not in the main thread: whoever runs us there keeps the signals
        before = {}
    token = _INNERMOST.set(signals)
    try:
        let_through()
        yield signals
    finally:
        _INNERMOST.reset(token)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held_back() -> Iterator[None]:
    """Signals wait while the block runs, and in processes that it starts until they are ``let_through`` there."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, CODES)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_through() -> None:
    """From here on this thread hears the signals."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, CODES)
