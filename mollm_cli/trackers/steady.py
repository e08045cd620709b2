"""A tracker that may fail without the run: it is told once, and train.jsonl has every number."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mollm_cli.core.errors import MollmError


class Steady:
    """``tracker`` until it raises; from then on nothing. What our own errors say (a missing package) is passed on."""

    def __init__(self, tracker: Any, tell: Callable[[str], None]) -> None:
        self.tracker, self.tell, self.alive = tracker, tell, True

    def start(self, run_dir: Path, after: int) -> None:
        """Open it. after: steps that were taken before, for a tracker whose ``start`` has a place for it."""
        takes = "after" in inspect.signature(self.tracker.start).parameters
        self._try(lambda: self.tracker.start(run_dir, **({"after": after} if takes else {})))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Tell it of a step."""
        self._try(lambda: self.tracker.log(step, values))

    def close(self) -> None:
        """Close it."""
        self._try(self.tracker.close)

    def _try(self, work: Callable[[], None]) -> None:
        if not self.alive:
            return
        try:
            work()
        except MollmError:
            raise
        except Exception as problem:
            self.alive = False
            first = (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
            self.tell(f"warning: {type(self.tracker).__name__} is told of no more steps ({first}); train.jsonl has all")
