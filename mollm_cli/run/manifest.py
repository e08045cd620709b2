"""manifest.json: what was asked, on what it ran, how it ended. Rewritten whole, by rename, at every change."""

from __future__ import annotations

import errno
import json
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import mollm_cli
from mollm_cli.core.atomic import write_text
from mollm_cli.core.secrets import shown_override, without_secrets
from mollm_cli.run import reserve

PACKAGES = ("torch", "transformers", "datasets", "peft", "hydra-core", "tokenizers", "safetensors", "numpy")


class Manifest:
    """The facts of one run; ``set`` adds and writes, so that a killed run leaves what was known.

    writes: not where another process of the run does.
    """

    def __init__(self, run_dir: Path, facts: dict[str, Any], writes: bool = True) -> None:
        self.path = run_dir / "manifest.json"
        self.writes = writes
        self._place = _place(run_dir) if writes else (0, 0)
        self.began = time.monotonic()
        self.facts: dict[str, Any] = {
            "status": "running",
            "exit_code": None,
            "stopped_because": None,
            "command": command_line(sys.argv),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "versions": versions(),
            "git_commit": git_commit(),
        } | facts
        self.write()
        if writes:
            reserve.take(run_dir)

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
    """Which folder it is, whatever its name."""
    found = folder.stat()
    return found.st_dev, found.st_ino


def command_line(arguments: list[str]) -> str:
    """The command as a shell takes it, without its secrets."""
    return shlex.join([Path(arguments[0]).name, *map(shown_override, arguments[1:])])


def versions() -> dict[str, str]:
    """Versions of this package, Python, the platform and the packages that numbers depend on."""
    found = {
        "mollm-unlearn": mollm_cli.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def git_commit() -> str | None:
    """The commit of the source tree this package runs from, with "+" where it has changes; None outside one."""
    folder = Path(mollm_cli.__file__).parents[1]
    if not (folder / ".git").exists():
        return None
    try:
        options = {"cwd": folder, "capture_output": True, "text": True, "timeout": 10, "check": True}
        commit = subprocess.run(["git", "rev-parse", "HEAD"], **options).stdout.strip()  # type: ignore[call-overload]
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], **options).stdout.strip()  # type: ignore[call-overload]
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}{'+' if dirty else ''}"
