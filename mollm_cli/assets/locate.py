"""Paths of the embedded files: ``embedded:authors/forget.jsonl`` is a path inside this folder."""

from __future__ import annotations

from pathlib import Path

PREFIX = "embedded:"


def resolve(path: str) -> Path:
    """The file or folder that ``path`` names: embedded:NAME inside the package, any other path as it is."""
    if path.startswith(PREFIX):
        return Path(__file__).parent / path.removeprefix(PREFIX)
    return Path(path).expanduser()


def is_embedded(path: Path | str) -> bool:
    """True if ``path`` leads into this package."""
    return Path(path).resolve().is_relative_to(Path(__file__).resolve().parent)
