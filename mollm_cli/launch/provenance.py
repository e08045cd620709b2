"""The beginning of a manifest: the command line, the time, and the versions of everything that ran it."""

from __future__ import annotations

import platform
import shlex
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import mollm_cli
from mollm_cli.core.secrets import shown_override

PACKAGES = ("torch", "transformers", "datasets", "peft", "hydra-core", "tokenizers", "safetensors", "numpy")


def provenance(typed: Sequence[str]) -> dict[str, Any]:
    """The facts of a run that begins now. typed: its command line, the program's name first."""
    return {
        "command": command_line(typed),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "versions": versions(),
        "git_commit": git_commit(),
    }


def command_line(arguments: Sequence[str]) -> str:
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
