"""The manifest of a resume point, sizes and hashes of its files, and the check that it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mollm_cli.core.read_back import read_mapping

MANIFEST = "manifest.json"
VERSION = 1
"""Raised whenever a point of today would be read in another way."""


def mark(file: Path) -> dict[str, Any]:
    """{"bytes", "sha256"} of a file, read in pieces. Raises OSError."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return {"bytes": opened.tell(), "sha256": digest}


def write_manifest(folder: Path, name: str, files: Sequence[str]) -> None:
    """Write manifest.json, after all of ``files``, for a point that is called ``name``."""
    content = {"version": VERSION, "point": name, "files": {file: mark(folder / file) for file in files}}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def damage(folder: Path, files: Sequence[str]) -> str | None:
    """The fault of a point, in words; None where each of ``files`` is as its manifest says."""
    try:
        content = read_mapping(folder / MANIFEST, {"files": dict})
        marks = {file: content["files"][file] for file in files}
        if (content["version"], content["point"]) != (VERSION, folder.name):
            return f"its {MANIFEST} is of another point"
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"{MANIFEST} cannot be read"
    return next((problem for file in files if (problem := difference(folder / file, marks[file]))), None)


def difference(file: Path, marked: Any) -> str | None:
    """The fault of one file, in words; None where it is as it was ``marked``."""
    try:
        if not file.is_file():
            return f"{file.name} is missing"
        # The size first: it tells a torn file without reading it.
        wanted, found = marked.get("bytes"), file.stat().st_size
        if found != wanted:
            return f"{file.name} has {found} bytes in place of {wanted}"
        return None if mark(file) == marked else f"{file.name} has another content than was written"
    except (OSError, AttributeError) as refused:
        return f"{file.name} cannot be read ({refused})"
