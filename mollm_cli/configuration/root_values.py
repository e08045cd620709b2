"""The plain values at the root of a configuration, with their types."""

from __future__ import annotations

from typing import Any

_SHARED: dict[str, Any] = {
    "seed": int,
    "run_name": str,
    "output_root": str,
    "resume": str | None,
    "run_dir": str | None,
    "gates": tuple[str, ...],
    "junit": str | None,
    "github_summary": str | None,
}
VALUES: dict[str, dict[str, Any]] = {
    "unlearn": _SHARED | {"force": bool},
    "finetune": _SHARED | {"train": tuple[str, ...]},
    "evaluate": _SHARED,
}
"""By command."""
