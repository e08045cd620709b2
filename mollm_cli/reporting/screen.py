"""The thing being done, for people: one line that moves on a terminal, lines that stay in a file."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from mollm_cli.core.doing import Activity, watched
from mollm_cli.core.printable import printable
from mollm_cli.reporting.console import stderr_console
from mollm_cli.reporting.formatting import label, number
from mollm_cli.reporting.trajectory import FORGET, RETAIN

SILENCE, TICK = 20.0, 1.0
"""Seconds after which a file gets another line, and between two looks at the clock."""
BAR = 20
"""Characters of the bar, at the most."""
LEAST_BAR = 6
PROBABILITIES = ("forget ", "retain ")


@dataclass(slots=True)
class _Shown:
    """An activity with the moment at which its first units were done: what comes before that is not its pace."""

    activity: Activity
    began: float
    first: tuple[float, float] | None = None

    def pace(self, now: float) -> float | None:
        """Seconds for each unit after the first; None until there are any."""
        if self.first is None or self.activity.done <= self.first[1]:
            return None
        return (now - self.first[0]) / (self.activity.done - self.first[1])


class Screen:
    """A Watcher that draws on ``console``; on a terminal until ``stop``."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console or stderr_console(), clock
        self._open: list[_Shown] = []
        self._latest: dict[str, float] = {}
        self._told = clock()
        self._moved = clock()
        self._lock, self._over = threading.RLock(), threading.Event()
        self._live = None
        if self._console.is_terminal:
            self._live = Live(self, console=self._console, transient=True, refresh_per_second=4)

    def start(self) -> None:
        """Show the line; in a file, see to it that there is one every so often."""
        if self._live:
            self._live.start()
        else:
            threading.Thread(target=self._speak_up, daemon=True).start()

    def stop(self) -> None:
        """Take the line away."""
        self._over.set()
        if self._live:
            self._live.stop()

    def begun(self, activity: Activity) -> None:
        """A file gets a line of it where it is not a part of another."""
        with self._lock:
            self._open.append(_Shown(activity, self._clock()))
            if not self._live and len(self._open) == 1:
                self.message(f"{activity.what} ...")
        self._refresh()

    def moved(self, activity: Activity) -> None:
        """Note its pace."""
        with self._lock:
            for shown in self._open:
                if shown.activity is activity and shown.first is None:
                    shown.first = self._clock(), activity.done
        if self._live is None:
            self.remind()

    def ended(self, activity: Activity) -> None:
        """Go back to what it was a part of."""
        with self._lock:
            self._open = [shown for shown in self._open if shown.activity is not activity]
        self._refresh()

    def values(self, step: int, record: Mapping[str, object]) -> None:
        """Keep what ``record`` says; a file gets a line for every evaluation, and for the last step."""
        shown = {key: float(value) for key, value in record.items() if _is_shown(key, value)}  # type: ignore[arg-type]
        with self._lock:
            self._latest |= shown
            total = self._open[-1].activity.total if self._open else 0
        if self._live is None and (FORGET in record or RETAIN in record or step == total):
            self.message(f"step {step}/{total:.0f}: {', '.join(self._values())}")

    def message(self, text: str) -> None:
        """Print one line, above the one that moves."""
        self._told = self._clock()
        self._console.print(Text(printable(text, one_line=True)))

    def remind(self) -> None:
        """In a file, say where things stand if nothing has been said for a while."""
        with self._lock:
            if self._open and self._clock() - self._told >= SILENCE:
                self.message(", ".join(filter(None, (self._counted(self._open[-1]), *self._times(self._open[-1])))))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the line, as wide as the terminal."""
        with self._lock:
            yield Text(self.line(options.max_width), no_wrap=True, overflow="ellipsis")

    def line(self, width: int) -> str:
        """Counter, pace and time left always; then probabilities, a bar, and the losses that there is room for."""
        if not self._open:
            return ""
        shown = self._open[-1]
        activity, parts = shown.activity, [self._counted(shown), *self._times(shown)]
        values = self._values() if activity.unit == "step" else []
        kept: list[str] = []
        for value in values:
            reserve = LEAST_BAR if value.startswith(PROBABILITIES) else BAR
            if len("  ".join([*parts, *kept, value])) + reserve + 2 > width:
                break
            kept.append(value)
        room = width - len("  ".join([*parts, *kept])) - 2
        if activity.total and room >= LEAST_BAR:
            size = min(BAR, room)
            full = round(size * min(1.0, activity.done / activity.total))
            parts.insert(1, "━" * full + "─" * (size - full))
        return "  ".join([*parts, *kept])

    def _speak_up(self) -> None:
        while not self._over.wait(TICK):
            self.remind()

    def _refresh(self) -> None:
        if self._live:
            self._live.refresh()

    def _counted(self, shown: _Shown) -> str:
        activity = shown.activity
        return f"{activity.what} {activity.done:.0f}/{activity.total:.0f}" if activity.total else activity.what

    def _times(self, shown: _Shown) -> list[str]:
        """The pace and the time left; where units are not counted, the time that has passed."""
        activity, now = shown.activity, self._clock()
        if not activity.total:
            return [_clock(now - shown.began)]
        pace = shown.pace(now)
        if pace is None:
            return [_clock(now - shown.began)]
        left = _clock(pace * max(0.0, activity.total - activity.done))
        return [f"{pace:.2g} s/{activity.unit}" if pace < 100 else f"{pace:.0f} s/{activity.unit}", f"{left} left"]

    def _values(self) -> list[str]:
        """The latest values: first the two probabilities, then the losses."""
        names = {FORGET: "forget", RETAIN: "retain"}
        ordered = sorted(self._latest, key=lambda key: key not in names)
        return [f"{names.get(key) or label(key.removeprefix('loss.'))} {number(self._latest[key])}" for key in ordered]


@contextmanager
def shown(first: bool = True, screen: Screen | None = None) -> Iterator[None]:
    """Within the block a Screen is told what is being done; of several processes that of the ``first``."""
    if not first:
        yield
        return
    screen = screen or Screen()
    screen.start()
    try:
        with watched(screen):
            yield
    finally:
        screen.stop()


def _clock(seconds: float) -> str:
    """12 s, 3:05, 2:10:00."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"


def _is_shown(key: str, value: object) -> bool:
    return isinstance(value, int | float) and (key in (FORGET, RETAIN) or key.startswith("loss."))
