"""The answer to ``--list GROUP``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mollm_cli.configuration.choices import choices, groups
from mollm_cli.core.errors import RequestError, nearest


def listing(group: str, folders: Sequence[Path]) -> str:
    """A line per choice of ``group``: its name and its head. Raises RequestError for an unknown group."""
    known = groups(folders)
    if group not in known:
        raise RequestError(f"--list must be followed by a group, found '{group}'; {nearest(group, known)}")
    return table(choices(group, folders))


def table(rows: dict[str, str], indent: str = "") -> str:
    """Two columns, the first as wide as it needs to be."""
    width = max((len(name) for name in rows), default=0)
    return "\n".join(f"{indent}{name:<{width}}  {text}".rstrip() for name, text in rows.items())
