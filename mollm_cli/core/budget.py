"""``limits``: how long, and in how much memory, what others wrote may be read, rendered or built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

BYTES_A_SECOND = 100_000
"""Bytes that add a second to the limit of a large file: a tenth of the speed of our slowest reader (tokenizers)."""
MEMORY_PER_BYTE = 16
"""And more memory: a JSON file of short rows comes to ten times its size in Python's objects."""


@dataclass(frozen=True, slots=True)
class Budget:
    """seconds: of processor time, by the clock ten times as long. memory_gib: beyond what the process has already.

    For each file, set of rows, model folder or configuration that is read. Raises ValueError.
    """

    seconds: float = 30.0
    memory_gib: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what no work fits into, and what would be no limit."""
        if not 0.01 <= self.seconds <= 1e6:
            raise ValueError(f"limits.seconds must be in [0.01, 1000000], found {self.seconds}")
        if not 0.01 <= self.memory_gib <= 1e4:
            raise ValueError(f"limits.memory_gib must be in [0.01, 10000], found {self.memory_gib}")

    def seconds_for(self, size: int) -> float:
        """Seconds of processor time for what has ``size`` bytes."""
        return self.seconds + size / BYTES_A_SECOND

    def bytes_for(self, size: int) -> int:
        """Bytes of memory for what has ``size`` bytes."""
        return int(self.memory_gib * 2**30) + MEMORY_PER_BYTE * size


_NOW: ContextVar[Budget | None] = ContextVar("budget", default=None)


def budget() -> Budget:
    """The budget that counts here."""
    return _NOW.get() or Budget()


@contextmanager
def spending(allowed: Budget) -> Iterator[None]:
    """Within the block ``allowed`` counts."""
    before = _NOW.set(allowed)
    try:
        yield
    finally:
        _NOW.reset(before)
