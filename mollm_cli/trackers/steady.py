"""Protection against a failing tracker: the run goes on with one warning, and train.jsonl has every number."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mollm_cli.core.errors import MollmError


class Steady:
    """Passes calls on to ``tracker`` until it raises, then ignores them. Our own errors get through.

    tell: prints the warning.
    """

    def __init__(self, tracker: Any, tell: Callable[[str], None]) -> None:
        self.tracker, self.tell, self.alive = tracker, tell, True

    def start(self, run_dir: Path, after: int) -> None:
        """Open the tracker. after: steps taken before, if the tracker's ``start`` has such a parameter."""
        takes = "after" in inspect.signature(self.tracker.start).parameters
        self._try(lambda: self.tracker.start(run_dir, **({"after": after} if takes else {})))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values of a step."""
        self._try(lambda: self.tracker.log(step, values))

    def close(self) -> None:
        """Close the tracker."""
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
