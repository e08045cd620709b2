"""The log of the steps, in train.jsonl, on the terminal and in the tracker; written by one process alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mollm_cli.core.atomic import write_text
from mollm_cli.core.doing import Watcher
from mollm_cli.core.endings import INTERRUPTED
from mollm_cli.core.world import World
from mollm_cli.run.context import Stops
from mollm_cli.trackers.steady import Steady
from mollm_cli.trackers.train_log import TrainLog

STILL = 0.01
"""Share of half-precision weights of which a step must have moved more, or it is said that nearly nothing moves."""


class Logs:
    """Of a run that starts, or goes on after ``start`` steps.

    plain: whether an update is lost where it is below the last bit of a weight, and not made up for later.
    """

    def __init__(self, run_dir: Path, tracker: Any, start: int, progress: Watcher, plain: bool = False) -> None:
        self.run_dir, self.progress, self.plain = run_dir, progress, plain
        self.train_log = TrainLog(run_dir / "train.jsonl", start or None)
        self.tracker = Steady(tracker, progress.message)
        self.tracker.start(run_dir, start)

    def write(self, record: Mapping[str, Any]) -> None:
        """One step."""
        step = int(record["step"])
        self.train_log.write(record)
        self._say_still(step, record)
        self.progress.values(step, record)
        self.tracker.log(step, {k: v for k, v in record.items() if isinstance(v, (int, float))})

    def _say_still(self, step: int, record: Mapping[str, Any]) -> None:
        """Say once that updates of half-precision weights are lost to rounding, and how they are not."""
        moved = record.get("moved")
        if self.plain and moved is not None and moved < STILL and record["gradient_norm"] > 0:
            self.plain = False
            self.progress.message(
                f"warning: step {step} moved {moved:.2%} of the weights, the rest of it was lost to rounding in half "
                "precision; set optimizer.update=auto, which loses nothing, or a larger optimizer.lr"
            )

    def settle(self) -> None:
        """Bring train.jsonl to the disk."""
        self.train_log.settle()

    def broken(self, step: int, found: str, rows: Mapping[str, list[str]]) -> None:
        """nonfinite.json: the step that was not taken, what was found, its rows' ids by role; never a text."""
        content = {"step": step, "found": found, "rows": dict(rows)}
        write_text(self.run_dir / "nonfinite.json", json.dumps(content, indent=1) + "\n")

    def close(self) -> None:
        """No further step."""
        self.tracker.close()


class NoLogs:
    """As Logs, for a process that writes nothing."""

    def write(self, record: Mapping[str, Any]) -> None:
        """Nothing."""

    def settle(self) -> None:
        """Nothing."""

    def broken(self, step: int, found: str, rows: Mapping[str, list[str]]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


@contextmanager
def followed(logs: Logs | NoLogs, signals: Stops) -> Iterator[None]:
    """While the block steps, the tracker is told, and a signal waits for the end of a step."""
    signals.waits = True
    try:
        yield
    finally:
        signals.waits = False
        logs.close()


def agreed(signals: Stops, world: World) -> Callable[[], int | None]:
    """The exit code of a signal that has come to this process or to any other: all heed it after the same step."""

    def code() -> int | None:
        if world.size == 1:
            return signals.received
        came = world.sums(np.array([float(signals.received == code) for code in INTERRUPTED]))
        return max((code for code, count in zip(INTERRUPTED, came, strict=True) if count), default=None)

    return code
