"""train.jsonl: one line per logged step, flushed as it is written, so that an interrupted run keeps its history."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mollm_cli.core.atomic import append_text, sync, write_text


class TrainLog:
    """Appends records to ``path``; on resume it drops torn lines and those of steps that will be taken again."""

    def __init__(self, path: Path, resume_step: int | None = None) -> None:
        self.path = path
        write_text(path, "" if resume_step is None else "".join(_until(path, resume_step)))

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one line; a number that is not finite becomes null, because JSON has none. Raises OSError."""
        clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
        append_text(self.path, json.dumps(clean) + "\n")

    def settle(self) -> None:
        """Force the written lines to the disk."""
        sync(self.path)


def _until(path: Path, last: int) -> Iterator[str]:
    """One line per step up to ``last``; a line torn by a kill or a full disk is left out."""
    seen: dict[int, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            step = json.loads(line)["step"]
        except (ValueError, LookupError, TypeError, RecursionError):
            continue
        if isinstance(step, int) and step <= last:
            seen[step] = f"{line}\n"
    return iter(seen.values())
