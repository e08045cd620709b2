"""manifest.json: what was asked, on what it ran, how it ended. Rewritten whole, by rename, at every change."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mollm_cli.core import reserve
from mollm_cli.core.atomic import write_text
from mollm_cli.core.read_back import read_mapping
from mollm_cli.core.secrets import without_secrets

NAME = "manifest.json"


class Manifest:
    """The facts of one run; ``set`` adds and writes, so that a killed run leaves what was known.

    writes: not where another process of the run does.
    """

    def __init__(self, run_dir: Path, facts: dict[str, Any], writes: bool = True) -> None:
        self.path = run_dir / NAME
        self.writes = writes
        self._place = _place(run_dir) if writes else (0, 0)
        self.began = time.monotonic()
        self.facts: dict[str, Any] = {"status": "running", "exit_code": None, "stopped_because": None} | facts
        self.write()
        if writes:
            reserve.take(run_dir)

    @staticmethod
    def read(run_dir: Path) -> dict[str, Any]:
        """The facts in ``run_dir``; none where there is no manifest, or none that can be read."""
        try:
            return read_mapping(run_dir / NAME)
        except (OSError, ValueError):
            return {}

    @staticmethod
    def exit_code(run_dir: Path) -> int:
        """The exit code of the run in ``run_dir``; 1 if nothing tells it, or if the run has not ended."""
        code = Manifest.read(run_dir).get("exit_code")
        return code if isinstance(code, int) else 1

    @staticmethod
    def amend(run_dir: Path, **facts: Any) -> None:
        """Set facts of a run whose own process is gone, on a full disk too. Raises OSError."""
        text = json.dumps(without_secrets(Manifest.read(run_dir) | facts), indent=2)
        reserve.write_last(run_dir / NAME, f"{text}\n")

    def set(self, **facts: Any) -> None:
        """Add facts and write."""
        self.facts |= facts
        self.write()

    def end(self, **facts: Any) -> None:
        """Add facts and write for the last time, on a full disk too. Raises as ``write``."""
        self.facts |= facts
        self.write(reserve.write_last)
        if self.writes:
            reserve.give_back(self.path.parent)

    def write(self, put: Callable[[Path, str], None] = write_text) -> None:
        """Write the file whole, without secrets. Raises OSError, also where another folder is in the run's place."""
        if not self.writes:
            return
        self.facts["wall_seconds"] = round(time.monotonic() - self.began, 3)
        if _place(self.path.parent) != self._place:
            raise FileNotFoundError(errno.ENOENT, "the run directory was replaced", str(self.path.parent))
        put(self.path, json.dumps(without_secrets(self.facts), indent=2) + "\n")


def _place(folder: Path) -> tuple[int, int]:
    """The identity of the folder, whatever its name."""
    found = folder.stat()
    return found.st_dev, found.st_ino
