"""Parquet and Arrow, through pyarrow; a folder that ``datasets.Dataset.save_to_disk`` wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mollm_cli.core.errors import RequestError
from mollm_cli.data.rows import Numbered

STATE = "state.json"
"""The file that makes a folder one of ``save_to_disk``; beside it stand the .arrow files that it names, in order."""
SPLITS = "dataset_dict.json"
"""The file that makes a folder one of splits, each of them a folder of ``save_to_disk``."""
IPC_FILE = b"ARROW1"
"""How an Arrow file begins; without it the same records are a stream, as ``datasets`` writes them."""


def read_parquet(content: bytes, name: str) -> Numbered:
    """The rows of a Parquet file. Raises RequestError where it is none."""
    import pyarrow.parquet  # type: ignore[import-untyped]

    yield from _rows(lambda buffer: pyarrow.parquet.read_table(buffer), content, name, "a Parquet file")


def read_arrow(content: bytes, name: str) -> Numbered:
    """The rows of an Arrow file or stream. Raises RequestError where it is none."""
    import pyarrow.ipc  # type: ignore[import-untyped]

    opened = pyarrow.ipc.open_file if content.startswith(IPC_FILE) else pyarrow.ipc.open_stream
    yield from _rows(lambda buffer: opened(buffer).read_all(), content, name, "an Arrow file")


def saved_files(folder: Path, key: str) -> list[Path] | None:
    """The files of a folder that ``save_to_disk`` wrote, in order; None where it is no such folder.

    Raises RequestError for a folder of splits, and where the folder's own list of files is broken.
    """
    if (folder / SPLITS).is_file():
        splits = sorted(place.name for place in folder.iterdir() if (place / STATE).is_file())
        raise RequestError(
            f"{key}={folder} must be one split, found a folder of {', '.join(splits) or 'none'}. "
            f"Set {key}={folder / splits[0] if splits else 'FOLDER'}"
        )
    if not (folder / STATE).is_file():
        return None
    try:
        files = [folder / entry["filename"] for entry in json.loads((folder / STATE).read_text())["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise RequestError(
            f"{key}: {folder / STATE} must list the files of save_to_disk, found {type(problem).__name__}: {problem}. "
            "Save the dataset again"
        ) from problem
    lost = [file.name for file in files if not file.is_file()]
    if lost:
        raise RequestError(f"{key}={folder} must hold the files of its {STATE}, found no {lost[0]}. Copy it whole")
    return files


def _rows(table: Callable[[Any], Any], content: bytes, name: str, what: str) -> Numbered:
    import pyarrow

    try:
        rows = table(pyarrow.BufferReader(content)).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, OverflowError) as problem:
        raise RequestError(f"{name}: must be {what}, found: {problem}. Write it again") from problem
    yield from enumerate(rows, start=1)
