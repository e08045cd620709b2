"""Keys that only the command line may set: a run directory, an experiment and a sweep are files of somebody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mollm_cli.core.allowed import allowed
from mollm_cli.core.errors import RequestError

REMOTE_CODE = "trust_remote_code"
"""The key, wherever it stands, by which a model's own code runs."""
_WRITTEN = ("junit", "github_summary")
"""Files outside the run directory that are written to."""


def require_said(config: Mapping[str, Any]) -> None:
    """Raise RequestError where a resolved ``config`` sets what only the command line may set, and it did not."""
    for key, value in _risky(config, ""):
        if value not in (None, False) and key not in allowed().keys:
            shown = str(value).lower() if isinstance(value, bool) else value
            because = "runs a model's own code" if key.endswith(REMOTE_CODE) else "writes outside the run directory"
            raise RequestError(
                f"{key} {because}, so that no file decides it, found {key}={shown} in a file alone. If you mean it, "
                f"type: {allowed().with_flag(f'{key}={shown}')}"
            )


def _risky(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            place = f"{key}.{name}" if key else str(name)
            if name == REMOTE_CODE or place in _WRITTEN:
                yield place, value
            yield from _risky(value, place)
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _risky(value, f"{key}[{index}]")
