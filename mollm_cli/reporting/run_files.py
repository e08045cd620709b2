"""The files of a run directory; a run that failed or was interrupted has fewer of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mollm_cli.core.errors import RequestError
from mollm_cli.core.read_back import check_depth
from mollm_cli.core.safe_yaml import load_yaml

MARKS = ("manifest.json", "config.yaml")
"""A folder with one of these files is a run directory."""
LARGEST = 1 << 30
"""The most bytes of one file of a run directory; checkpoints are not read."""


@dataclass(frozen=True, slots=True)
class Run:
    """The files of one run directory; empty or None if a file is absent.

    steps: train.jsonl, one record per step in order of steps (a resumed run may have logged a step twice).
    """

    path: Path
    config: dict[str, Any]
    manifest: dict[str, Any]
    metrics: dict[str, Any] | None
    steps: tuple[dict[str, Any], ...]
    samples: tuple[dict[str, Any], ...]

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the objectives in the order of their rows, from train.jsonl."""
        keys = (key for record in self.steps for key in record if key.startswith("loss."))
        return tuple(dict.fromkeys(key.removeprefix("loss.") for key in keys))


def is_run(path: Path) -> bool:
    """True if ``path`` is a run directory."""
    return any((path / name).is_file() for name in MARKS)


def read_run(path: Path) -> Run:
    """Read the run directory ``path``. Raises RequestError if it is none, or if a file of it cannot be read."""
    if not is_run(path):
        raise RequestError(f"a run directory holds {' or '.join(MARKS)}; '{path}' holds neither. Name another folder.")
    return Run(
        path=path,
        config=_read_config(path / "config.yaml"),
        manifest=_read_json(path / "manifest.json") or {},
        metrics=_read_json(path / "metrics.json"),
        steps=_merge_steps(_read_lines(path / "train.jsonl")),
        samples=tuple(_read_lines(path / "samples.jsonl")),
    )


def _read_config(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    content = load_yaml(_text(file), str(file))
    return _must_be_mapping(file, {} if content is None else content)


def _read_json(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        content = json.loads(_text(file))
        check_depth(content)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{file} must be JSON; {error}. Restore the file from the run.") from error
    return _must_be_mapping(file, content)


def _text(file: Path) -> str:
    """The text of ``file``. Raises RequestError if it is not UTF-8, or larger than any run writes."""
    if file.stat().st_size > LARGEST:
        raise RequestError(f"{file} must have at most {LARGEST >> 20} MiB, found more. Restore the file from the run.")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"{file} must be UTF-8; {error}. Restore the file from the run.") from error


def _must_be_mapping(file: Path, content: object) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise RequestError(
            f"{file} must hold a mapping; found {type(content).__name__}. Restore the file from the run."
        )
    return content


def _read_lines(file: Path) -> list[dict[str, Any]]:
    """The records of a JSON Lines file; a last line without a line break was cut off by a kill and is left out."""
    if not file.is_file():
        return []
    lines = _text(file).split("\n")
    records = []
    for row, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            check_depth(record)
            records.append(_must_be_mapping(file, record))
        except (ValueError, RecursionError) as error:
            if row == len(lines):  # the run was killed while it wrote this line
                break
            raise RequestError(f"{file}: row {row} must be JSON; {error}. Remove or restore the row.") from error
    return records


def _merge_steps(records: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    merged: dict[int, dict[str, Any]] = {}
    for record in records:
        if isinstance(record.get("step"), int):
            merged.setdefault(record["step"], {}).update(record)
    return tuple(merged[step] for step in sorted(merged))
