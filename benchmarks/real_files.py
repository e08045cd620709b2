"""JSON Lines of the real benchmarks: the rows of a task, and those of the runs, which a restart goes on with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """The rows of a file of JSON Lines; a last line that was cut off is left out. No rows where there is no file."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``rows``, by a rename: a run that is cut off loses nothing that was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    part.replace(path)


def append(path: Path, row: Row) -> None:
    """Add a row."""
    write(path, [*read(path), row])


def spaced(rows: Sequence[Any], most: int | None) -> list[Any]:
    """At most ``most`` of ``rows``, evenly spaced; None: all."""
    return list(rows) if most is None or len(rows) <= most else [rows[i * len(rows) // most] for i in range(most)]
