"""SIGINT and SIGTERM: the step in progress is finished and saved; a second signal ends the run at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mollm_cli.core.errors import InterruptionError

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Signals:
    """received: the exit code of the signal that came, or None. stepping: whether a training loop will look at it."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.stepping = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Remember the first signal where a loop will heed it; raise InterruptionError otherwise."""
        again, self.received = self.received is not None, CODES[signal.Signals(number)]
        if again or not self.stepping:
            raise InterruptionError("interrupted", self.received)


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
