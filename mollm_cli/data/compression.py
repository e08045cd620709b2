"""Compressed files: .gz, .bz2 and .xz hold one file, .zip holds any number."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import PurePosixPath, PureWindowsPath
from typing import IO, Any

from mollm_cli.core.errors import RequestError
from mollm_cli.data.limits import most_unpacked, read_up_to, too_expanded

UNPACK: dict[str, Callable[[Any], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
"""Extension -> a function that unpacks such a file while it is read."""
ZIP = ".zip"
PROBLEMS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)
ZIP_PROBLEMS = (*PROBLEMS, zipfile.BadZipFile, RuntimeError, NotImplementedError, KeyError)
"""Encrypted members are a RuntimeError, foreign methods of compression a NotImplementedError."""


def bare(name: str) -> str:
    """``name`` without the extension of its compression."""
    return next((name.removesuffix(end) for end in UNPACK if name.lower().endswith(end)), name)


def unpacked(content: bytes, name: str, extensions: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of what is in a file; of a .zip its members of the known ``extensions``, sorted by name.

    Raises RequestError where it cannot be unpacked, or comes to more than limits.py allows; nothing is written to disk.
    """
    ending = PurePosixPath(name).suffix.lower()
    if ending == ZIP:
        yield from _members(content, name, extensions)
        return
    if ending in UNPACK:
        try:
            content = _read(UNPACK[ending](io.BytesIO(content)), most_unpacked(len(content)), name, len(content))
        except PROBLEMS as problem:
            what = "gzip" if ending == ".gz" else ending.removeprefix(".")
            raise RequestError(f"{name}: must be {what}, found: {problem}. Compress it again") from problem
    yield name, content


def _read(file: IO[bytes], most: int, name: str, packed: int) -> bytes:
    """All of ``file`` where that is no more than ``most`` bytes. Raises RequestError."""
    content = read_up_to(file, most)
    if len(content) > most:
        raise too_expanded(name, packed, most_unpacked(packed))
    return content


def _members(content: bytes, name: str, extensions: Collection[str]) -> Iterator[tuple[str, bytes]]:
    found, left = [], most_unpacked(len(content))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_inside(archive.namelist(), name)
            for place in sorted({place for place in archive.namelist() if _is_data(place, extensions)}):
                with archive.open(place) as member:
                    found.append((f"{name}/{place}", _read(member, left, name, len(content))))
                left -= len(found[-1][1])
    except ZIP_PROBLEMS as problem:
        raise RequestError(f"{name}: must be zip, found: {problem}. Compress it again") from problem
    if not found:
        raise RequestError(f"{name}: must hold data files, found none of {', '.join(extensions)}. Pack some")
    yield from found


def _check_inside(places: Collection[str], name: str) -> None:
    """Members are read from the archive and never written, yet a name that leads out of it is no honest one."""
    for place in places:
        path = PureWindowsPath(place)  # takes / and \\ alike
        if path.anchor or ".." in path.parts:
            raise RequestError(f"{name}: members must stand inside the archive, found '{place}'. Pack the folder again")


def _is_data(place: str, extensions: Collection[str]) -> bool:
    path = PurePosixPath(place)
    return path.suffix.lower() in extensions and not any(part.startswith((".", "__MACOSX")) for part in path.parts)
