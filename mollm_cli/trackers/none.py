"""The tracker that tracks nothing: train.jsonl is written whatever the tracker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class Silent:
    """No tracker beside train.jsonl."""

    def start(self, run_dir: Path) -> None:
        """Nothing to open."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing to write."""

    def close(self) -> None:
        """Nothing to close."""
