"""The tracker that tracks nothing; train.jsonl is written with any tracker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class Silent:
    """No tracker beside train.jsonl."""

    def start(self, run_dir: Path) -> None:
        """Do nothing."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
